"""What a frame holds, in a few numbers, for who decides or watches without seeing it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

N_BRIGHTEST = 10
"""Pixels that are passed over as possible defects when the brightest thing in a frame is looked for."""
CLIPPED_PART = 0.98
"""Of full scale: from here on a pixel counts as clipped; cameras clip a little below the end of their converter."""
MOST_PIXELS = 300_000
"""Of a frame that is merely watched."""


def frame_numbers(frame: NDArray[np.generic], bit_depth: int) -> dict[str, Any]:
    """Return level, counts and sharpness of a frame.

    Parameters
    ----------
    frame : ndarray, (y, x) or (y, x, colour)
        ADU.
    bit_depth : int
        Of the camera.

    Returns
    -------
    dict
        ``mean_adu``, ``least_adu``, ``largest_adu``; ``field_adu`` and ``beads_adu``, exceeded by 1 % of the pixels and by
        ten of them; ``full_scale_adu``; ``clipped_fraction``; and ``focus_score``, mean squared difference of pixels two
        apart (Brenner et al. 1976, doi:10.1177/24.1.1254907) over the squared mean, for comparison within one series.
    """
    full_adu = float(2**bit_depth - 1)
    pixels = np.asarray(frame)
    pixels = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    flat = pixels.ravel()
    kths = (max(flat.size - 1 - flat.size // 100, 0), max(flat.size - 1 - N_BRIGHTEST, 0))
    field_adu, beads_adu = (float(np.partition(flat, kths)[k]) for k in kths)
    mean_adu = float(flat.mean(dtype=np.float64))
    return {
        "mean_adu": mean_adu,
        "least_adu": float(flat.min()),
        "largest_adu": float(flat.max()),
        "field_adu": field_adu,
        "beads_adu": beads_adu,
        "full_scale_adu": full_adu,
        "clipped_fraction": float(np.count_nonzero(flat >= CLIPPED_PART * full_adu)) / flat.size,
        "focus_score": _sharpness(pixels) / max(mean_adu, 1.0) ** 2,
    }


def watched_numbers(frame: NDArray[np.generic], bit_depth: int) -> dict[str, Any]:
    """Return the same of the middle of a large frame, which costs a few ms at most."""
    rows, columns = frame.shape[:2]
    part = min(1.0, (MOST_PIXELS / (rows * columns)) ** 0.5)
    height, width = int(rows * part), int(columns * part)
    y, x = (rows - height) // 2, (columns - width) // 2
    return frame_numbers(frame[y : y + height, x : x + width], bit_depth)


def _sharpness(pixels: NDArray[np.generic]) -> float:
    if min(pixels.shape) < 3:
        return 0.0
    values = pixels.astype(np.float32)
    across, down = values[:, 2:] - values[:, :-2], values[2:] - values[:-2]
    return float(np.mean(across**2, dtype=np.float64) + np.mean(down**2, dtype=np.float64))
