"""Slow and obvious oracles: what every kernel must agree with. Plain Python, no numpy tricks, no shared code."""

from __future__ import annotations

import math
from typing import Any


def image_checks(pixels: list[float], full_scale_adu: float) -> dict[str, Any]:
    """Return the figures of `qc_routines.image_checks` for a flat list of pixels."""
    finite = [value for value in pixels if math.isfinite(value)]
    return {
        "n_pixels": len(pixels),
        "n_not_finite": len(pixels) - len(finite),
        "n_saturated": len([value for value in finite if value >= full_scale_adu]),
        "n_at_minimum": len([value for value in finite if value <= 0]),
        "minimum_adu": min(finite, default=None),
        "maximum_adu": max(finite, default=None),
        "mean_adu": math.fsum(finite) / len(finite) if finite else None,
    }


def bits_used(counts: list[int]) -> int:
    """Return the number of bits from the lowest to the highest that is set in any count."""
    set_bits = [bit for bit in range(64) if any(count >> bit & 1 for count in counts)]
    return max(set_bits) - min(set_bits) + 1 if set_bits else 0


# ---- point spread functions


def gaussian_e(parameters: list[float], z: float, y: float, x: float) -> float:
    """Return background + amplitude exp(-(r - c) P (r - c) / 2); the parameters as in `qc_routines.psf._gaussian`."""
    background, amplitude, cz, cy, cx, pzz, pyy, pxx, pzy, pzx, pyx = parameters
    offset = [z - cz, y - cy, x - cx]
    precision = [[pzz, pzy, pzx], [pzy, pyy, pyx], [pzx, pyx, pxx]]
    exponent = sum(offset[i] * precision[i][j] * offset[j] for i in range(3) for j in range(3))
    return background + amplitude * math.exp(-exponent / 2)


def poisson_deviance(parameters: list[float], voxels: list[tuple], variance_e2: float) -> float:
    """Return twice the log likelihood that the data lose to a model; `voxels` are (electrons, z, y, x)."""
    total = 0.0
    for electrons, z, y, x in voxels:
        mean, count = gaussian_e(parameters, z, y, x) + variance_e2, electrons + variance_e2
        total += 2 * (mean - count + (count * math.log(count / mean) if count > 0 else 0.0))
    return total


def ellipsoid(stack: Any, is_defect: Any, centre: Any, half: Any, others: Any, radius: float) -> list[tuple]:
    """Return (counts, z, y, x) of the voxels within half axes of a centre, and not within a share of them of others."""

    def distance(place: tuple, middle: Any) -> float:
        return math.sqrt(sum(((p - c) / h) ** 2 for p, c, h in zip(place, middle, half, strict=True)))

    planes, rows, columns = stack.shape
    places = [(z, y, x) for z in range(planes) for y in range(rows) for x in range(columns)]
    return [
        (float(stack[place]), *place)
        for place in places
        if distance(place, centre) <= 1
        and not is_defect[place[1:]]
        and math.isfinite(stack[place])
        and all(distance(place, other) >= radius for other in others)
    ]


def block_means(stack: Any, is_defect: Any, block: tuple[int, int, int]) -> dict[tuple, float]:
    """Return block index to mean over finite voxels that are no defects; NaN of none."""
    counts = [length // size for length, size in zip(stack.shape, block, strict=True)]
    means = {}
    for index in [(a, b, c) for a in range(counts[0]) for b in range(counts[1]) for c in range(counts[2])]:
        values = [
            float(stack[z, y, x])
            for z in range(index[0] * block[0], (index[0] + 1) * block[0])
            for y in range(index[1] * block[1], (index[1] + 1) * block[1])
            for x in range(index[2] * block[2], (index[2] + 1) * block[2])
            if not is_defect[y, x] and math.isfinite(stack[z, y, x])
        ]
        means[index] = sum(values) / len(values) if values else math.nan
    return means


def smoothed(volume: Any, weights: list[Any]) -> dict[tuple, float]:
    """Return the weighted means over all voxels in reach, along z, y, x at once; exact where nothing is NaN."""
    planes, rows, columns = volume.shape
    result = {}
    for z, y, x in [(z, y, x) for z in range(planes) for y in range(rows) for x in range(columns)]:
        total = norm = 0.0
        for zz in range(max(0, z - len(weights[0]) + 1), min(planes, z + len(weights[0]))):
            for yy in range(max(0, y - len(weights[1]) + 1), min(rows, y + len(weights[1]))):
                for xx in range(max(0, x - len(weights[2]) + 1), min(columns, x + len(weights[2]))):
                    weight = weights[0][abs(zz - z)] * weights[1][abs(yy - y)] * weights[2][abs(xx - x)]
                    total += weight * float(volume[zz, yy, xx])
                    norm += weight
        result[z, y, x] = total / norm
    return result


def local_maxima(volume: Any, least: float) -> list[tuple[int, int, int]]:
    """Return the voxels above a level that are the first of the highest among the 27 about them."""
    planes, rows, columns = volume.shape
    found = []
    for z, y, x in [(z, y, x) for z in range(planes) for y in range(rows) for x in range(columns)]:
        around = [
            (-float(volume[zz, yy, xx]), zz, yy, xx)
            for zz in range(max(0, z - 1), min(planes, z + 2))
            for yy in range(max(0, y - 1), min(rows, y + 2))
            for xx in range(max(0, x - 1), min(columns, x + 2))
        ]
        if volume[z, y, x] > least and min(around)[1:] == (z, y, x):
            found.append((z, y, x))
    return found


def tile_noise(values: list[float]) -> tuple[float, float]:
    """Return median and median less 16th percentile of a tile, both as elements of the sorted finite values."""
    ordered = sorted(value for value in values if math.isfinite(value))
    middle = ordered[len(ordered) // 2]
    return middle, middle - ordered[16 * len(ordered) // 100]


def signal_and_ring(plane: Any, centre_yx: tuple, radii_um: tuple, pixel_yx_um: tuple) -> tuple[float, float]:
    """Return the mean within the first radius and the median between the second and third."""
    inside, ring = [], []
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            away = math.hypot((y - centre_yx[0]) * pixel_yx_um[0], (x - centre_yx[1]) * pixel_yx_um[1])
            if away <= radii_um[0]:
                inside.append(float(plane[y, x]))
            elif radii_um[1] <= away <= radii_um[2]:
                ring.append(float(plane[y, x]))
    ring.sort()
    middle = len(ring) // 2
    return sum(inside) / len(inside), ring[middle] if len(ring) % 2 else (ring[middle - 1] + ring[middle]) / 2
