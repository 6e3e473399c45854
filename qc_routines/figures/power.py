"""Power of light sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import BLUE, SOFT, VERMILION, label, legend, panels
from qc_routines.results import Measurement
from qc_routines.straight_line import fit_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def linearity(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw power against setting with its line, up and down, and the deviations."""
    setting, power, deviation = (
        np.asarray(measurement.table[name], float) for name in ("setting_percent", "power_mw", "deviation_mw")
    )
    line = fit_line(setting, power)
    top = int(np.argmax(setting)) + 1
    canvas, (curve, rest) = panels(2, height_in=2.9)
    for axes, values in ((curve, power), (rest, deviation)):
        axes.plot(setting[:top], values[:top], "^", color=BLUE, label="up")
        axes.plot(setting[top:], values[top:], "v", color=VERMILION, label="down")
    ends = np.array([0.0, float(setting.max())])
    curve.plot(ends, line.intercept + line.slope * ends, "-", color=SOFT, label="line", linewidth=1.2)
    rest.axhline(0, color=SOFT, linewidth=1.2)
    label(curve, "Setting (%)", "Power (mW)", "power")
    label(rest, "Setting (%)", "Off the line (mW)", "deviation")
    legend(curve)
    return canvas


def stability(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw power against time and the Allan deviation."""
    time_min = np.asarray(measurement.table["time_s"], float) / 60
    power = np.asarray(measurement.table["power_mw"], float)
    mean = float(power.mean())
    canvas, (series, allan) = panels(2, height_in=2.9, width_ratios=[1.5, 1])
    series.plot(time_min, power, "-", color=BLUE, linewidth=1)
    series.axhline(mean, color=VERMILION, linewidth=1, linestyle="--", label=f"mean {mean:.4g} mW")
    label(series, "Time (min)", "Power (mW)", "power")
    legend(series)
    deviation = 100 * np.asarray(measurement.maps["allan_deviation"], float)
    allan.plot(measurement.maps["allan_tau_s"], deviation, "o-", color=BLUE)
    allan.set_xscale("log")
    if (deviation > 0).any():
        allan.set_yscale("log")
    label(allan, "Averaged over (s)", "Allan deviation (%)", "noise by averaging time")
    return canvas


def readings(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the readings in order with their mean."""
    power = np.asarray(measurement.table["power_mw"], float)
    canvas, (axes,) = panels(height_in=2.4)
    axes.plot(np.arange(1, power.size + 1), power, "o", color=BLUE, label="readings")
    axes.axhline(float(power.mean()), color=VERMILION, linestyle="--", label="mean", linewidth=1.2)
    axes.xaxis.get_major_locator().set_params(integer=True)
    label(axes, "Reading (number)", "Power (mW)")
    legend(axes)
    return canvas


LINEARITY = (
    Plot(
        "power-linearity",
        "Power against setting",
        "Readings in the order up and down again, with the line through all, and what each is off it.",
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
        ("time_s", "power_mw", "allan_tau_s", "allan_deviation"),
        stability,
    ),
)
SAMPLE_POWER = (
    Plot("sample-power", "Readings of power", "Every reading at the sample.", ("power_mw",), readings),
)
