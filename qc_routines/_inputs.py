"""Checks of arrays that all routines share: what comes in is counts with the right number of axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError

COUNTS = ("uint8", "uint16", "uint32")
GREY_LEVELS = ("float32", "float64")
COLOUR_PLANES = (3, 4)
CLIPPED_AT_ADU = frozenset(2**bits - 1 for bits in (8, 9, 10, 11, 12, 13, 14, 15))
"""Full scale of cameras that deliver fewer bits than their counts have."""
LEAST_CLIPPED_PIXELS = 16
"""One bright pixel may be at such a count by chance."""


def checked_counts(array: NDArray[np.generic], axes: str, name: str = "array") -> NDArray[np.generic]:
    """Return the array in C order and native byte order; itself when it is so already.

    Parameters
    ----------
    array : ndarray
        Camera counts, ADU; dtype uint8, uint16, uint32, float32 or float64.
    axes : str
        One letter for each axis that is expected, slowest first: ``ZYX``.
    name : str
        What the messages call it.

    Raises
    ------
    InputError
        No array, another dtype, another number of axes, no pixel, or an RGB image.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f"expected {name} as a numpy array; got {type(array).__name__}. Use np.asarray.")
    if array.dtype.name not in COUNTS + GREY_LEVELS:
        raise InputError(
            f"expected {name} in counts as {', '.join(COUNTS)} or grey levels as {', '.join(GREY_LEVELS)}; "
            f"got {array.dtype.name}. Convert it to the type the camera delivered."
        )
    _check_axes(array, axes, name)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _check_axes(array: NDArray[np.generic], axes: str, name: str) -> None:
    expected = ", ".join(axes)
    if array.ndim >= len(axes) and array.ndim > 2 and array.shape[-1] in COLOUR_PLANES:
        raise InputError(
            f"expected {name} with axes ({expected}); got shape {array.shape}, whose last axis looks like colours "
            "(RGB) or was swapped with another. Give one channel, with x as the last axis."
        )
    if array.ndim != len(axes):
        raise InputError(
            f"expected {name} with {len(axes)} axes ({expected}); got {array.ndim} axes, shape {array.shape}"
        )
    if array.size == 0:
        raise InputError(f"expected {name} with at least one pixel; got shape {array.shape}")


def full_scale_adu(array: NDArray[np.generic], stated_adu: float | None) -> float:
    """Return the largest count possible, ADU: as stated, else where the counts are clipped, else of the integer type.

    A 12-bit camera delivers uint16 and stops at 4095. So a largest count of 2^bits - 1 that many pixels share is taken
    for full scale. Grey levels have none: infinity.

    Examples
    --------
    >>> full_scale_adu(np.full((8, 8), 4095, np.uint16), None)
    4095.0
    >>> full_scale_adu(np.arange(64, dtype=np.uint16).reshape(8, 8), None)
    65535.0
    """
    if stated_adu is not None:
        return float(stated_adu)
    if array.dtype.name not in COUNTS:
        return np.inf
    largest = int(array.max())
    if largest in CLIPPED_AT_ADU and np.count_nonzero(array == largest) >= LEAST_CLIPPED_PIXELS:
        return float(largest)
    return float(np.iinfo(array.dtype).max)
