"""Evenness of the light over the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SOFT,
    VERMILION,
    image,
    label,
    legend,
    panels,
)
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

CONTOURS_PERCENT = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
MARKS = {
    "fit": ("+", VERMILION, "fitted top"),
    "zone": ("o", "white", "zone above 90 %"),
    "mass": ("s", ORANGE, "centre of mass"),
    "maximum": ("^", "black", "maximum"),
}
LINES = {
    "profile_horizontal": ("across, through the centre", BLUE, "-"),
    "profile_vertical": ("down, through the centre", VERMILION, "-"),
    "profile_diagonal_down": ("top left to bottom right", GREEN, "--"),
    "profile_diagonal_up": ("bottom left to top right", PURPLE, "--"),
}


def field_map(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the map with lines of equal light and the centres."""
    percent = 100 * np.asarray(measurement.maps["relative_intensity"], float)
    n_y, n_x = percent.shape
    height, width = _size_px(measurement, percent.shape)
    canvas, (axes,) = panels(height_in=4.6)
    image(axes, percent, (-0.5, width - 0.5, height - 0.5, -0.5), "of the maximum (%)", (0, 100))
    y = (np.arange(n_y) + 0.5) * height / n_y - 0.5
    x = (np.arange(n_x) + 0.5) * width / n_x - 0.5
    inside = [level for level in CONTOURS_PERCENT if np.nanmin(percent) < level < np.nanmax(percent)]
    if inside and min(n_y, n_x) > 1:
        lines = axes.contour(x, y, percent, levels=inside, colors="white", linewidths=0.8)
        axes.clabel(lines, fmt="%g %%", fontsize=8)
    axes.plot((width - 1) / 2, (height - 1) / 2, "x", color=SOFT, markersize=9, label="middle of the field")
    _mark_centres(axes, measurement)
    label(axes, "x (px)", "y (px)")
    legend(axes, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=3)
    return canvas


def _size_px(measurement: Measurement, shape: tuple[int, ...]) -> tuple[float, float]:
    """Return height and width of the image; the last corner of the table is its last pixel."""
    tile = float(measurement.parameters.get("tile_px") or 1)
    y, x = measurement.table.get("y_px"), measurement.table.get("x_px")
    if y is None or x is None or not len(y):
        return shape[0] * tile, shape[1] * tile
    return float(np.nanmax(y)) + 1, float(np.nanmax(x)) + 1


def _mark_centres(axes: Axes, measurement: Measurement) -> None:
    places = measurement.table.get("place", np.empty(0, str)).tolist()
    for name, (marker, colour, words) in MARKS.items():
        if (row := f"centre by {name}") in places:
            at = places.index(row)
            axes.plot(
                measurement.table["x_px"][at], measurement.table["y_px"][at], marker, color=colour,
                markersize=9, markeredgecolor=VERMILION if marker == "+" else "black", label=words,
                linestyle="none", markeredgewidth=2 if marker == "+" else 0.8,
            )  # fmt: skip


def profiles(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the light along four lines through the field."""
    canvas, (axes,) = panels(height_in=3.1)
    for name, (words, colour, dash) in LINES.items():
        if name in measurement.maps:
            values = 100 * np.asarray(measurement.maps[name], float)
            place = 100 * (np.arange(values.size) + 0.5) / values.size
            axes.plot(place, values, dash, color=colour, label=words)
    axes.set(xlim=(0, 100), ylim=(0, 105))
    axes.grid(axis="y", alpha=0.3)
    label(axes, "Place along the line (% of its length)", "Light (% of the maximum)")
    legend(axes, loc="lower center", ncols=2)
    return canvas


def change(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the light over that of the reference, and the outlines of what stands out of a smooth change."""
    ratio = np.asarray(measurement.maps["ratio"], float)
    tile = float(measurement.parameters.get("tile_px") or 1)
    n_y, n_x = ratio.shape
    reach = max(float(np.nanmax(np.abs(ratio - 1))), 0.01)  # less is noise
    canvas, (axes,) = panels(height_in=4.2)
    extent, limits = (0, n_x * tile, n_y * tile, 0), (1 - reach, 1 + reach)
    image(axes, ratio, extent, "of the reference (ratio)", limits, cmap="PuOr", interpolation="nearest")
    spots = np.asarray(measurement.maps.get("is_spot", np.zeros(ratio.shape)), float)
    if spots.any() and min(n_y, n_x) > 1:
        x, y = (np.arange(n_x) + 0.5) * tile, (np.arange(n_y) + 0.5) * tile
        axes.contour(x, y, spots, levels=[0.5], colors="black", linewidths=1)
    label(axes, "x (px, about)", "y (px, about)")
    return canvas


PLOTS = (
    Plot(
        "illumination-map",
        "Light over the field",
        "Mean of each tile of the image relative to the maximum, with lines of equal light; colours start at no "
        "light. The marks are the centres of the light by four methods and the middle of the field.",
        ("relative_intensity",),
        field_map,
    ),
    Plot(
        "illumination-profiles",
        "Profiles of the light",
        "Light along the row and the column through the centre of the light, and along both diagonals of the field.",
        ("profile_horizontal",),
        profiles,
    ),
)
CHANGE = (
    Plot(
        "illumination-change",
        "Change of the light",
        "Light of each tile over that of the reference, 1 at the median; white is no change. A moved lamp is a "
        "slope; outlined are places that stand out of a smooth change, as dust does.",
        ("ratio",),
        change,
    ),
)
