"""Beads: their mean image, its profiles, and how their widths spread over beads and field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.figures.drawing import Plot, Theory
from qc_routines.figures.style import (
    BLUE,
    FAINT,
    ORANGE,
    SOFT,
    VERMILION,
    histogram,
    label,
    legend,
    nice_length,
    panels,
)
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

AXES = "zyx"


def average_views(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the three planes through the middle of the mean bead, all on one scale."""
    mean = np.asarray(measurement.maps["average_psf"], float)
    reach = _reach_um(measurement)
    z, y, x = (n // 2 for n in mean.shape)
    views = [
        (mean[z], (2, 1), "xy, in focus"),
        (mean[:, y], (2, 0), "xz"),
        (mean[:, :, x], (1, 0), "yz"),
    ]
    canvas, axes = panels(3, height_in=3.4)
    for each, (values, (across, down), title) in zip(axes, views, strict=True):
        extent = (-reach[across], reach[across], reach[down], -reach[down])
        shown = each.imshow(values, extent=extent, vmin=0, vmax=1, interpolation="nearest")
        tick_um = nice_length(0.9 * reach[across])
        each.set_xticks([-tick_um, 0, tick_um] if down else [-tick_um, tick_um])
        label(each, f"{AXES[across]} (µm)", f"{AXES[down]} (µm)", title)
    canvas.colorbar(shown, ax=axes, label="of the fitted height", shrink=0.8, extend="both")
    return canvas


def average_profiles(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the mean bead along each axis, the Gaussian fitted to it, and one as wide as theory says."""
    mean = np.asarray(measurement.maps["average_psf"], float)
    spread = np.asarray(measurement.maps.get("average_psf_sd", np.full(mean.shape, np.nan)), float)
    canvas, axes = panels(3, height_in=2.9)
    for k, (each, axis) in enumerate(zip(axes, AXES, strict=True)):
        place, line = _line(measurement, mean, k)
        _, sd = _line(measurement, spread, k)
        each.fill_between(place, line - sd, line + sd, color=FAINT, label="mean ± SD of beads", linewidth=0)
        each.plot(place, line, "o", color=BLUE, label="mean of beads", markersize=3)
        fine = np.linspace(place[0], place[-1], 301)
        _gaussian(
            each, fine, _width(measurement, f"fwhm_{axis}_average"), "Gaussian, fitted width", VERMILION, "-"
        )
        _gaussian(each, fine, theory.get(f"fwhm_{axis}"), "Gaussian, width by theory", "black", "--")
        label(each, f"{axis} (µm)", "of the fitted height" if k == 0 else "", f"along {axis}")
        each.set_ylim(-0.1, 1.2)
    handles, names = axes[0].get_legend_handles_labels()
    canvas.legend(handles, names, loc="outside lower center", ncols=4)
    return canvas


def _reach_um(measurement: Measurement) -> NDArray[np.float64]:
    shape = np.array(measurement.maps["average_psf"].shape)
    return shape * np.asarray(measurement.maps["average_psf_step_um"], float) / 2


def _line(
    measurement: Measurement, values: NDArray[np.float64], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places from the middle, um, and the values along one axis through it."""
    middle = [n // 2 for n in values.shape]
    index: list[Any] = [*middle]
    index[axis] = slice(None)
    step_um = float(measurement.maps["average_psf_step_um"][axis])
    return (np.arange(values.shape[axis]) - middle[axis]) * step_um, values[tuple(index)]


def _gaussian(
    axes: Axes, place: NDArray[np.float64], fwhm: float | None, name: str, colour: str, dash: str
) -> None:
    if fwhm is not None and fwhm > 0:
        bell = np.exp(-4 * np.log(2) * (place / fwhm) ** 2)
        axes.plot(place, bell, dash, color=colour, label=name, linewidth=1.3)


def _width(measurement: Measurement, name: str) -> float | None:
    return next((figure.value for figure in measurement.figures if figure.name == name), None)


def widths(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw how many beads have which width, with median and theory."""
    canvas, axes = panels(3, height_in=2.6)
    for each, axis in zip(axes, AXES, strict=True):
        column = measurement.table[f"fwhm_{axis}_um"]
        expected = theory.get(f"fwhm_{axis}")
        histogram(each, column, [expected])
        each.axvline(float(np.nanmedian(column)), color=VERMILION, label="median")
        if expected is not None:
            each.axvline(expected, color="black", linestyle="--", label="theory")
        label(each, f"FWHM {axis} (µm)", "Beads" if axis == "z" else "", f"along {axis}")
        each.yaxis.get_major_locator().set_params(integer=True)
    handles, names = axes[0].get_legend_handles_labels()
    canvas.legend(handles, names, loc="outside lower center", ncols=2)
    return canvas


def over_the_field(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw lateral and axial width and the height of each bead at its place."""
    table = measurement.table
    is_bead = np.isfinite(np.asarray(table["fwhm_x_um"], float))
    y, x = table["centroid_y_um"], table["centroid_x_um"]
    lateral = (np.asarray(table["fwhm_y_um"]) + table["fwhm_x_um"]) / 2
    height = np.asarray(table["centroid_z_um"]) - np.nanmedian(np.asarray(table["centroid_z_um"])[is_bead])
    views = {"lateral FWHM": lateral, "axial FWHM": table["fwhm_z_um"], "height of focus": height}
    canvas, axes = panels(3, height_in=3.2)
    for each, (title, values) in zip(axes, views.items(), strict=True):
        each.plot(x[~is_bead], y[~is_bead], "x", color=FAINT, markersize=4, label="left out")
        dots = each.scatter(
            x[is_bead], y[is_bead], c=np.asarray(values)[is_bead], s=22, edgecolor=SOFT, linewidth=0.3
        )
        canvas.colorbar(dots, ax=each, label="µm", location="bottom", shrink=0.9)
        each.set_aspect("equal")
        each.invert_yaxis()
        label(each, "x (µm)", "y (µm)" if title.startswith("lat") else "", title)
    if (~is_bead).any():
        canvas.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right")
    return canvas


def widths_against_light(measurement: Measurement, theory: Theory) -> Canvas:
    """Draw the widths against the ratio of signal to noise: dim beads scatter, they should not lean."""
    table = measurement.table
    canvas, (axes,) = panels(height_in=2.7)
    axes.plot(table["snr"], table["fwhm_x_um"], "o", color=BLUE, label="FWHM x", alpha=0.7)
    axes.plot(table["snr"], table["fwhm_y_um"], "^", color=ORANGE, label="FWHM y", alpha=0.7)
    if np.nanmax(table["snr"]) > 5 * np.nanmin(table["snr"]) > 0:
        axes.set_xscale("log")
    label(axes, "Signal to noise at the peak (ratio)", "FWHM (µm)")
    legend(axes)
    return canvas


PLOTS = (
    Plot(
        "psf-average",
        "Average bead",
        "Planes through the middle of the mean of all beads, background taken off, linear scale.",
        ("average_psf", "average_psf_step_um"),
        average_views,
    ),
    Plot(
        "psf-profiles",
        "Profiles of the average bead",
        "Points: the mean bead along each axis; band: one standard deviation between beads. Solid: Gaussian of the "
        "fitted width, the sampling step taken off. Dashed: Gaussian of the width that theory expects of a point.",
        ("average_psf", "average_psf_step_um"),
        average_profiles,
    ),
    Plot(
        "psf-widths",
        "Widths of the beads",
        "Number of beads by full width at half maximum along each axis.",
        ("fwhm_z_um", "fwhm_y_um", "fwhm_x_um"),
        widths,
    ),
    Plot(
        "psf-field",
        "Widths over the field",
        "Each dot is a bead at its place in the field. Height is from the median of all.",
        ("fwhm_z_um", "fwhm_y_um", "fwhm_x_um", "centroid_y_um", "centroid_x_um", "centroid_z_um"),
        over_the_field,
    ),
    Plot(
        "psf-signal",
        "Widths against signal",
        "Each mark is a bead. Widths that lean with signal speak of saturation or background.",
        ("snr", "fwhm_x_um", "fwhm_y_um"),
        widths_against_light,
    ),
)
