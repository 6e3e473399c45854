"""How evenly a field is illuminated, and where its centre is.

Positions are in pixels, y down and x to the right, the centre of the first pixel is 0; relative positions run from -1 to
1 from edge to edge. *Signal* is count less offset. All figures are taken from robust means of tiles of 16 x 16 pixels:
neither a hot pixel nor the noise of a brightest pixel has a say.
"""

from __future__ import annotations

from math import hypot

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import full_scale_adu
from qc_routines.errors import InputError
from qc_routines.illumination.field import TILE_PX, Field, checked_dark, checked_image, field_of, top_of
from qc_routines.illumination.regions import (
    LEVELS_PERCENT,
    nine_tiles,
    profiles,
    reference_points,
    zone_centres,
)
from qc_routines.peak_surface import Peak, gaussian_peak
from qc_routines.results import Figure, Measurement, Scalar, input_of
from qc_routines.tiles import TileMap

ZONE = 0.9
"""Part of the maximum that bounds the central zone: MetroloJ_QC (fieldIllumination.java)."""


def measure_illumination(
    image: NDArray[np.generic],
    dark: NDArray[np.generic] | float | None = None,
    pixel_size_um: float | None = None,
    saturation_adu: float | None = None,
    corner_fraction: float = 0.1,
    flicker_percent: float | None = None,
) -> Measurement:
    """Return centre, corner ratios, uniformity and centring of one channel.

    Parameters
    ----------
    image : ndarray, (y, x), uint8, uint16, uint32, float32 or float64
        A uniform slide, ADU. NaN and outlying pixels are counted and left out.
    dark : ndarray (y, x) or float, optional
        Frame without light, or the offset, ADU. Without it every ratio is too near to one; a remark says so.
    pixel_size_um : float, optional
        In the sample; for distances in um.
    saturation_adu : float, optional
        Largest count possible; by default that of the integer type.
    corner_fraction : float
        Side of the nine tiles, as part of the mean side of the image: 0.01 to 0.33.
    flicker_percent : float, optional
        Standard deviation of the light from frame to frame, as `power_stability` finds it (nsd). One frame does not show
        it: without it no uncertainty of ``maximum_signal`` is stated. Ratios within the frame have none of it.

    Returns
    -------
    Measurement
        Map ``relative_intensity`` (one value for each tile, 1 at the maximum), profiles through the centre and along
        the diagonals, table of reference points.

    Raises
    ------
    InputError
        Wrong axes, fewer than 32 pixels a side, no light, all of one value, or fully saturated.

    Notes
    -----
    U = 100 min/max; fU = 100 - 100 SD(8 border points)/max; C = 100 - 200 d/sqrt(w² + h²), where d is the distance of
    the centroid of the zone above 90 % from the middle: MetroloJ_QC (fieldIllumination.java), Faklaris et al. 2022,
    doi:10.1083/jcb.202107093. Nine tiles: microscopemetrics (field_illumination.py).
    """
    if not 0.01 <= corner_fraction <= 0.33:
        raise InputError(f"expected a corner_fraction of 0.01 to 0.33; got {corner_fraction!r}")
    pixels = checked_image(image)
    dark = checked_dark(dark, pixels)
    full_adu = full_scale_adu(pixels, saturation_adu)
    field = field_of(pixels, dark, full_adu)
    top = top_of(field)
    fitted = gaussian_peak(field.signal_adu, field.tiles.y_px, field.tiles.x_px)
    relative = field.smooth_adu / top.height
    zone_yx, mass_yx = zone_centres(relative, field.tiles, ZONE)
    corners = nine_tiles(pixels, dark, corner_fraction, top)
    fit_yx = fitted.centre_yx if fitted else None
    centres = {"fit": fit_yx, "zone": zone_yx, "mass": mass_yx, "maximum": top.centre_yx}
    points = reference_points(relative, top.height, field.tiles, field.shape_yx, centres, pixel_size_um)
    return Measurement(
        routine="illumination",
        version="2",
        figures=(
            *_centre_figures(centres, field.shape_yx, fitted, top, pixel_size_um),
            *_evenness_figures(relative, top, zone_yx, field),
            _maximum(top, flicker_percent),
            *corners,
            *_area_figures(relative),
            Figure("saturated_fraction", 100 * field.tiles.n_saturated / pixels.size, "%", None, pixels.size),
        ),
        n_used=pixels.size - field.tiles.n_outliers - field.tiles.n_not_finite,
        n_rejected=_rejected(field.tiles),
        parameters=_parameters(dark, pixel_size_um, full_adu, corner_fraction)
        | {"flicker_percent": flicker_percent},
        inputs=_inputs(pixels, dark),
        remarks=_remarks(dark, fitted),
        table=points,
        maps={"relative_intensity": relative.astype(np.float32), **profiles(relative, field.tiles, zone_yx)},
    )


