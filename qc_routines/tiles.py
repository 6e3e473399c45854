"""An image as a coarse map of robust means: small enough to fit surfaces to, and blind to hot pixels.

The tiles of a map divide the image as evenly as whole pixels allow; y before x. Positions are in pixels, the centre
of the first pixel is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel

MAD_TO_SIGMA = 1.4826
SUSPICIOUS_SIGMAS = 5.0
"""A pixel so far from its tile's mean makes the tile be looked at closely, and so far from its median leaves it out."""


@dataclass(frozen=True, slots=True, eq=False)
class TileMap:
    """Robust means of the tiles of an image.

    Attributes
    ----------
    mean_adu : ndarray, float64, (n_y, n_x)
        NaN where no pixel of a tile is finite.
    sigma_adu : ndarray, float64, (n_y, n_x)
        Standard deviation of the pixels that entered.
    y_px, x_px : ndarray, float64, (n_y,) and (n_x,)
        Centres of the tiles.
    n_outliers, n_not_finite : int
        Pixels left out.
    n_saturated : int
        Pixels at full scale or above.
    """

    mean_adu: NDArray[np.float64]
    sigma_adu: NDArray[np.float64]
    y_px: NDArray[np.float64]
    x_px: NDArray[np.float64]
    n_outliers: int
    n_not_finite: int
    n_saturated: int


def tile_map(image: NDArray[np.generic], tile_px: int, full_scale_adu: float = np.inf) -> TileMap:
    """Return the map of a checked image (y, x) in tiles of about `tile_px` pixels a side."""
    y_edges, x_edges = (_edges(n, tile_px) for n in image.shape)
    mean, sigma = np.empty((2, y_edges.size - 1, x_edges.size - 1))
    n_outliers, n_not_finite, n_saturated = _tile_means(image, y_edges, x_edges, full_scale_adu, mean, sigma)
    return TileMap(mean, sigma, _centres(y_edges), _centres(x_edges), n_outliers, n_not_finite, n_saturated)


def _edges(n_px: int, tile_px: int) -> NDArray[np.intp]:
    n_tiles = max(1, round(n_px / tile_px))
    return np.arange(n_tiles + 1) * n_px // n_tiles


def _centres(edges: NDArray[np.intp]) -> NDArray[np.float64]:
    return (edges[:-1] + edges[1:] - 1) / 2


@kernel
def _tile_means(image, y_edges, x_edges, full_scale, mean, sigma):  # type: ignore[no-untyped-def]
    """Fill mean and sigma of every tile; return n_outliers, n_not_finite, n_saturated."""
    n_outliers, n_not_finite, n_saturated = 0, 0, 0
    largest = (y_edges[1:] - y_edges[:-1]).max() * (x_edges[1:] - x_edges[:-1]).max()
    values = np.empty(largest)
    for i in range(y_edges.size - 1):
        for j in range(x_edges.size - 1):
            tile = image[y_edges[i] : y_edges[i + 1], x_edges[j] : x_edges[j + 1]]
            total, square, low, high = _sums(tile)
            n = tile.size
            mean[i, j] = float(tile[0, 0]) + total / n
            sigma[i, j] = np.sqrt(max(square - total * total / n, 0.0) / max(n - 1, 1))
            limit = min(SUSPICIOUS_SIGMAS, 0.7 * np.sqrt(n - 1.0)) * sigma[i, j]
            is_calm = np.isfinite(total) and high - mean[i, j] <= limit and mean[i, j] - low <= limit
            if is_calm and high < full_scale:
                continue
            mean[i, j], sigma[i, j], n_kept, n_finite, n_full = _trimmed(tile, values, full_scale)
            n_outliers += n_finite - n_kept
            n_not_finite += n - n_finite
            n_saturated += n_full
    return n_outliers, n_not_finite, n_saturated


@kernel
def _sums(tile):  # type: ignore[no-untyped-def]
    """Return sum and sum of squares of value - first, minimum and maximum; NaN spreads to the sums."""
    first = float(tile[0, 0])
    total, square, low, high = 0.0, 0.0, first, first
    for y in range(tile.shape[0]):
        row = tile[y]
        for x in range(row.size):
            value = float(row[x])
            d = value - first
            total += d
            square += d * d
            low = min(low, value)
            high = max(high, value)
    return total, square, low, high


@kernel
def _trimmed(tile, values, full_scale):  # type: ignore[no-untyped-def]
    """Return mean and sigma of a tile's pixels near its median, and n kept, n finite, n saturated."""
    n_finite, n_full = 0, 0
    for y in range(tile.shape[0]):
        for x in range(tile.shape[1]):
            value = float(tile[y, x])
            if np.isfinite(value):
                values[n_finite] = value
                n_finite += 1
                n_full += int(value >= full_scale)
    if n_finite == 0:
        return np.nan, np.nan, 0, 0, 0
    finite = values[:n_finite]
    median = np.median(finite)
    spread = MAD_TO_SIGMA * np.median(np.abs(finite - median))
    limit = SUSPICIOUS_SIGMAS * (spread if spread > 0 else finite.std())
    total, square, n_kept = 0.0, 0.0, 0
    for value in finite:
        if abs(value - median) <= limit:
            d = value - median
            total += d
            square += d * d
            n_kept += 1
    sigma = np.sqrt(max(square - total * total / n_kept, 0.0) / max(n_kept - 1, 1))
    return median + total / n_kept, sigma, n_kept, n_finite, n_full
