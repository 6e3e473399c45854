"""What should stay in its place: stage, drift, autofocus, z drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import BLUE, GREEN, ORANGE, PURPLE, SOFT, VERMILION, label, legend, panels
from qc_routines.results import Measurement
from qc_routines.stage import CHI2_95_2D
from qc_routines.straight_line import fit_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

CAME_FROM = {"left": (">", BLUE), "right": ("<", VERMILION), "back": ("v", GREEN), "front": ("^", PURPLE)}
LINES = {"x": BLUE, "y": VERMILION, "z": GREEN}


def returns(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw where the stage came to rest, by where it came from, and the ellipse that holds 95 %."""
    yx = np.column_stack([measurement.table["y_um"], measurement.table["x_um"]]).astype(float)
    yx = yx - yx.mean(axis=0)
    came_from = np.asarray(measurement.table["direction"], str)
    canvas, (axes, series) = panels(2, height_in=3.5)
    for name, (marker, colour) in CAME_FROM.items():
        own = came_from == name
        axes.plot(yx[own, 1], yx[own, 0], marker, color=colour, label=f"from {name}", alpha=0.8)
    values, vectors = np.linalg.eigh(np.cov(yx.T))
    turn = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    ellipse = vectors @ (np.sqrt(np.maximum(values, 0) * CHI2_95_2D)[:, None] * circle)
    axes.plot(ellipse[1], ellipse[0], "-", color=SOFT, label="holds 95 %", linewidth=1.2)
    axes.set_aspect("equal", adjustable="datalim")
    label(axes, "x off the mean (µm)", "y off the mean (µm)", "positions")
    legend(axes, loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2)
    for i, axis in ((1, "x"), (0, "y")):
        series.plot(np.arange(1, len(yx) + 1), yx[:, i], "o-", color=LINES[axis], label=axis, linewidth=0.7)
    label(series, "Return (number)", "Off the mean (µm)", "one after the other")
    legend(series)
    return canvas


def drift_track(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the position along each axis against time, and the way in the plane when there is one."""
    table = measurement.table
    time = np.asarray(table["time_min"], float)
    axes_named = [axis for axis in "xyz" if f"{axis}_um" in table]
    is_plane = {"x", "y"} <= set(axes_named)
    canvas, axes = panels(2 if is_plane else 1, height_in=3.1)
    for axis in axes_named:
        values = np.asarray(table[f"{axis}_um"], float)
        axes[0].plot(time, values - values[0], "-", color=LINES[axis], label=axis)
    axes[0].plot(time, table["displacement_um"], ":", color="black", label="distance", linewidth=1.2)
    label(axes[0], "Time (min)", "Off the first position (µm)", "against time")
    legend(axes[0])
    if is_plane:
        x, y = (np.asarray(table[f"{axis}_um"], float) for axis in "xy")
        axes[1].plot(x - x[0], y - y[0], "-", color=SOFT, linewidth=0.6)
        dots = axes[1].scatter(x - x[0], y - y[0], c=time, s=12, zorder=2)
        canvas.colorbar(dots, ax=axes[1], label="time (min)")
        axes[1].set_aspect("equal", adjustable="datalim")
        label(axes[1], "x (µm)", "y (µm)", "in the plane")
    return canvas


def focus_errors(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the error of each trial against how far it was defocused, and in order."""
    table = measurement.table
    error_nm = 1000 * np.asarray(table["error_um"], float)
    used = np.asarray(table["is_used"], bool)
    low, high = float(error_nm[used].min()), float(error_nm[used].max())
    room = 0.15 * max(high - low, 1e-3)
    lost = ~used & np.isfinite(error_nm)
    order = np.arange(1, error_nm.size + 1)
    canvas, axes = panels(2, height_in=2.8)
    views = ((order, "Trial (number)"), (np.asarray(table["defocus_um"], float), "Defocus before (µm)"))
    for each, (across, words) in zip(axes, views, strict=True):
        each.plot(across[used], error_nm[used], "o", color=BLUE, label="recovered")
        at = np.where(error_nm[lost] > high, high + room, low - room)
        each.plot(across[lost], at, "x", color=VERMILION, label="lost focus, off the scale", markersize=7)
        each.axhline(float(np.mean(error_nm[used])), color=SOFT, linewidth=1, linestyle="--", label="mean")
        label(each, words, "Recovered less true focus (nm)")
    legend(axes[0])
    return canvas


def axial_steps(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw measured against commanded height, and what is off the line, by direction."""
    table = measurement.table
    asked, found = np.asarray(table["commanded_um"], float), np.asarray(table["measured_um"], float)
    used, way = np.asarray(table["is_used"], bool), np.asarray(table["direction"], float)
    line = fit_line(asked[used], found[used])
    off_nm = 1000 * (found - line.intercept - line.slope * asked)
    canvas, (curve, rest) = panels(2, height_in=2.9)
    curve.plot(asked, found, "o", color=BLUE)
    curve.plot(asked, line.intercept + line.slope * asked, "-", color=VERMILION, linewidth=1)
    label(curve, "Commanded (µm)", "Measured (µm)", "height")
    for name, own, marker, colour in (
        ("upwards", used & (way > 0), "^", BLUE),
        ("downwards", used & (way < 0), "v", ORANGE),
        ("not used", ~used, "x", SOFT),
    ):
        rest.plot(asked[own], off_nm[own], marker, color=colour, label=name)
    rest.axhline(0, color=VERMILION, linewidth=1)
    label(rest, "Commanded (µm)", "Off the line (nm)", "residuals")
    legend(rest)
    return canvas


STAGE = (
    Plot(
        "stage-returns",
        "Where the stage came back to",
        "Positions after each return, from their mean, by where the stage came from. The ellipse holds 95 % of a "
        "normal distribution of this covariance.",
        ("y_um", "x_um", "direction"),
        returns,
    ),
)
DRIFT = (
    Plot(
        "drift-track",
        "Drift",
        "Position against time along each axis, and the way taken in the plane.",
        ("time_min", "displacement_um"),
        drift_track,
    ),
)
AUTOFOCUS = (
    Plot(
        "autofocus-errors",
        "Focus that was recovered",
        "Recovered less true focus of each trial, in order and against the defocus before it. Trials that lost focus are marked at the edge: the scale is that of the others.",
        ("error_um", "defocus_um", "is_used"),
        focus_errors,
    ),
)
AXIAL = (
    Plot(
        "axial-steps",
        "Steps of the z drive",
        "Measured against commanded height, and the distance from a line through all heights that were used.",
        ("commanded_um", "measured_um", "is_used", "direction"),
        axial_steps,
    ),
)
