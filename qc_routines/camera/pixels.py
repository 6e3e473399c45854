"""Which pixels to trust, and what drifts with the whole frame.

A sensor's few defects would rule every sum of squares: 60 hot pixels in 262 144 raise the DSNU a hundredfold.
Thresholds are in robust standard deviations (1.4826 x median absolute deviation) of the pixels themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_routines.camera.moments import PixelMoments
from qc_routines.errors import InputError, counted
from qc_routines.few import student_deviate

MAD_TO_SIGMA = 1.4826
OUTLIER_SIGMAS = 6.0
"""One in a billion of a normal distribution: on 4 million pixels none is called a defect by chance."""

LEAST_SIDE_PX = 3


def robust_sigma(values: NDArray[np.generic]) -> float:
    """Return 1.4826 x the median absolute deviation; of counts that are mostly equal, the standard deviation."""
    middle = np.median(values)
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
    return sigma if sigma > 0 else float(np.std(values, dtype=np.float64))


def is_high_noise(variance_adu2: NDArray[np.float32], n_frames: int) -> NDArray[np.bool_]:
    """Return where the variance in time is an outlier upwards.

    Logarithms of sample variances are compared, whose scatter is the same for quiet and for noisy sensors; it is
    not taken below that of n frames of normal noise, sqrt(2/(n - 1)).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(variance_adu2)
    known = logs[np.isfinite(logs)]
    if n_frames < 3 or known.size == 0:
        return np.zeros(variance_adu2.shape, bool)
    spread = max(robust_sigma(known), np.sqrt(2.0 / (n_frames - 1)))
    return logs > np.median(known) + OUTLIER_SIGMAS * spread


def odd_levels(dark: PixelMoments) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the level in the dark is an outlier upwards and downwards, each (y, x).

    A level scatters by the pattern that pixels have and by what each pixel's own noise leaves in a mean of n frames. That
    noise differs from pixel to pixel (in an sCMOS sensor by factors), so its part of the limit is each pixel's own, and
    as it is known from n frames only, Student's t stands for the normal deviate: of four million healthy pixels none in
    a hundred maps is called odd.
    """
    level = dark.mean_adu - np.median(dark.mean_adu)
    if dark.n_frames < 2:
        limit: NDArray[np.float32] | float = OUTLIER_SIGMAS * robust_sigma(level)
        return level > limit, level < -limit
    typical = float(np.median(dark.variance_adu2)) / dark.n_frames
    pattern2 = max(robust_sigma(level) ** 2 - typical, 0.0)
    own = np.maximum(dark.variance_adu2 / np.float32(dark.n_frames), np.float32(typical))
    deviate = student_deviate(OUTLIER_SIGMAS, dark.n_frames - 1)
    limit = np.sqrt(np.float32(OUTLIER_SIGMAS**2 * pattern2) + np.float32(deviate**2) * own)
    return level > limit, level < -limit


def is_trusted(dark: PixelMoments) -> NDArray[np.bool_]:
    """Return where neither level nor noise in the dark is an outlier, (y, x)."""
    is_high, is_low = odd_levels(dark)
    return ~(is_high | is_low | is_high_noise(dark.variance_adu2, dark.n_frames))


def common_variance_adu2(moments: PixelMoments) -> float:
    """Return the variance in time that all pixels share: drift and flicker of lamp or offset, ADU².

    That of the frame means, less what the pixels' own noise leaves in a mean over so many of them.
    """
    own = float(np.mean(moments.variance_adu2, dtype=np.float64)) / moments.mean_adu.size
    return max(0.0, float(np.var(moments.frame_means_adu, ddof=1)) - own)


def need_frames(moments: PixelMoments, n_frames: int, name: str) -> None:
    """Raise InputError unless there are so many usable frames, of pixels that have neighbours on all sides."""
    if min(moments.mean_adu.shape) < LEAST_SIDE_PX:
        rows, columns = moments.mean_adu.shape
        raise InputError(
            f"expected {name} frames of at least {LEAST_SIDE_PX} x {LEAST_SIDE_PX} pixels; got {rows} x {columns}"
        )
    if moments.n_frames < n_frames:
        raise InputError(
            f"expected at least {n_frames} usable {name} frames; got {moments.n_frames}, left out: "
            f"{counted(moments.n_rejected)}. Acquire more"
        )


def need_same_shape(first: PixelMoments, second: PixelMoments) -> None:
    """Raise InputError unless both series are of the same sensor area."""
    if first.mean_adu.shape != second.mean_adu.shape:
        raise InputError(
            f"expected dark and bright frames of one shape; got {first.mean_adu.shape} and "
            f"{second.mean_adu.shape}. Use the same region of interest and binning."
        )
