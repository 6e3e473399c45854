"""Where the sharpest slice of a stack is, to a fraction of a step.

Sharpness is Brenner's: the sum of squared differences of pixels two apart, along x and along y, less what noise
alone gives. Brenner et al. 1976, doi:10.1177/24.1.1254907.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines._inputs import checked_counts
from qc_routines._jit import kernel
from qc_routines.errors import InputError
from qc_routines.peak_surface import Peak

LEAST_SLICES = 5
TOP = 0.5
"""The parabola is fitted to the logarithm of slices above this part of the largest sharpness."""
NOISE_SIGMAS = 6.0
"""The largest sharpness must be so many times what noise leaves of it by chance."""
LEAST_RISE = 1.3
"""Largest over median sharpness, below which there is nothing to focus on."""


@dataclass(frozen=True, slots=True, eq=False)
class Focus:
    """Best focus of a stack.

    Attributes
    ----------
    z_um : float
        Where sharpness is largest.
    uncertainty_um : float
        One sigma, from the scatter about the fitted peak; NaN with just as many slices as unknowns.
    sharpness : ndarray, float64, (z,)
        Of each slice, ADU² per pixel; NaN where a slice is not finite.
    """

    z_um: float
    uncertainty_um: float
    sharpness: NDArray[np.float64]


def best_focus(stack: NDArray[np.generic], z_um: ArrayLike) -> Focus:
    """Return where a stack is sharpest.

    Parameters
    ----------
    stack : ndarray, (z, y, x)
        ADU. Slices with NaN are left out.
    z_um : array_like, (z,)
        Position of each slice.

    Raises
    ------
    InputError
        Wrong axes, fewer than five slices, nothing to focus on, or the sharpest slice at an end of the stack.
    """
    pixels, z = checked_counts(stack, "ZYX", "stack"), np.asarray(z_um, float)
    if z.shape != (len(pixels),) or len(pixels) < LEAST_SLICES:
        raise InputError(
            f"expected {LEAST_SLICES} slices or more, each with its z; got {len(pixels)} and {z.shape}"
        )
    if min(pixels.shape[1:]) < 5:
        raise InputError(f"expected slices of at least 5 x 5 pixels; got {pixels.shape[1:]}")
    two_apart, one_apart = np.array([_squared_differences(image) for image in pixels]).T
    sharpness = two_apart - one_apart  # noise alone gives the same between pixels one and two apart
    noise = np.nanmedian(one_apart) * 2 / (pixels[0].size) ** 0.5 if np.isfinite(one_apart).any() else 0.0
    if np.isfinite(sharpness).any() and not np.nanmax(sharpness) > NOISE_SIGMAS * noise:
        raise InputError("expected a stack with something to focus on; got noise alone. Is there a sample?")
    peak = focus_peak(z, sharpness)
    return Focus(peak.centre_yx[0], peak.uncertainty_yx[0], sharpness)


def focus_peak(z_um: NDArray[np.float64], sharpness: NDArray[np.float64]) -> Peak:
    """Return the peak of sharpness by a parabola through the logarithms of its top."""
    known = np.isfinite(sharpness) & (sharpness > 0)
    if known.sum() < LEAST_SLICES or not sharpness[known].max() > LEAST_RISE * np.median(sharpness[known]):
        raise InputError(
            "expected a stack with something to focus on; got slices that are all as sharp. Is there a sample?"
        )
    order = np.argsort(z_um[known])
    z, s = z_um[known][order], sharpness[known][order]
    best = int(np.argmax(s))
    if best in (0, z.size - 1):
        raise InputError(
            f"expected the focus inside the stack; the sharpest slice is its end at {z[best]:g} um. Move on."
        )
    first, last = best, best
    while first > 0 and s[first - 1] > TOP * s[best]:
        first -= 1
    while last < z.size - 1 and s[last + 1] > TOP * s[best]:
        last += 1
    first, last = min(first, best - 1), max(last, best + 1)
    return _parabola_top(z[first : last + 1], np.log(s[first : last + 1]))


def _parabola_top(z: NDArray[np.float64], logs: NDArray[np.float64]) -> Peak:
    middle, half = (z[0] + z[-1]) / 2, (z[-1] - z[0]) / 2
    t = (z - middle) / half
    design = np.stack([np.ones_like(t), t, t * t], axis=1)
    c, *_ = np.linalg.lstsq(design, logs, rcond=None)
    if c[2] >= 0:
        raise InputError("expected one sharpest place; got a stack that is sharp at two. Narrow its range.")
    top = -c[1] / (2 * c[2])
    n_free = t.size - 3
    scatter = float(np.sum((logs - design @ c) ** 2)) / n_free if n_free > 0 else float("nan")
    by_c = np.array([0.0, -1 / (2 * c[2]), c[1] / (2 * c[2] ** 2)])
    sigma = float(np.sqrt(by_c @ np.linalg.inv(design.T @ design) @ by_c * scatter))
    return Peak(
        (float(middle + half * top), 0.0),
        (half * sigma, 0.0),
        float(np.exp(c[0] - c[1] ** 2 / (4 * c[2]))),
        0.0,
    )


@kernel
def _squared_differences(image):  # type: ignore[no-untyped-def]
    """Return mean squared differences of pixels two apart and one apart, along y and x together."""
    two, one = 0.0, 0.0
    for y in range(image.shape[0] - 2):
        row, next_row, over_next = image[y], image[y + 1], image[y + 2]
        for x in range(image.shape[1] - 2):
            value = float(row[x])
            d = float(row[x + 2]) - value
            e = float(over_next[x]) - value
            two += d * d + e * e
            d = float(row[x + 1]) - value
            e = float(next_row[x]) - value
            one += d * d + e * e
    n = (image.shape[0] - 2) * (image.shape[1] - 2)
    return two / n, one / n
