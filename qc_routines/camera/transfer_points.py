"""One level of light on the photon transfer curve, and where the curve ends.

Variances are each pixel's own, in time: an uneven field does not matter, and with two frames they are the well-known
halved squared differences of a pair (EMVA 1288 release 4.0, section 6; https://www.emva.org).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from qc_routines.camera.moments import PixelMoments
from qc_routines.camera.pixels import common_variance_adu2, is_trusted, need_frames, need_same_shape

OUTLIER_FACTOR = 40.0
"""A pixel whose variance is so many times the mean is a defect: normal noise does so once in 4e9 even in pairs."""

STILL = 9.0
"""A pixel whose variance in light is no more than so many times that in the dark has no shot noise left: its well is full."""
LEAST_STILL = 0.5
"""Part of the pixels that must be still before a level is taken for the ceiling; by chance, few percent are."""

SATURATED_FRACTION = 1e-3
"""Of a level's pixels at full scale, from which on its variance is cut off."""


@dataclass(frozen=True, slots=True)
class PhotonTransferPoint:
    """One level of light.

    Attributes
    ----------
    signal_adu, variance_adu2 : float
        Mean less dark mean; variance in time less that in the dark and less what the lamp does.
    variance_uncertainty_adu2 : float
        One sigma of the variance.
    saturated_fraction : float
        Of the trusted pixels that reached full scale.
    n_pixels, n_frames : int
        That entered.
    ceiling_adu : float or None
        Median signal of the pixels without shot noise, when they are the most: where wells are full, or the converter's
        range ends. Of no meaning at a level that is nearly dark.
    """

    signal_adu: float
    variance_adu2: float
    variance_uncertainty_adu2: float
    saturated_fraction: float
    n_pixels: int
    n_frames: int
    ceiling_adu: float | None = None


def photon_transfer_point(
    bright: PixelMoments,
    dark: PixelMoments,
    trusted: NDArray[np.bool_] | None = None,
    full_scale_adu: float | None = None,
) -> PhotonTransferPoint:
    """Return one level of the photon transfer curve; the maps may then be let go.

    Notes
    -----
    A lamp that varies by a relative variance f adds f S(y, x)² to each pixel's variance. f is known from the frames'
    means, thus mean(S²) f is taken off: exact for any drift or flicker that the whole field shares.
    """
    need_frames(bright, 2, "bright")
    need_frames(dark, 2, "dark")
    need_same_shape(bright, dark)
    trusted = is_trusted(dark) if trusted is None else trusted
    kept = trusted & (bright.variance_adu2 <= OUTLIER_FACTOR * np.mean(bright.variance_adu2[trusted]))
    signal, variance = (bright.mean_adu - dark.mean_adu)[kept], bright.variance_adu2[kept].astype(np.float64)
    signal_adu = float(np.mean(signal, dtype=np.float64))
    unevenness = float(np.mean(np.square(signal, dtype=np.float64))) / signal_adu**2
    lamp_adu2 = common_variance_adu2(bright) * unevenness
    dark_adu2 = float(np.mean(dark.variance_adu2[kept], dtype=np.float64)) - common_variance_adu2(dark)
    mean_adu2, n, n_free = float(np.mean(variance)), int(kept.sum()), bright.n_frames - 1
    scatter_adu4 = (
        2.0 * float(np.mean(variance**2)) / (n_free + 2)
    )  # E(s⁴) = σ⁴ (1 + 2/n) for n degrees of freedom
    scatter_adu4 = (scatter_adu4 + 4.0 * lamp_adu2 * (unevenness - 1.0) * mean_adu2 / n_free) / n
    is_still = variance <= STILL * float(np.mean(dark.variance_adu2[kept], dtype=np.float64))
    full = full_scale_adu if full_scale_adu is not None else _full_scale_adu(bright)
    return PhotonTransferPoint(
        signal_adu=signal_adu,
        variance_adu2=mean_adu2 - lamp_adu2 - dark_adu2,
        variance_uncertainty_adu2=sqrt(scatter_adu4),
        saturated_fraction=float(np.mean(bright.high_adu[kept] >= full)),
        n_pixels=n,
        n_frames=bright.n_frames,
        ceiling_adu=float(np.median(signal[is_still])) if np.mean(is_still) > LEAST_STILL else None,
    )


def saturation_index(points: Sequence[PhotonTransferPoint]) -> int | None:
    """Return the last level before the variance falls for good; None when it never does.

    A fall is one by more than 5 sigma below the largest so far, or a level with pixels at full scale.
    """
    for i in range(1, len(points)):
        before, here = points[i - 1], points[i]
        sigma = sqrt(before.variance_uncertainty_adu2**2 + here.variance_uncertainty_adu2**2)
        falls = here.variance_adu2 < before.variance_adu2 - max(5 * sigma, 0.02 * before.variance_adu2)
        if falls or here.saturated_fraction > SATURATED_FRACTION:
            return i - 1
    return None


def _full_scale_adu(moments: PixelMoments) -> float:
    dtype = moments.high_adu.dtype
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else float("inf")
