"""The signal of a field in tiles, and its top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts
from qc_routines.errors import InputError
from qc_routines.peak_surface import Peak, parabola_peak
from qc_routines.tiles import TileMap, tile_map

TILE_PX = 16
LEAST_SIDE_PX = 32
TOP_FRACTION = 0.2
"""Part of each side that the paraboloid about the brightest place spans."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Signal of a field in tiles.

    Attributes
    ----------
    signal_adu : ndarray, float64, (n_y, n_x)
        Signal of each tile.
    smooth_adu : ndarray, float64, (n_y, n_x)
        The same, averaged with its neighbours.
    tiles : TileMap
        Where the tiles are.
    shape_yx : tuple of int
        Of the image, px.
    """

    signal_adu: NDArray[np.float64]
    smooth_adu: NDArray[np.float64]
    tiles: TileMap
    shape_yx: tuple[int, int]


def checked_image(image: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the image in C order; InputError when it is no image of one channel or too small."""
    pixels = checked_counts(image, "YX", "image")
    if min(pixels.shape) < LEAST_SIDE_PX:
        raise InputError(
            f"expected an image of at least {LEAST_SIDE_PX} pixels a side; got shape {pixels.shape}"
        )
    return pixels


def checked_dark(
    dark: NDArray[np.generic] | float | None, pixels: NDArray[np.generic]
) -> NDArray[np.generic] | float | None:
    """Return the dark frame or offset; InputError when its shape is not the image's."""
    if dark is None or isinstance(dark, int | float | np.number):
        return None if dark is None else float(dark)
    frame = checked_counts(dark, "YX", "dark")
    if frame.shape != pixels.shape:
        raise InputError(f"expected a dark frame of the image's shape {pixels.shape}; got {frame.shape}")
    return frame


def field_of(pixels: NDArray[np.generic], dark: NDArray[np.generic] | float | None, full_adu: float) -> Field:
    """Return the signal of a checked image.

    Raises
    ------
    InputError
        No light, all of one value, mostly saturated, or mostly not finite.
    """
    tiles = tile_map(pixels, TILE_PX, full_adu)
    signal = tiles.mean_adu - _offset_adu(dark, TILE_PX)
    finite = signal[np.isfinite(signal)]
    if tiles.n_saturated > 0.5 * pixels.size:
        raise InputError(
            f"expected light within the camera's range; got {tiles.n_saturated} of {pixels.size} pixels saturated "
            f"(at {full_adu:g} ADU). Shorten the exposure or lower the light."
        )
    if finite.size < 0.5 * signal.size:
        raise InputError("expected finite counts; got NaN or infinity in most of the image")
    noise_adu = np.nanmedian(tiles.sigma_adu) / TILE_PX
    if not np.median(finite) > max(5 * noise_adu, 0.0):
        raise InputError(
            f"expected light above the offset; got a median signal of {np.median(finite):.3g} ADU. Check the shutter, "
            "the light path, the exposure and that the dark frame is dark."
        )
    if np.ptp(finite) == 0:
        raise InputError(
            f"expected an image of light; got the one value {tiles.mean_adu.flat[0]:g} everywhere"
        )
    return Field(signal, _smoothed(signal), tiles, pixels.shape)


def _offset_adu(dark: NDArray[np.generic] | float | None, tile_px: int) -> NDArray[np.float64] | float:
    """Return what to take off from tile means, ADU."""
    if isinstance(dark, np.ndarray):
        return tile_map(dark, tile_px).mean_adu
    return 0.0 if dark is None else dark


def _smoothed(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over 3 x 3 tiles with weights 1 2 1; at edges and beside NaN over what there is."""
    known = np.isfinite(signal)
    sums, weights = np.where(known, signal, 0.0), known.astype(float)
    for axis in (0, 1):
        sums, weights = _blurred(sums, axis), _blurred(weights, axis)
    return np.divide(sums, weights, where=weights > 0, out=np.full_like(sums, np.nan))


def _blurred(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in (0, 1)])
    n = values.shape[axis]
    before, here, after = (np.take(padded, range(i, i + n), axis) for i in (0, 1, 2))
    return before + 2 * here + after


def top_of(field: Field) -> Peak:
    """Return the maximum: of a paraboloid about the brightest place, else, at an edge, that place itself."""
    n_y, n_x = field.smooth_adu.shape
    at_y, at_x = np.unravel_index(np.nanargmax(field.smooth_adu), (n_y, n_x))
    rows, columns = _window(int(at_y), n_y), _window(int(at_x), n_x)
    y_px, x_px = field.tiles.y_px[rows], field.tiles.x_px[columns]
    peak = parabola_peak(field.signal_adu[rows, columns], y_px, x_px)
    if peak and y_px[0] <= peak.centre_yx[0] <= y_px[-1] and x_px[0] <= peak.centre_yx[1] <= x_px[-1]:
        return peak
    brightest = float(field.smooth_adu[at_y, at_x])
    noise_adu = float(field.tiles.sigma_adu[at_y, at_x]) / TILE_PX / 2
    place = (float(field.tiles.y_px[at_y]), float(field.tiles.x_px[at_x]))
    return Peak(place, (float(np.ptp(y_px)) / 4, float(np.ptp(x_px)) / 4), brightest, noise_adu)


def _window(middle: int, n: int) -> slice:
    half = max(2, round(n * TOP_FRACTION / 2))
    return slice(max(0, middle - half), min(n, middle + half + 1))
