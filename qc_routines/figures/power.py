"""Power of light sources."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, SOFT, VERMILION, label, legend, panels
from qc_routines.power import allan_deviation
from qc_routines.results import Measurement
from qc_routines.straight_line import fit_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)


def linearity(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw power against setting with its line, up and down, and the deviations; each line of light in its colour."""
    columns = ("setting_percent", "power_mw", "deviation_mw")
    canvas, (curve, rest) = panels(2, height_in=2.9)
    series = _series(measurement, columns)
    for (name, (setting, power, deviation)), colour in zip(series.items(), cycle(COLOURS), strict=False):
        fitted, top = fit_line(setting, power), int(np.argmax(setting)) + 1
        down_colour = colour if name else VERMILION
        for axes, values in ((curve, power), (rest, deviation)):
            axes.plot(setting[:top], values[:top], "^", color=colour, label=name or "up")
            axes.plot(setting[top:], values[top:], "v", color=down_colour, label="" if name else "down")
        ends = np.array([0.0, float(setting.max())])
        curve.plot(
            ends,
            fitted.intercept + fitted.slope * ends,
            "-",
            color=colour if name else SOFT,
            label="" if name else "line",
            linewidth=1.2,
        )
    rest.axhline(0, color=SOFT, linewidth=1.2)
    label(curve, "Setting (%)", "Power (mW)", "power")
    label(rest, "Setting (%)", "Off the line (mW)", "deviation")
    legend(curve)
    return canvas


def stability(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw power against time and the Allan deviation; several lines of light relative to the mean of each."""
    canvas, (course, allan) = panels(2, height_in=2.9, width_ratios=[1.5, 1])
    series = _series(measurement, ("time_s", "power_mw"))
    for (name, (time_s, power)), colour in zip(series.items(), cycle(COLOURS), strict=False):
        mean = float(power.mean())
        minutes = (time_s - time_s[0] if name else time_s) / 60
        course.plot(minutes, power / mean if name else power, "-", color=colour, linewidth=1, label=name)
        if not name:
            course.axhline(mean, color=VERMILION, linewidth=1, linestyle="--", label=f"mean {mean:.4g} mW")
        taus_s, deviation = allan_deviation(time_s, power / mean)
        allan.plot(taus_s, 100 * deviation, "o-", color=colour)
        if (deviation > 0).any():
            allan.set_yscale("log")
    label(course, "Time (min)", "Power (mW)" if "" in series else "Power over its mean", "power")
    legend(course)
    allan.set_xscale("log")
    label(allan, "Averaged over (s)", "Allan deviation (%)", "noise by averaging time")
    return canvas


def readings(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the readings in order with their mean."""
    canvas, (axes,) = panels(height_in=2.4)
    series = _series(measurement, ("power_mw",))
    for (name, (power,)), colour in zip(series.items(), cycle(COLOURS), strict=False):
        axes.plot(np.arange(1, power.size + 1), power, "o", color=colour, label=name or "readings")
        axes.axhline(
            float(power.mean()),
            color=colour if name else VERMILION,
            linestyle="--",
            label="" if name else "mean",
            linewidth=1.2,
        )
    axes.xaxis.get_major_locator().set_params(integer=True)
    label(axes, "Reading (number)", "Power (mW)")
    legend(axes)
    return canvas


def _series(measurement: Measurement, columns: tuple[str, ...]) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """Return the columns of each line of light by its name; the name is empty where there is but one."""
    arrays = tuple(np.asarray(measurement.table[name], float) for name in columns)
    if "line" not in measurement.table:
        return {"": arrays}
    of = np.asarray(measurement.table["line"]).astype(str)
    return {name: tuple(values[of == name] for values in arrays) for name in dict.fromkeys(of.tolist())}


LINEARITY = (
    Plot(
        "power-linearity",
        "Power against setting",
        "Readings in the order up and down again, with the line through all, and what each is off it. Upright triangles: "
        "up; inverted ones: down.",
        ("setting_percent", "power_mw", "deviation_mw"),
        linearity,
    ),
)
STABILITY = (
    Plot(
        "power-stability",
        "Power over time",
        "Every reading; the scale of power does not begin at nought. Right: relative Allan deviation; where it "
        "rises, drift outweighs noise.",
        ("time_s", "power_mw"),
        stability,
    ),
)
SAMPLE_POWER = (
    Plot("sample-power", "Readings of power", "Every reading at the sample.", ("power_mw",), readings),
)
