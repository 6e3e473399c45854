"""Heights of a staircase in the image: at which z each stair is sharp, against how high it is known to be.

A *stair* is a column of structure along y; the next one to the right, `pitch_um` away, lies `step_um` higher. Where a
staircase ends or starts again, the longest run of stairs that rise as they should is the one that is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines._inputs import checked_counts
from qc_routines.errors import InputError
from qc_routines.focus import best_focus

LEAST_STAIRS = 3
INSIDE = 0.35
"""Part of the pitch to either side of a stair's middle that is taken as the stair."""


@dataclass(frozen=True, slots=True)
class Stairs:
    """Stairs from left to right, of several stacks of one field.

    Attributes
    ----------
    z_um : ndarray, float64, (stacks, stairs)
        Where each is sharpest; NaN where that is outside the stack or nothing is seen.
    height_um : ndarray, float64, (stairs,)
        Known height above the first.
    """

    z_um: NDArray[np.float64]
    height_um: NDArray[np.float64]


def stairs_in(
    stacks: Sequence[NDArray[np.generic]],
    z_um: Sequence[ArrayLike],
    pixel_size_um: float,
    pitch_um: float,
    step_um: float,
) -> Stairs:
    """Return where the stairs of a field are sharp.

    Parameters
    ----------
    stacks : sequence of ndarray, (z, y, x)
        ADU, of one field; stairs along x.
    z_um : sequence of array_like, (z,)
        Position of each slice of each stack.
    pixel_size_um, pitch_um, step_um : float
        Of the image, between stairs, and between their heights.

    Raises
    ------
    InputError
        Wrong axes, fewer than three stairs in the field, or none that is seen.
    """
    each = [_without_nan(checked_counts(stack, "ZYX", "stack")) for stack in stacks]
    pitch_px = pitch_um / pixel_size_um
    margin_px = INSIDE * pitch_px
    middles = np.arange(_first_px(each[0], pitch_px), each[0].shape[2] - margin_px, pitch_px)
    middles = middles[middles >= margin_px]
    if middles.size < LEAST_STAIRS:
        raise InputError(
            f"expected {LEAST_STAIRS} stairs or more in the field; got {middles.size} with {pitch_um:g} um between "
            "them. Take a lower magnification or check pitch_um"
        )
    found = np.array(
        [[_sharp_at(p, z, at, margin_px) for at in middles] for p, z in zip(each, z_um, strict=True)]
    )
    if not np.isfinite(found).any():
        raise InputError("expected stairs that are sharp within the stack; got none. Widen it, check light")
    run = _rising(found[0], step_um)
    if run.stop - run.start < LEAST_STAIRS:
        raise InputError(
            f"expected stairs that rise by {step_um:g} um each, to the right; got none. Check stair_um, negative where "
            "they fall, and whether the stack holds them"
        )
    return Stairs(found[:, run], step_um * np.arange(run.stop - run.start))


def _rising(z_um: NDArray[np.float64], step_um: float) -> slice:
    """Return the longest run of stairs of which each is higher than the one before by about a step."""
    is_next = np.abs(np.diff(z_um) - step_um) <= abs(step_um) / 2  # False beside NaN
    best = first = 0
    longest = slice(0, 0)
    for last, follows in enumerate([*is_next, False], start=1):
        if last - first > best:
            best, longest = last - first, slice(first, last)
        if not follows:
            first = last
    return longest


def _without_nan(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a stack whose NaN are as dark as its darkest pixel: they are no light."""
    is_finite = np.isfinite(pixels)
    if not is_finite.any():
        raise InputError("expected finite counts; got NaN or infinity everywhere")
    return pixels if is_finite.all() else np.where(is_finite, pixels, pixels[is_finite].min())


def _first_px(pixels: NDArray[np.generic], pitch_px: float) -> float:
    """Return the middle of the leftmost stair: the phase of the pitch in the brightest values along z and y."""
    profile = np.percentile(pixels.max(axis=0), 95, axis=0).astype(float)
    turns = np.exp(-2j * np.pi * np.arange(profile.size) / pitch_px)
    phase = float(np.angle(np.sum((profile - profile.mean()) * turns)))
    return (-phase / (2 * np.pi) % 1.0) * pitch_px


def _sharp_at(pixels: NDArray[np.generic], z_um: ArrayLike, middle_px: float, margin_px: float) -> float:
    """Return the z at which one stair is sharp, or NaN."""
    first, last = round(middle_px - margin_px), round(middle_px + margin_px) + 1
    try:
        return best_focus(np.ascontiguousarray(pixels[:, :, max(first, 0) : last]), z_um).z_um
    except InputError:
        return float("nan")
