"""Pixels that do not behave as the others: where they are and what they do.

A pixel may have several defects; the map holds one bit for each. What is odd is decided against the other pixels of the
same sensor, in robust standard deviations (see `qc_routines.camera.pixels`), so a noisy camera is not all defects.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from qc_routines.advice import OURS, Cause
from qc_routines.camera.dark_noise import protocol as dark_protocol
from qc_routines.camera.moments import PixelMoments, as_moments
from qc_routines.camera.pixels import (
    OUTLIER_SIGMAS,
    is_high_noise,
    is_trusted,
    need_frames,
    need_same_shape,
    odd_levels,
)
from qc_routines.camera.uniformity import relative_response
from qc_routines.protocols import Protocol
from qc_routines.results import Figure, Measurement, input_of
from qc_routines.routine import FigureNames, Routine

RESPONSE_TOLERANCE = 0.2
"""Warm and cold pixels are beyond 1 ± this of the others' response, as in MetroloJ_QC (camera.java)."""

DEAD_RESPONSE = 0.02
SPIKE_SIGMAS = 10.0
NORMAL_RANGE_FACTORS = (0.7, 1.7)
"""Range over standard deviation, relative to that of normal noise: between these a noisy pixel is only noisy."""

LOPSIDED_FACTOR = 3.5
"""With these three, of four million healthy pixels, whose own noise has a log-normal spread of 25 %, none in a hundred
maps is said to blink, be it from 20 frames or from 100."""

MOST_IN_TABLE = 10_000


class Defect(IntFlag):
    """What is wrong with a pixel."""

    HOT = 1
    """Dark level far above the others'."""
    LOW = 2
    """Dark level far below the others'."""
    NOISY = 4
    """Much more noise in the dark than the others, but normal noise."""
    BLINKING = 8
    """Jumps in the dark: between levels (random telegraph signal), or now and then."""
    WARM = 16
    """Responds to light by over 20 % more than the others."""
    COLD = 32
    """Responds to light by over 20 % less than the others."""
    DEAD = 64
    """Does not respond to light."""


def measure_defects(
    dark: PixelMoments | Iterable[NDArray[np.generic]],
    bright: PixelMoments | Iterable[NDArray[np.generic]] | None = None,
) -> Measurement:
    """Return how many pixels have which defect, a map and a list.

    Parameters
    ----------
    dark : PixelMoments or iterable of ndarray, (y, x)
        At least ten frames without light; blinking pixels that jump less often than once in the series stay unseen.
    bright : PixelMoments or iterable of ndarray, (y, x), optional
        Frames in even light at half of full scale; without them warm, cold and dead pixels are not looked for.

    Returns
    -------
    Measurement
        Map ``defects`` (uint8 bits of `Defect`); the table lists up to 10 000 pixels in reading order.

    Raises
    ------
    InputError
        Too few frames, other shapes, or no light to speak of.
    """
    without = as_moments(dark)
    need_frames(without, 10, "dark")
    defects = _dark_defects(without)
    sought = [Defect.HOT, Defect.LOW, Defect.NOISY, Defect.BLINKING]
    inputs = [input_of("mean of dark frames", without.mean_adu)]
    if bright is not None:
        lit = as_moments(bright)
        need_same_shape(lit, without)
        defects |= _response_defects(without, lit)
        sought += [Defect.WARM, Defect.COLD, Defect.DEAD]
        inputs.append(input_of("mean of lit frames", lit.mean_adu))
    at_y, at_x = np.nonzero(defects)
    n_listed = min(at_y.size, MOST_IN_TABLE)
    return Measurement(
        routine=ROUTINE.name,
        version="2",
        figures=_figures(defects, sought),
        n_used=without.n_frames,
        n_rejected=without.n_rejected,
        parameters={"outlier_sigmas": OUTLIER_SIGMAS, "response_tolerance": RESPONSE_TOLERANCE},
        inputs=tuple(inputs),
        remarks=() if n_listed == at_y.size else (f"Only the first {n_listed} defects are in the table.",),
        table={
            "y_px": at_y[:n_listed],
            "x_px": at_x[:n_listed],
            "defects": defects[at_y[:n_listed], at_x[:n_listed]],
            "dark_adu": without.mean_adu[at_y[:n_listed], at_x[:n_listed]],
        },
        maps={"defects": defects},
    )


def _figures(defects: NDArray[np.uint8], sought: list[Defect]) -> tuple[Figure, ...]:
    n_defective, n = int(np.count_nonzero(defects)), defects.size
    return (
        Figure("n_defective", n_defective, "1", None, n),
        Figure("defective_fraction", 100 * n_defective / n, "%", None, n),
        *(
            Figure(
                f"n_{kind.name.lower()}",
                int(np.count_nonzero(defects & kind)) if kind in sought else None,
                "1",
                None,
                n,
            )
            for kind in Defect
        ),
    )


