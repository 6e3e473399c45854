"""Cameras: noise, photon transfer, linearity, dark current, uniformity, defects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qc_routines.camera.defects import Defect
from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SOFT,
    VERMILION,
    histogram,
    image,
    label,
    legend,
    panels,
    plain,
    robust_limits,
)
from qc_routines.results import Measurement
from qc_routines.straight_line import fit_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def pixel_noise(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw offset and noise of each pixel as maps and histograms."""
    noise, offset = (np.asarray(measurement.maps[name], float) for name in ("read_noise_adu", "offset_adu"))
    canvas, axes = panels(2, 2, height_in=2.6)
    for k, (values, title) in enumerate(((noise, "noise in time"), (offset, "offset"))):
        image(axes[k], values, None, "ADU", robust_limits(values), "both")
        label(axes[k], "x (px)", "y (px)", title)
        histogram(axes[k + 2], values)
        axes[k + 2].set_yscale("log")
        label(axes[k + 2], f"{title.capitalize()} (ADU)", "Pixels")
    return canvas


def photon_transfer(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw variance against signal, the line of the gain, and what remains of the levels on the line."""
    table = measurement.table
    signal, variance = np.asarray(table["signal_adu"], float), np.asarray(table["variance_adu2"], float)
    sigma, used = np.asarray(table["variance_uncertainty_adu2"], float), np.asarray(table["is_used"], bool)
    gain = measurement.value("gain") or np.nan
    canvas, (curve, rest) = panels(2, height_in=3.0)
    curve.errorbar(signal[used], variance[used], sigma[used], fmt="o", color=BLUE, label="on the line")
    curve.errorbar(signal[~used], variance[~used], sigma[~used], fmt="x", color=SOFT, label="not used")
    line = np.array([0.0, float(np.nanmax(signal))])
    curve.plot(line, gain * line, "-", color=VERMILION, label=f"gain {gain:.4g} ADU/e⁻", linewidth=1.2)
    curve.set(xlim=(0, None), ylim=(0, max(float(np.nanmax(variance)) * 1.1, 1e-9)))
    label(curve, "Signal above dark (ADU)", "Shot noise variance (ADU²)", "photon transfer curve")
    legend(curve)
    off, bar = 100 * (variance / (gain * signal) - 1), 100 * sigma / (gain * signal)
    rest.errorbar(signal[used], off[used], bar[used], fmt="o", color=BLUE)
    rest.axhline(0, color=VERMILION, linewidth=1.2)
    label(rest, "Signal above dark (ADU)", "Off the line (%)", "levels that were used")
    return canvas


def linearity(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw signal against light with its line, and the deviations from it."""
    table, unit = measurement.table, plain(str(measurement.parameters.get("light_unit", "ms")))
    light, signal = np.asarray(table["light"], float), np.asarray(table["signal_adu"], float)
    line = fit_line(light, signal, weights=signal**-2)
    canvas, (curve, rest) = panels(2, height_in=2.8)
    curve.plot(light, signal, "o", color=BLUE, label="levels")
    ends = np.array([0.0, float(light.max())])
    curve.plot(ends, line.intercept + line.slope * ends, "-", color=VERMILION, label="line", linewidth=1.2)
    label(curve, f"Light ({unit})", "Signal above dark (ADU)", "signal")
    legend(curve)
    rest.plot(light, table["deviation_percent"], "o", color=BLUE)
    rest.axhline(0, color=VERMILION, linewidth=1.2)
    label(rest, f"Light ({unit})", "Off the line (%)", "deviation")
    return canvas


def dark_current(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw mean and variance of dark frames against exposure."""
    time = np.asarray(measurement.table["exposure_s"], float)
    views = {"mean_e": ("Mean in the dark (e⁻)", "mean"), "variance_e2": ("Variance ((e⁻)²)", "variance")}
    canvas, axes = panels(2, height_in=2.7)
    for each, (column, (words, title)) in zip(axes, views.items(), strict=True):
        values = np.asarray(measurement.table[column], float)
        line = fit_line(time, values)
        each.plot(time, values, "o", color=BLUE)
        each.plot(time, line.intercept + line.slope * time, "-", color=VERMILION, linewidth=1.2)
        label(each, "Exposure (s)", words, title)
    return canvas


def uniformity(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the response of each pixel to light as a map and a histogram."""
    percent = 100 * np.asarray(measurement.maps["relative_response"], float)
    canvas, (at, spread) = panels(2, height_in=3.1)
    image(at, percent, None, "of the mean response (%)", robust_limits(percent), "both")
    label(at, "x (px)", "y (px)", "response")
    histogram(spread, percent)
    spread.set_yscale("log")
    label(spread, "Response (% of the mean)", "Pixels", "pixels by response")
    return canvas


KINDS = {
    Defect.HOT: ("o", VERMILION),
    Defect.LOW: ("v", BLUE),
    Defect.NOISY: ("s", ORANGE),
    Defect.BLINKING: ("D", PURPLE),
    Defect.WARM: ("^", GREEN),
    Defect.COLD: ("P", SKY),
    Defect.DEAD: ("X", INK),
}


def defects(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw where the pixels with defects are."""
    found = np.asarray(measurement.maps["defects"])
    height, width = found.shape
    canvas, (axes,) = panels(height_in=4.4)
    for size, (kind, (marker, colour)) in zip(range(10, 3, -1), KINDS.items(), strict=True):
        y, x = np.nonzero(found & int(kind))
        if y.size:
            name = f"{kind.name.lower()} ({y.size})"
            axes.plot(x, y, marker, color=colour, label=name, markersize=size, markerfacecolor="none")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    if not found.any():
        axes.text(0.5, 0.5, "no defects", transform=axes.transAxes, ha="center", color=SOFT)
    for spine in axes.spines.values():
        spine.set_visible(True)
    label(axes, "x (px)", "y (px)")
    legend(axes, loc="upper left", bbox_to_anchor=(1.02, 1))
    return canvas


DARK_NOISE = (
    Plot(
        "camera-noise",
        "Noise and offset of the pixels",
        "Standard deviation in time and mean of each pixel in the dark. Colours leave out the outermost 0.5 % at "
        "either end; the histograms show all pixels, counts on a logarithmic scale.",
        ("read_noise_adu", "offset_adu"),
        pixel_noise,
    ),
)
PHOTON_TRANSFER = (
    Plot(
        "camera-photon-transfer",
        "Photon transfer curve",
        "Variance in time against mean signal, dark taken off; the slope of the line is the gain. Right: what the "
        "levels on the line are off it. Bars are one standard uncertainty.",
        ("signal_adu", "variance_adu2", "variance_uncertainty_adu2", "is_used"),
        photon_transfer,
    ),
)
LINEARITY = (
    Plot(
        "camera-linearity",
        "Linearity",
        "Mean signal against light, and its distance from the line through all levels, weighted as EMVA 1288 does.",
        ("light", "signal_adu", "deviation_percent"),
        linearity,
    ),
)
DARK_CURRENT = (
    Plot(
        "camera-dark-current",
        "Dark current",
        "Mean and variance of dark frames against exposure; both slopes are the dark current.",
        ("exposure_s", "mean_e", "variance_e2"),
        dark_current,
    ),
)
UNIFORMITY = (
    Plot(
        "camera-response",
        "Response of the pixels",
        "Signal of each pixel over the light's smooth shape. Colours leave out the outermost 0.5 % at either end; "
        "the histogram shows all pixels, counts on a logarithmic scale.",
        ("relative_response",),
        uniformity,
    ),
)
DEFECTS = (
    Plot(
        "camera-defects",
        "Defect pixels",
        "Each mark is a pixel with a defect; marks are much larger than pixels, and lie within one another where a pixel has several.",
        ("defects",),
        defects,
    ),
)
