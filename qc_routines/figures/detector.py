"""Detectors of point scanners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import BLUE, SOFT, VERMILION, label, legend, panels
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def settings(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw signal to noise, effective photons and gain of each setting, with the line of the gain."""
    table = measurement.table
    names = [str(name) for name in table["setting"]]
    numbers = _numbers(names)
    at = np.arange(len(names), dtype=float) if numbers is None else numbers
    canvas, axes = panels(3, height_in=2.7)
    columns = {
        "snr": "Signal to noise (1)",
        "photons": "Effective photons (1)",
        "gain_adu": "Gain (ADU/photon)",
    }
    for each, (column, words) in zip(axes, columns.items(), strict=True):
        error = (
            column.replace("_adu", "_uncertainty_adu") if column == "gain_adu" else f"{column}_uncertainty"
        )
        each.errorbar(
            at, np.asarray(table[column], float), np.asarray(table[error], float), fmt="o", color=BLUE
        )
        if numbers is None:
            each.set_xticks(at, names)
        label(each, "Setting (device's units)", words, words.lower().partition(" (")[0])
    slope, gain = measurement.value("gain_slope"), np.asarray(table["gain_adu"], float)
    if numbers is not None and slope is not None:
        known = np.isfinite(gain) & (at > 0)
        ends = np.linspace(at[known].min(), at[known].max(), 50)
        middle = np.exp(np.mean(np.log(gain[known])) - slope * np.mean(np.log(at[known])))
        axes[2].plot(
            ends, middle * ends**slope, "-", color=VERMILION, linewidth=1.2, label=f"slope {slope:.3g}"
        )
        axes[2].set(xscale="log", yscale="log")
        legend(axes[2])
    best = str(measurement.parameters.get("best_setting") or "")
    if best in names:
        axes[0].axvline(at[names.index(best)], color=SOFT, linewidth=1.2, linestyle="--")
    return canvas


def _numbers(names: list[str]) -> np.ndarray | None:
    try:
        return np.array([float(name) for name in names])
    except ValueError:
        return None


PLOTS = (
    Plot(
        "detector-settings",
        "Settings of the detector",
        "Signal to noise, effective photons and gain at each setting; the dashed line is the best setting.",
        ("snr", "snr_uncertainty"),
        settings,
    ),
)
