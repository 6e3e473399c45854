"""Checks that any camera frame can be put to: is it saturated, cut off at the bottom, does it use its bits?

Symbols: an *image* holds camera counts (ADU); its *full scale* is 2^bit_depth - 1, the largest count the camera
can give at that bit depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel
from qc_routines.errors import InputError

COUNTS = ("uint8", "uint16", "uint32")
GREY_LEVELS = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class ImageChecks:
    """Figures of one image.

    Attributes
    ----------
    n_pixels : int
        All pixels.
    n_not_finite : int
        Pixels that are NaN or infinite; no other figure but `n_pixels` counts them.
    n_saturated : int or None
        Pixels at or above full scale; None when full scale is unknown (floating-point image, no `bit_depth`).
    n_at_minimum : int
        Pixels at or below 0 ADU, the least a camera can give: the offset or the light is set too low.
    minimum_adu, maximum_adu, mean_adu : float or None
        Over all finite pixels, ADU; None when there is none.
    bits_used : int or None
        Bits from the lowest to the highest that is set in any pixel: 12 for a 12-bit camera, also when its counts
        were shifted up to fill 16. None for floating-point images.
    """

    n_pixels: int
    n_not_finite: int
    n_saturated: int | None
    n_at_minimum: int
    minimum_adu: float | None
    maximum_adu: float | None
    mean_adu: float | None
    bits_used: int | None


def image_checks(image: NDArray[np.generic], bit_depth: int | None = None) -> ImageChecks:
    """Return the figures of one camera image.

    Parameters
    ----------
    image : ndarray, any shape with at least one pixel
        Camera counts in ADU, dtype uint8, uint16, uint32, float32 or float64. It is not changed; it is copied only
        when it is not contiguous. NaN and infinite pixels are masked: counted, and left out of all other figures.
    bit_depth : int, optional
        Bits of the camera's counts. Without it, an unsigned integer type is taken to use all its bits: a 12-bit
        camera in a 16-bit image then never looks saturated, so state it where it is known.

    Returns
    -------
    ImageChecks
        Numbers without a verdict; limits belong to the caller.

    Raises
    ------
    InputError
        No array, an unsupported dtype, no pixel, or a bit depth that is out of range.

    Notes
    -----
    Commercial acceptance checks warn at 0.01 % and fail at 0.08 % of pixels at the maximum.

    Examples
    --------
    >>> checks = image_checks(np.array([[0, 100], [200, 4095]], dtype=np.uint16), bit_depth=12)
    >>> checks.n_saturated, checks.n_at_minimum, checks.bits_used
    (1, 1, 12)
    """
    pixels = _checked_pixels(image)
    full_scale_adu = _full_scale_adu(pixels.dtype, bit_depth)
    n_finite, n_saturated, n_at_minimum, minimum, maximum, total = _scan(pixels, full_scale_adu)
    return ImageChecks(
        n_pixels=pixels.size,
        n_not_finite=pixels.size - n_finite,
        n_saturated=n_saturated if isfinite(full_scale_adu) else None,
        n_at_minimum=n_at_minimum,
        minimum_adu=minimum if n_finite else None,
        maximum_adu=maximum if n_finite else None,
        mean_adu=total / n_finite if n_finite else None,
        bits_used=_bits_used(pixels),
    )


def _checked_pixels(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the pixels as one contiguous row in native byte order."""
    if not isinstance(image, np.ndarray):
        raise InputError(f"expected a numpy array; got {type(image).__name__}. Convert it with np.asarray.")
    if image.dtype.name not in COUNTS + GREY_LEVELS:
        raise InputError(
            f"expected counts as {', '.join(COUNTS)} or grey levels as {', '.join(GREY_LEVELS)}; "
            f"got {image.dtype.name}. Convert the image to the type the camera delivered."
        )
    if image.size == 0:
        raise InputError(f"expected at least one pixel; got an image of shape {image.shape}")
    return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("=")).reshape(-1)


def _full_scale_adu(dtype: np.dtype, bit_depth: int | None) -> float:
    """Return the largest count possible, ADU; infinity when nobody knows."""
    is_counts = dtype.name in COUNTS
    if bit_depth is None:
        return float(np.iinfo(dtype).max) if is_counts else np.inf
    largest = dtype.itemsize * 8 if is_counts else 32
    is_whole = isinstance(bit_depth, int | np.integer) and not isinstance(bit_depth, bool)
    if not is_whole or not 1 <= bit_depth <= largest:
        raise InputError(f"expected a bit_depth of 1 to {largest} for {dtype.name}; got {bit_depth!r}")
    return float(2 ** int(bit_depth) - 1)


def _bits_used(pixels: NDArray[np.generic]) -> int | None:
    if pixels.dtype.name not in COUNTS:
        return None
    ever_set = int(np.bitwise_or.reduce(pixels))
    lowest_set = ever_set & -ever_set
    return (ever_set // lowest_set).bit_length() if ever_set else 0


@kernel
def _scan(pixels: NDArray[np.generic], full_scale_adu: float) -> tuple[int, int, int, float, float, float]:
    """Return n_finite, n_saturated, n_at_minimum, minimum, maximum and sum in one pass."""
    n_finite, n_saturated, n_at_minimum = 0, 0, 0
    minimum, maximum, total = np.inf, -np.inf, 0.0
    for i in range(pixels.size):
        value = float(pixels[i])
        if not np.isfinite(value):
            continue
        n_finite += 1
        n_saturated += int(value >= full_scale_adu)
        n_at_minimum += int(value <= 0.0)
        minimum = min(minimum, value)
        maximum = max(maximum, value)
        total += value
    return n_finite, n_saturated, n_at_minimum, minimum, maximum, total
