"""Shift between channels over the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import BLUE, VERMILION, arrows, histogram, label, legend, panels, plain
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def _pairs(measurement: Measurement) -> dict[str, NDArray[np.bool_]]:
    """Return for each pair of channels which rows of the table are its own."""
    pair = np.asarray(measurement.table["pair"], str)
    return {name: pair == name for name in dict.fromkeys(pair.tolist())}


def shifts(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw for each pair of channels the shift in the plane of every bead as an arrow, and the axial shift as colour."""
    table, pairs = measurement.table, _pairs(measurement)
    canvas, axes = panels(2, len(pairs), height_in=2.9)
    y, x = (np.asarray(table[f"centroid_{axis}_um"], float) for axis in "yx")
    field = max(float(np.ptp(y)), float(np.ptp(x)), 1e-6)
    for row, (name, own) in enumerate(pairs.items()):
        plane, axial = axes[2 * row], axes[2 * row + 1]
        off = table["shift_x_nm"][own], table["shift_y_nm"][own]
        plane.plot(x[own], y[own], ".", color=BLUE, markersize=3)
        arrows(plane, (x[own], y[own]), off, field, "nm")
        z_nm = np.asarray(table["shift_z_nm"], float)[own]
        reach = max(float(np.max(np.abs(z_nm))), 1e-9)
        dots = axial.scatter(
            x[own], y[own], c=z_nm, cmap="PuOr", vmin=-reach, vmax=reach, s=26, edgecolor="0.4"
        )
        canvas.colorbar(dots, ax=axial, label="axial shift (nm)", shrink=0.8)
        for each, title in ((plane, f"{plain(name)}, in the plane"), (axial, f"{plain(name)}, axial")):
            each.set_aspect("equal")
            each.margins(0.12)
            each.invert_yaxis()
            label(each, "x (µm)", "y (µm)", title)
    return canvas


def distances(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw how many beads are how far apart, with the reference distance where it is known."""
    table, pairs = measurement.table, _pairs(measurement)
    canvas, axes = panels(len(pairs), height_in=2.5)
    for each, (name, own) in zip(axes, pairs.items(), strict=True):
        histogram(each, table["distance_nm"][own], [0.0])
        reference = np.asarray(table["reference_distance_nm"], float)[own]
        if np.isfinite(reference).any():
            middle = float(np.nanmedian(reference))
            each.axvline(middle, color=VERMILION, linestyle="--", label="reference")
        each.set_xlim(left=0)
        each.yaxis.get_major_locator().set_params(integer=True)
        label(each, "Distance (nm)", "Beads", plain(name))
        legend(each)
    return canvas


PLOTS = (
    Plot(
        "registration-shifts",
        "Shift between channels over the field",
        "Left: where each bead lies in the second channel relative to the first, enlarged; the key says how much. "
        "Right: the same along the optical axis.",
        ("pair", "centroid_y_um", "centroid_x_um", "shift_x_nm", "shift_y_nm", "shift_z_nm"),
        shifts,
    ),
    Plot(
        "registration-distances",
        "Distances between channels",
        "Number of beads by distance in space. Beyond the reference distance (dashed: its median) two colours of one bead are resolved.",
        ("pair", "distance_nm"),
        distances,
    ),
)
