"""Bright dots on a dark ground: where each one's centre is, to a fraction of a pixel.

Positions are (y, x), px, the centre of the first pixel is 0.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel
from qc_routines.errors import InputError
from qc_routines.tiles import tile_map

ABOVE_NOISE_SIGMAS = 6.0
LEVEL = 0.35
"""Part of the typical dot's height above ground at which dots are cut out."""
LEAST_PIXELS = 4
SIZE_FACTOR = 4.0
"""A component this many times larger or smaller than the typical one is no dot."""
REASONS = ("at the border", "too small", "too large")


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """Dots of an image.

    Attributes
    ----------
    centroid_yx_px : ndarray, float64, (n, 2)
        Centres of intensity above ground.
    peak_adu : ndarray, float64, (n,)
        Largest count above ground of each.
    n_rejected : dict of str to int
        Bright components that are no dots, by reason.
    """

    centroid_yx_px: NDArray[np.float64]
    peak_adu: NDArray[np.float64]
    n_rejected: dict[str, int]


def find_spots(image: NDArray[np.generic]) -> Spots:
    """Return the dots of a checked image (y, x).

    Raises
    ------
    InputError
        Nothing stands out of the noise.
    """
    values = np.where(np.isfinite(image), image, np.nanmin(image)).astype(np.float64)
    ground, noise_adu = _ground(values)
    above = values - ground
    typical_adu = _typical_height(above, noise_adu)
    labels, n = label_components(above > LEVEL * typical_adu)
    sums = _component_sums(above, LEVEL * typical_adu * 0.5, labels, n)
    area, weight, at_y, at_x, peak, is_cut = sums.T
    centroid = np.stack([at_y, at_x], axis=1) / np.maximum(weight, 1e-12)[:, None]
    usual = float(np.median(area[area >= LEAST_PIXELS])) if (area >= LEAST_PIXELS).any() else 0.0
    reasons = np.select(
        [area < max(LEAST_PIXELS, usual / SIZE_FACTOR), area > usual * SIZE_FACTOR, is_cut > 0], [1, 2, 0], -1
    )
    kept = reasons < 0
    counts = Counter(REASONS[r] for r in reasons[~kept])
    return Spots(centroid[kept], peak[kept], dict(counts))


def label_components(is_bright: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return a number for each 8-connected component of a mask (y, x), 0 elsewhere, and how many there are."""
    return _labelled(np.ascontiguousarray(is_bright, dtype=bool))


def _ground(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return level and noise of the ground: of the darker half of the pixels."""
    level = float(np.percentile(values, 25))
    below = values[values <= np.median(values)]
    noise_adu = 1.4826 * float(np.median(np.abs(below - np.median(below)))) * 2
    smooth = tile_map(values, max(4, min(values.shape) // 16))
    return min(level, float(np.nanpercentile(smooth.mean_adu, 50))), max(noise_adu, 1e-9)


def _typical_height(above: NDArray[np.float64], noise_adu: float) -> float:
    """Return how far a typical dot stands out: the median over tiles of the brightest pixel but a few."""
    side = max(8, min(above.shape) // 12)
    tops = [
        np.partition(tile.ravel(), -2)[-2]
        for rows in np.array_split(above, max(1, above.shape[0] // side), axis=0)
        for tile in np.array_split(rows, max(1, above.shape[1] // side), axis=1)
    ]
    bright = [top for top in tops if top > ABOVE_NOISE_SIGMAS * noise_adu]
    if not bright:
        raise InputError(
            f"expected bright dots; got nothing more than {ABOVE_NOISE_SIGMAS:g} sigma above the ground. Check focus, "
            "light and exposure."
        )
    return float(np.median(bright))


@kernel
def _labelled(is_bright):  # type: ignore[no-untyped-def]
    """Return a number for each 8-connected component (0: none) and how many there are, by flood fill."""
    n_y, n_x = is_bright.shape
    labels = np.zeros((n_y, n_x), np.int32)
    stack = np.empty(is_bright.size, np.int64)
    n = 0
    for start_y in range(n_y):
        for start_x in range(n_x):
            if not is_bright[start_y, start_x] or labels[start_y, start_x]:
                continue
            n += 1
            labels[start_y, start_x] = n
            stack[0] = start_y * n_x + start_x
            depth = 1
            while depth:
                depth -= 1
                y, x = divmod(stack[depth], n_x)
                for next_y in range(max(y - 1, 0), min(y + 2, n_y)):
                    for next_x in range(max(x - 1, 0), min(x + 2, n_x)):
                        if is_bright[next_y, next_x] and not labels[next_y, next_x]:
                            labels[next_y, next_x] = n
                            stack[depth] = next_y * n_x + next_x
                            depth += 1
    return labels, n


@kernel
def _component_sums(above, floor, labels, n):  # type: ignore[no-untyped-def]
    """Return for each component area, weight, weighted y and x, peak, and whether it touches the border.

    Weights are heights above `floor`, so that a pixel more or less at the rim moves a centroid little.
    """
    sums = np.zeros((n, 6))
    n_y, n_x = labels.shape
    for y in range(n_y):
        for x in range(n_x):
            i = labels[y, x] - 1
            if i < 0:
                continue
            weight = above[y, x] - floor
            sums[i, 0] += 1
            sums[i, 1] += weight
            sums[i, 2] += weight * y
            sums[i, 3] += weight * x
            sums[i, 4] = max(sums[i, 4], above[y, x])
            if y == 0 or x == 0 or y == n_y - 1 or x == n_x - 1:
                sums[i, 5] = 1
    return sums
