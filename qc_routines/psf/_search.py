"""Kernels that find beads in a stack without ever copying it whole.

Frame: voxel indices, axes z, y, x. A *block* is a few voxels along each axis, about half a bead; the stack is
averaged over blocks, smoothed with the bead's own width and searched for maxima above the local noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel

Array = NDArray[Any]


@kernel
def lowest_plane(stack: Array, first_row: int, last_row: int, lowest: Array) -> None:
    """Fill rows of `lowest` (y, x) with the minimum over z, NaN passed over; infinity where all are NaN."""
    for y in range(first_row, last_row):
        for x in range(stack.shape[2]):
            lowest[y, x] = np.inf
        for z in range(stack.shape[0]):
            for x in range(stack.shape[2]):
                value = np.float32(stack[z, y, x])
                if value < lowest[y, x]:
                    lowest[y, x] = value


@kernel
def mark_defects(lowest: Array, noise_adu: float, is_defect: Array) -> None:
    """Mark pixels whose minimum over z stands out from the eight around it more than any optics can do.

    Hot: `noise_adu` and three times the excess of the third brightest neighbour over the third darkest. Dead: as
    much below. A bead sampled well enough to be measured has three neighbours of at least 0.4 of its peak.
    """
    around = np.empty(8)
    rows, columns = lowest.shape
    for y in range(rows):
        for x in range(columns):
            value = lowest[y, x]
            if not np.isfinite(value):
                is_defect[y, x] = True
                continue
            n, n_below, n_above = 0, 0, 0
            for yy in range(max(0, y - 1), min(rows, y + 2)):
                for xx in range(max(0, x - 1), min(columns, x + 2)):
                    if yy != y or xx != x:
                        around[n] = lowest[yy, xx]
                        n_below += around[n] < value - noise_adu
                        n_above += around[n] > value + noise_adu
                        n += 1
            if n >= 5 and (n_below >= n - 2 or n_above >= n - 2):
                ordered = np.sort(around[:n])
                step = 3.0 * (ordered[n - 3] - ordered[2])
                is_defect[y, x] = value - ordered[n - 3] > step or ordered[2] - value > step


@kernel
def block_means(
    stack: Array, is_defect: Array, block_zyx: tuple[int, int, int], first_row: int, n_rows: int
) -> Array:
    """Return the means (z, y, x) of blocks of voxels, float32; without defects and NaN, NaN of nothing.

    Rows of blocks start at row `first_row` of the stack. Voxels that fill no block are left out.
    """
    bz, by, bx = block_zyx
    means = np.empty((stack.shape[0] // bz, n_rows, stack.shape[2] // bx), np.float32)
    sums, counts = np.empty(means.shape[2]), np.empty(means.shape[2])
    for z in range(means.shape[0]):
        for y in range(n_rows):
            sums[:] = 0.0
            counts[:] = 0.0
            for zz in range(z * bz, (z + 1) * bz):
                for yy in range(first_row + y * by, first_row + (y + 1) * by):
                    for x in range(means.shape[2]):
                        for xx in range(x * bx, (x + 1) * bx):
                            value = float(stack[zz, yy, xx])
                            if not is_defect[yy, xx] and np.isfinite(value):
                                sums[x] += value
                                counts[x] += 1.0
            for x in range(means.shape[2]):
                means[z, y, x] = sums[x] / counts[x] if counts[x] > 0.0 else np.nan
    return means


@kernel
def smooth(volume: Array, weights_z: Array, weights_y: Array, weights_x: Array) -> None:
    """Smooth in place along all axes with symmetric weights (centre first); edges and NaN are weighted out."""
    _smooth_lines(volume, weights_x, 2)
    _smooth_lines(volume, weights_y, 1)
    _smooth_lines(volume, weights_z, 0)


@kernel
def _smooth_lines(volume: Array, weights: Array, axis: int) -> None:
    """Smooth along one axis, row by row: for axes 0 and 1 a row is added to the rows around it."""
    nz, ny, nx = volume.shape
    n_lines, length = (ny, nz) if axis == 0 else (nz, ny)
    if axis == 2:
        n_lines, length = nz * ny, 1
    source = np.empty((length, nx), np.float32)
    total, norm = np.empty(nx, np.float32), np.empty(nx, np.float32)
    for line in range(n_lines):
        for i in range(length):
            z, y = (i, line) if axis == 0 else (line, i)
            if axis == 2:
                z, y = line // ny, line % ny
            source[i] = volume[z, y]
        for i in range(length):
            total[:] = 0.0
            norm[:] = 0.0
            for k in range(1 - weights.size, weights.size):
                weight = weights[abs(k)]
                if axis == 2:
                    for x in range(max(0, -k), min(nx, nx - k)):
                        value = source[0, x + k]
                        if value == value:
                            total[x] += weight * value
                            norm[x] += weight
                elif 0 <= i + k < length:
                    for x in range(nx):
                        value = source[i + k, x]
                        if value == value:
                            total[x] += weight * value
                            norm[x] += weight
            z, y = (i, line) if axis == 0 else (line, i)
            if axis == 2:
                z, y = line // ny, line % ny
            for x in range(nx):
                volume[z, y, x] = total[x] / norm[x] if norm[x] > 0.0 else np.nan


@kernel
def tile_noise(volume: Array, tile_zyx: tuple[int, int, int], least_noise: float) -> tuple[Array, Array]:
    """Return median and noise (z, y, x) of tiles: noise is the median minus the 16th percentile, one sigma.

    The lower side alone, because beads are on the upper. NaN and noise infinity where nothing is finite.
    """
    nz, ny, nx = volume.shape
    tz, ty, tx = tile_zyx
    shape = ((nz + tz - 1) // tz, (ny + ty - 1) // ty, (nx + tx - 1) // tx)
    middles, noises = np.empty(shape), np.empty(shape)
    sample = np.empty(tz * ty * tx, np.float32)
    stride = 1 + tz * ty * tx // 4096
    for a in range(shape[0]):
        for b in range(shape[1]):
            for c in range(shape[2]):
                n, count = 0, 0
                for z in range(a * tz, min(nz, (a + 1) * tz)):
                    for y in range(b * ty, min(ny, (b + 1) * ty)):
                        for x in range(c * tx, min(nx, (c + 1) * tx)):
                            count += 1
                            if count % stride == 0 and np.isfinite(volume[z, y, x]):
                                sample[n] = volume[z, y, x]
                                n += 1
                middles[a, b, c], noises[a, b, c] = np.nan, np.inf
                if n > 0:
                    ordered = np.sort(sample[:n])
                    middles[a, b, c] = ordered[n // 2]
                    noises[a, b, c] = max(float(ordered[n // 2] - ordered[(16 * n) // 100]), least_noise)
    return middles, noises


@kernel
def maxima(
    volume: Array,
    tile_zyx: tuple[int, int, int],
    middles: Array,
    noises: Array,
    threshold_sigma: float,
    first_row: int,
    last_row: int,
) -> tuple[list[tuple[int, int, int]], list[float], list[float]]:
    """Return places (n, 3), heights over the background and heights in noise units (n,) of local maxima.

    A maximum is higher than the 26 around it; of equal ones the first counts. Rows outside first_row..last_row are
    looked at as neighbours only.
    """
    places, heights, scores = [(0, 0, 0)], [0.0], [0.0]
    nz, _, nx = volume.shape
    for z in range(nz):
        for y in range(first_row, last_row):
            for x in range(nx):
                value = volume[z, y, x]
                tile = (z // tile_zyx[0], y // tile_zyx[1], x // tile_zyx[2])
                if not value - middles[tile] > threshold_sigma * noises[tile]:
                    continue
                if _is_highest(volume, z, y, x):
                    places.append((z, y, x))
                    heights.append(value - middles[tile])
                    scores.append((value - middles[tile]) / noises[tile])
    return places[1:], heights[1:], scores[1:]


@kernel
def _is_highest(volume: Array, z: int, y: int, x: int) -> bool:
    nz, ny, nx = volume.shape
    value = volume[z, y, x]
    for zz in range(max(0, z - 1), min(nz, z + 2)):
        for yy in range(max(0, y - 1), min(ny, y + 2)):
            for xx in range(max(0, x - 1), min(nx, x + 2)):
                other = volume[zz, yy, xx]
                is_before = (zz, yy, xx) < (z, y, x)
                if other > value or (other == value and is_before):
                    return False
    return True
