"""Scales: pixel size, distortion, resolved line pairs, a thin layer over the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import BLUE, FAINT, SOFT, VERMILION, arrows, image, label, legend, panels
from qc_routines.line_pairs import RAYLEIGH_CONTRAST
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def grid_residuals(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw how far each dot is off the undistorted grid."""
    table = measurement.table
    x, y = (np.asarray(table[name], float) for name in ("x_px", "y_px"))
    off = np.asarray(table["off_x_px"], float), np.asarray(table["off_y_px"], float)
    used = np.asarray(table["is_used"], bool)
    canvas, (axes,) = panels(height_in=4.8)
    axes.plot(x[used], y[used], ".", color=FAINT, label="dots", markersize=4)
    axes.plot(x[~used], y[~used], "x", color=VERMILION, label="left out")
    field = max(float(np.ptp(x)), float(np.ptp(y)), 1.0)
    arrows(axes, (x[used], y[used]), (off[0][used], off[1][used]), field, "px")
    axes.set_aspect("equal")
    axes.invert_yaxis()
    label(axes, "x (px)", "y (px)")
    legend(axes, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2)
    return canvas


def pixel_size_residuals(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw how far each move of the image is off the map from image to stage."""
    table = measurement.table
    stage = np.column_stack([table["stage_y_um"], table["stage_x_um"]]).astype(float)
    shift = np.column_stack([table["shift_y_px"], table["shift_x_px"]]).astype(float)
    used = np.asarray(table["is_used"], bool)
    rest = stage - shift @ np.asarray(measurement.maps["affine_um_per_px"], float).T
    rest = rest - rest[used].mean(axis=0)
    canvas, (axes,) = panels(height_in=4.2)
    axes.plot(stage[used, 1], stage[used, 0], "o", color=SOFT, label="stage positions", markersize=3.5)
    axes.plot(stage[~used, 1], stage[~used, 0], "x", color=VERMILION, label="left out")
    field = max(float(np.ptp(stage[:, 0])), float(np.ptp(stage[:, 1])), 1e-6)
    at, off = (stage[used, 1], stage[used, 0]), (1000 * rest[used, 1], 1000 * rest[used, 0])
    arrows(axes, at, off, field, "nm")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.15)
    label(axes, "stage x (µm)", "stage y (µm)")
    legend(axes, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
    return canvas


def contrasts(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw contrast against spacing, and the contrast at which two lines count as resolved."""
    table = measurement.table
    canvas, (axes,) = panels(height_in=3.0)
    axes.errorbar(table["spacing_um"], table["contrast"], table["contrast_uncertainty"], fmt="o", color=BLUE)
    axes.axhline(
        RAYLEIGH_CONTRAST, color=VERMILION, linestyle="--", label="Rayleigh's criterion", linewidth=1.2
    )
    smallest = measurement.value("smallest_resolved")
    if smallest is not None:
        axes.axvline(
            smallest, color=SOFT, linestyle=":", label=f"resolved from {smallest:.3g} µm", linewidth=1.2
        )
    axes.set(xlim=(0, None), ylim=(0, None))
    label(axes, "Spacing of the lines (µm)", "Contrast (ratio)")
    legend(axes)
    return canvas


def layer(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw width and height of a thin layer over the field."""
    tile = float(measurement.parameters.get("tile_px") or 1)
    canvas, axes = panels(2, height_in=3.1)
    height = np.asarray(measurement.maps["height_um"], float)
    views = {
        "axial FWHM": np.asarray(measurement.maps["fwhm_um"], float),
        "height from the median": height - np.nanmedian(height),
    }
    for each, (title, values) in zip(axes, views.items(), strict=True):
        rows, columns = values.shape
        image(each, values, (0, columns * tile, rows * tile, 0), "µm", interpolation="nearest")
        label(each, "x (px, about)", "y (px, about)", title)
    return canvas


GRID = (
    Plot(
        "grid-residuals",
        "Distortion",
        "How far each dot of the grid is off an undistorted grid, enlarged; the key says how much.",
        ("x_px", "y_px", "off_x_px", "off_y_px", "is_used"),
        grid_residuals,
    ),
)
PIXEL_SIZE = (
    Plot(
        "pixel-size-residuals",
        "Stage moves against image shifts",
        "How far each stage position is off where the shift of the image says it is, enlarged; the key says how much.",
        ("stage_y_um", "stage_x_um", "shift_y_px", "shift_x_px", "affine_um_per_px", "is_used"),
        pixel_size_residuals,
    ),
)
LINE_PAIRS = (
    Plot(
        "line-pairs-contrast",
        "Contrast of line pairs",
        "Contrast against spacing with one standard uncertainty. Above Rayleigh's contrast two lines are resolved.",
        ("spacing_um", "contrast"),
        contrasts,
    ),
)
THIN_LAYER = (
    Plot(
        "thin-layer-maps",
        "Thin layer over the field",
        "Axial width and height of the layer in each tile; tiles without a fit are white.",
        ("fwhm_um", "height_um"),
        layer,
    ),
)