def _centre_figures(
    centres: dict[str, tuple[float, float] | None],
    shape_yx: tuple[int, int],
    fitted: Peak | None,
    top: Peak,
    pixel_size_um: float | None,
) -> list[Figure]:
    """Return each centre in px and relative to the field, and its distance from the middle."""
    spread = {"fit": fitted.uncertainty_yx if fitted else None, "maximum": top.uncertainty_yx}
    figures = []
    for name, centre in centres.items():
        offsets = (
            [None, None]
            if centre is None
            else [2 * (c + 0.5) / n - 1 for c, n in zip(centre, shape_yx, strict=True)]
        )
        for i, axis in enumerate("yx"):
            sigma = spread.get(name)
            figures.append(Figure(f"centre_{name}_{axis}", centre and centre[i], "px", sigma and sigma[i], 1))
            figures.append(
                Figure(
                    f"centre_{name}_{axis}_relative", offsets[i], "1", sigma and 2 * sigma[i] / shape_yx[i], 1
                )
            )
        distance = None if centre is None else hypot(*offsets)
        figures.append(Figure(f"centre_{name}_distance_relative", distance, "1", None, 1))
        if pixel_size_um is not None:
            away = (
                None
                if centre is None
                else hypot(*(o * n / 2 for o, n in zip(offsets, shape_yx, strict=True)))
            )
            figures.append(Figure(f"centre_{name}_distance", away and away * pixel_size_um, "um", None, 1))
    return figures


def _evenness_figures(
    relative: NDArray[np.float64], top: Peak, zone_yx: tuple[float, float], field: Field
) -> list[Figure]:
    height, width = field.shape_yx
    away_px = hypot(zone_yx[0] - (height - 1) / 2, zone_yx[1] - (width - 1) / 2)
    n_y, n_x = relative.shape
    border = relative[[0, 0, 0, n_y // 2, n_y // 2, -1, -1, -1], [0, n_x // 2, -1, 0, -1, 0, n_x // 2, -1]]
    n = relative.size
    noise = float(np.nanmedian(field.tiles.sigma_adu)) / TILE_PX / top.height / 2
    u_top = top.height_uncertainty / top.height
    lowest = float(np.nanmin(relative))
    return [
        Figure("uniformity", 100 * lowest, "%", 100 * hypot(noise, lowest * u_top), n),
        Figure("field_uniformity", 100 - 100 * float(np.nanstd(border, ddof=1)), "%", None, 8),
        Figure("centring", 100 - 200 * away_px / hypot(width, height), "%", None, 1),
        Figure(
            "coefficient_of_variation", 100 * float(np.nanstd(relative) / np.nanmean(relative)), "%", None, n
        ),
        Figure("curvature_y", _curvature(relative[:, n_x // 2]), "1", None, n_y),
        Figure("curvature_x", _curvature(relative[n_y // 2]), "1", None, n_x),
    ]


def _maximum(top: Peak, flicker_percent: float | None) -> Figure:
    sigma = (
        None if flicker_percent is None else hypot(top.height_uncertainty, top.height * flicker_percent / 100)
    )
    return Figure("maximum_signal", top.height, "ADU", sigma, 1)


def _curvature(profile: NDArray[np.float64]) -> float:
    """Return |c| of a + b t + c t² through a profile, t from -1 to 1: 1 is all light lost at the edge."""
    t = np.linspace(-1, 1, profile.size)
    known = np.isfinite(profile)
    return abs(float(np.polyfit(t[known], profile[known], 2)[0]))


def _area_figures(relative: NDArray[np.float64]) -> list[Figure]:
    known = relative[np.isfinite(relative)]
    return [
        Figure(f"area_above_{level}", 100 * float(np.mean(known >= level / 100)), "%", None, known.size)
        for level in LEVELS_PERCENT
    ]


def _rejected(tiles: TileMap) -> dict[str, int]:
    counts = {"outlying pixel": tiles.n_outliers, "NaN or infinite": tiles.n_not_finite}
    return {reason: n for reason, n in counts.items() if n}


def _parameters(
    dark: NDArray[np.generic] | float | None,
    pixel_size_um: float | None,
    full_adu: float,
    corner_fraction: float,
) -> dict[str, Scalar]:
    return {
        "offset_adu": dark if isinstance(dark, float) else None,
        "has_dark_frame": isinstance(dark, np.ndarray),
        "pixel_size_um": pixel_size_um,
        "saturation_adu": full_adu if np.isfinite(full_adu) else None,
        "corner_fraction": corner_fraction,
        "tile_px": TILE_PX,
        "zone": ZONE,
    }


def _inputs(pixels: NDArray[np.generic], dark: NDArray[np.generic] | float | None) -> tuple:
    return (input_of("image", pixels), *([input_of("dark", dark)] if isinstance(dark, np.ndarray) else []))


def _remarks(dark: NDArray[np.generic] | float | None, fitted: Peak | None) -> tuple[str, ...]:
    remarks = []
    if dark is None:
        remarks.append("No dark frame and no offset were given: all ratios are too near to one.")
    if fitted is None:
        remarks.append("The field has no single maximum: no centre was fitted.")
    return tuple(remarks)
