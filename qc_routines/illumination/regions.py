"""Places in an illuminated field: centres of its zone, nine tiles, reference points, profiles."""

from __future__ import annotations

from math import hypot, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from qc_routines.peak_surface import Peak
from qc_routines.results import Figure
from qc_routines.tiles import TileMap, tile_map

LEVELS_PERCENT = (50, 75, 90, 95)
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "center", "right")
BOX_TILE_PX = 8


def zone_centres(
    relative: NDArray[np.float64], tiles: TileMap, level: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the plain and the intensity-weighted centroid of the zone above a level, (y, x), px.

    Tiles on the border of the zone count in part, from the slope of the map across them: the centroid moves smoothly
    with the light and not in steps of a tile.
    """
    values = np.where(np.isfinite(relative), relative, 0.0)
    slope = np.hypot(*np.gradient(values)) if min(values.shape) > 1 else np.zeros_like(values)
    covered = np.clip((values - level) / np.maximum(slope, 1e-9) + 0.5, 0.0, 1.0)
    return _centroid(covered, tiles), _centroid(covered * values, tiles)


def _centroid(weights: NDArray[np.float64], tiles: TileMap) -> tuple[float, float]:
    total = weights.sum()
    return float(weights.sum(axis=1) @ tiles.y_px / total), float(weights.sum(axis=0) @ tiles.x_px / total)


def nine_tiles(
    pixels: NDArray[np.generic], dark: NDArray[np.generic] | float | None, fraction: float, top: Peak
) -> list[Figure]:
    """Return mean signal over the maximum in squares at corners, edges and middle, and the four corners' mean."""
    side_px = max(2, int(fraction * sum(pixels.shape) / 2))
    figures: list[Figure] = []
    for i, row in enumerate(ROWS):
        for j, column in enumerate(COLUMNS):
            box = tuple(slice(k * (n - side_px) // 2, k * (n - side_px) // 2 + side_px)
                        for k, n in zip((i, j), pixels.shape, strict=True))  # fmt: skip
            signal, sigma = _box_signal(pixels, dark, box)
            relative = signal / top.height
            noise = hypot(sigma / side_px / top.height, relative * top.height_uncertainty / top.height)
            figures.append(Figure(f"{row}_{column}_ratio", relative, "1", noise, side_px**2))
    corners = [f for f in figures if not {"middle", "center"} & set(f.name.split("_"))]
    if any(f.value is None for f in corners):  # a corner that nobody knows
        return [*figures, Figure("corner_ratio", None, "1"), Figure("corner_ratio_least", None, "1")]
    mean, least = sum(f.value for f in corners) / 4, min(corners, key=lambda f: f.value)
    shared = top.height_uncertainty / top.height
    own = sqrt(sum(max(f.uncertainty**2 - (f.value * shared) ** 2, 0.0) for f in corners)) / 4
    figures.append(Figure("corner_ratio", mean, "1", hypot(own, mean * shared), 4 * side_px**2))
    figures.append(Figure("corner_ratio_least", least.value, "1", least.uncertainty, side_px**2))
    return figures


def _box_signal(
    pixels: NDArray[np.generic], dark: NDArray[np.generic] | float | None, box: tuple[slice, ...]
) -> tuple[float, float]:
    """Return mean signal and typical standard deviation of a pixel in a box."""
    if not np.isfinite(pixels[box]).any():
        return nan, nan
    tiles = tile_map(np.ascontiguousarray(pixels[box]), BOX_TILE_PX)
    signal = float(np.nanmean(tiles.mean_adu))
    if isinstance(dark, np.ndarray):
        signal -= float(np.nanmean(tile_map(np.ascontiguousarray(dark[box]), BOX_TILE_PX).mean_adu))
    elif dark is not None:
        signal -= dark
    return signal, float(np.nanmedian(tiles.sigma_adu))


def reference_points(
    relative: NDArray[np.float64],
    maximum_adu: float,
    tiles: TileMap,
    shape_yx: tuple[int, int],
    centres: dict[str, tuple[float, float] | None],
    pixel_size_um: float | None,
) -> dict[str, NDArray[np.generic]]:
    """Return the table of corners, edges, middle and centres: place, signal, distance from the middle."""
    ends = [(0.0, (n - 1) / 2, n - 1.0) for n in shape_yx]
    places = {
        f"{row} {column}": (ends[0][i], ends[1][j])
        for i, row in enumerate(ROWS)
        for j, column in enumerate(COLUMNS)
    }
    places |= {f"centre by {name}": centre for name, centre in centres.items() if centre is not None}
    yx = np.array(list(places.values()))
    values = np.array([value_at(relative, tiles, y, x) for y, x in yx])
    away_px = np.hypot(yx[:, 0] - ends[0][1], yx[:, 1] - ends[1][1])
    table = {
        "place": np.array(list(places)),
        "y_px": yx[:, 0],
        "x_px": yx[:, 1],
        "signal_adu": values * maximum_adu,
        "relative_intensity": values,
        "distance_px": away_px,
    }
    return table if pixel_size_um is None else table | {"distance_um": away_px * pixel_size_um}


def value_at(values: NDArray[np.float64], tiles: TileMap, y_px: float, x_px: float) -> float:
    """Return the map at a place, linear between the centres of tiles and level beyond the outermost."""
    column = [np.interp(x_px, tiles.x_px, row) for row in values]
    return float(np.interp(y_px, tiles.y_px, column))


def profiles(
    relative: NDArray[np.float64], tiles: TileMap, centre_yx: tuple[float, float]
) -> dict[str, NDArray[np.float64]]:
    """Return relative intensity along the row and the column through the centre and along both diagonals."""
    y, x = tiles.y_px, tiles.x_px
    n = max(y.size, x.size)
    along = np.linspace(0, 1, n)
    down, right = y[0] + along * (y[-1] - y[0]), x[0] + along * (x[-1] - x[0])
    lines = {
        "profile_horizontal": [(centre_yx[0], at) for at in x],
        "profile_vertical": [(at, centre_yx[1]) for at in y],
        "profile_diagonal_down": list(zip(down, right, strict=True)),
        "profile_diagonal_up": list(zip(down[::-1], right, strict=True)),
    }
    return {name: _sampled(relative, tiles, np.array(line)) for name, line in lines.items()}


def _sampled(values: NDArray[np.float64], tiles: TileMap, yx: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the map at many places (n, 2), bilinear."""
    fy = np.interp(yx[:, 0], tiles.y_px, np.arange(tiles.y_px.size))
    fx = np.interp(yx[:, 1], tiles.x_px, np.arange(tiles.x_px.size))
    y0 = np.minimum(fy.astype(int), max(values.shape[0] - 2, 0))
    x0 = np.minimum(fx.astype(int), max(values.shape[1] - 2, 0))
    y1, x1 = np.minimum(y0 + 1, values.shape[0] - 1), np.minimum(x0 + 1, values.shape[1] - 1)
    wy, wx = fy - y0, fx - x0
    upper = values[y0, x0] * (1 - wx) + values[y0, x1] * wx
    lower = values[y1, x0] * (1 - wx) + values[y1, x1] * wx
    return upper * (1 - wy) + lower * wy