def _dark_defects(dark: PixelMoments) -> NDArray[np.uint8]:
    is_hot, is_low = odd_levels(dark)
    noise = np.sqrt(dark.variance_adu2)
    typical = float(np.median(noise))
    is_noisy = is_high_noise(dark.variance_adu2, dark.n_frames)
    is_spiking = _largest_excursion(dark) > (SPIKE_SIGMAS + usual_range_sigmas(dark.n_frames) / 2) * typical
    relative_range = (dark.high_adu.astype(np.float32) - dark.low_adu) / np.maximum(noise, 1e-6)
    relative_range /= usual_range_sigmas(dark.n_frames)
    is_normal = (relative_range > NORMAL_RANGE_FACTORS[0]) & (relative_range < NORMAL_RANGE_FACTORS[1])
    is_normal &= ~_is_lopsided(dark)
    return (
        _bits(is_hot, Defect.HOT)
        | _bits(is_low, Defect.LOW)
        | _bits(is_noisy & is_normal, Defect.NOISY)
        | _bits((is_noisy | is_spiking) & ~is_normal, Defect.BLINKING)
    )


def _largest_excursion(dark: PixelMoments) -> NDArray[np.float32]:
    return np.maximum(dark.high_adu - dark.mean_adu, dark.mean_adu - dark.low_adu)


def _is_lopsided(dark: PixelMoments) -> NDArray[np.bool_]:
    """Return where the excursions to one side are much larger than those to the other, as of rare jumps."""
    above, below = dark.high_adu - dark.mean_adu, dark.mean_adu - dark.low_adu
    return np.maximum(above, below) > LOPSIDED_FACTOR * np.minimum(above, below)


def usual_range_sigmas(n_frames: int) -> float:
    """Return the expected range of n normal values in standard deviations.

    Twice Blom's approximation of the largest, Phi^-1((n - 0.375)/(n + 0.25)): within 1 % of the exact 5.015 at 100.

    Examples
    --------
    >>> round(usual_range_sigmas(100), 1)
    5.0
    """
    return 2 * NormalDist().inv_cdf((n_frames - 0.375) / (n_frames + 0.25))


def _response_defects(dark: PixelMoments, lit: PixelMoments) -> NDArray[np.uint8]:
    response = relative_response(dark, lit, is_trusted(dark))
    is_dead = response < DEAD_RESPONSE
    return (
        _bits(response > 1 + RESPONSE_TOLERANCE, Defect.WARM)
        | _bits((response < 1 - RESPONSE_TOLERANCE) & ~is_dead, Defect.COLD)
        | _bits(is_dead, Defect.DEAD)
    )


def _bits(where: NDArray[np.bool_], kind: Defect) -> NDArray[np.uint8]:
    return where * np.uint8(kind)


def protocol(
    channel: str = "dark",
    shortest_exposure_ms: float = 1.0,
    n_frames: int = 100,
    bright_exposure_ms: float | None = None,
) -> Protocol:
    """Return how to acquire frames for a defect map: the dark frames of the read noise; flats follow them.

    The exposure of the flats is found where none is given.
    """
    like = dark_protocol(channel, shortest_exposure_ms, n_frames)
    return Protocol(
        routine=ROUTINE.name,
        sample="uniform fluorescent slide out of focus; with none, what does not respond to light is not told",
        sequence=like.sequence,
        exposure=f"{like.exposure}; then flats at half of full scale, for warm, cold and dead pixels",
        duration_s=2 * like.duration_s,
        steps=("Put the slide on and defocus", *like.steps[1:]),
        every_days=90,
        is_automatic=True,
        parameters={**like.parameters, "bright_exposure_ms": bright_exposure_ms},
        source="EMVA 1288 release 4.0, section 8.8; limits: MetroloJ_QC and ours",
    )


ROUTINE = Routine(
    name="defects",
    title="Camera defect pixels",
    holds_for=("camera",),
    measure=measure_defects,
    inputs={
        "dark": "TYX dark counts, ADU; or moments",
        "bright": "TYX counts in even light, ADU; or moments",
    },
    figures={
        "n_defective": FigureNames("1", "Pixels with any defect"),
        "defective_fraction": FigureNames("%", "Of all pixels"),
        "n_hot": FigureNames("1", "Dark level far above the others'", None, "hot pixels"),
        "n_low": FigureNames("1", "Dark level far below the others'"),
        "n_noisy": FigureNames("1", "Much more, but normal, noise"),
        "n_blinking": FigureNames("1", "Jumps between levels or now and then"),
        "n_warm": FigureNames("1", "Responds by over 20 % more", None, "warm pixels"),
        "n_cold": FigureNames("1", "Responds by over 20 % less", None, "cold pixels"),
        "n_dead": FigureNames("1", "Does not respond to light"),
    },
    protocol=protocol,
    causes=(
        Cause(
            "the sensor ages, or cosmic rays have damaged it",
            "Compare with the map of time zero; switch the camera's defect correction on or renew it",
            ("n_defective", "defective_fraction", "n_hot", "n_blinking", "n_noisy"),
            OURS,
        ),
        Cause(
            "sensor warmer than it should be",
            "Read the sensor temperature; hot and blinking pixels halve with every few kelvin",
            ("n_hot", "n_blinking", "n_noisy", "defective_fraction"),
            OURS,
        ),
        Cause(
            "dust on the sensor window",
            "Cold pixels in clusters: clean the window with air only",
            ("n_cold", "n_dead"),
            OURS,
        ),
    ),
)
"""For the catalogue."""
