"""Drawings of measurements, for reports and pages; never needed for a number.

Matplotlib is imported on the first drawing. Nothing is shown and no global state is touched: a drawing is a
`matplotlib.figure.Figure`, to be saved by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from qc_routines.errors import InputError
from qc_routines.results import Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN, HEIGHT_IN = 5.0, 4.0


def draw(measurement: Measurement) -> Figure:
    """Return the drawing of a measurement.

    Raises
    ------
    InputError
        There is no drawing for this routine; see `DRAWINGS`.
    """
    from matplotlib.figure import Figure

    if measurement.routine not in DRAWINGS:
        raise InputError(
            f"expected a routine that can be drawn ({', '.join(DRAWINGS)}); got {measurement.routine}"
        )
    panels = DRAWINGS[measurement.routine]
    figure = Figure(figsize=(WIDTH_IN * len(panels), HEIGHT_IN), layout="constrained")
    for panel, axes in zip(panels, np.atleast_1d(figure.subplots(1, len(panels))), strict=True):
        panel(axes, measurement)
    return figure


def _intensity_map(axes: Axes, measurement: Measurement) -> None:
    relative = measurement.maps["relative_intensity"]
    shown = axes.imshow(relative, vmin=0, vmax=1, cmap="viridis")
    levels = [level for level in np.arange(0.1, 1, 0.1) if np.nanmin(relative) < level < np.nanmax(relative)]
    if levels:
        axes.contour(relative, levels=levels, colors="white", linewidths=0.6)
    tile_px = measurement.parameters["tile_px"]
    centre = [measurement.value(f"centre_zone_{axis}") / tile_px - 0.5 for axis in "xy"]
    axes.plot(*centre, "r+")
    axes.set(title="relative intensity, centre +", xlabel=f"x / {tile_px} px", ylabel=f"y / {tile_px} px")
    axes.figure.colorbar(shown, ax=axes)


def _intensity_profiles(axes: Axes, measurement: Measurement) -> None:
    for name, profile in measurement.maps.items():
        if name.startswith("profile_"):
            axes.plot(
                np.linspace(-1, 1, profile.size),
                profile,
                label=name.removeprefix("profile_").replace("_", " "),
            )
    axes.set(title="profiles", xlabel="from edge to edge", ylabel="relative intensity", ylim=(0, 1.05))
    axes.legend()


def _read_noise_histogram(axes: Axes, measurement: Measurement) -> None:
    noise_adu = measurement.maps["read_noise_adu"].ravel()
    bins = np.linspace(0, 3 * float(np.percentile(noise_adu, 99)), 200)
    axes.hist(np.minimum(noise_adu, bins[-1]), bins=bins, log=True)
    axes.axvline(measurement.value("read_noise_median"), color="black", label="median")
    axes.axvline(measurement.value("read_noise_rms"), color="red", label="rms")
    axes.set(title="read noise", xlabel="ADU", ylabel="pixels")
    axes.legend()


def _photon_transfer_curve(axes: Axes, measurement: Measurement) -> None:
    table = measurement.table
    signal, variance, used = table["signal_adu"], table["variance_adu2"], table["is_used"]
    axes.errorbar(
        signal, variance, 2 * table["variance_uncertainty_adu2"], fmt="o", color="grey", label="left out"
    )
    axes.plot(signal[used], variance[used], "o", label="used")
    axes.plot(signal, measurement.value("gain") * signal, "-", label="gain x signal")
    axes.set(title="photon transfer", xlabel="signal / ADU", ylabel="variance / ADU²")
    axes.set(ylim=(0, 1.1 * float(np.max(variance))))
    axes.legend()


def _points(
    x: str, y: str, x_label: str, y_label: str, style: str = "o"
) -> Callable[[Axes, Measurement], None]:
    def panel(axes: Axes, measurement: Measurement) -> None:
        axes.plot(measurement.table[x], measurement.table[y], style)
        axes.set(title=measurement.routine.replace("_", " "), xlabel=x_label, ylabel=y_label)

    return panel


def _returns(axes: Axes, measurement: Measurement) -> None:
    table = measurement.table
    for direction in np.unique(table["direction"]):
        chosen = table["direction"] == direction
        axes.plot(table["x_um"][chosen], table["y_um"][chosen], "o", label=f"from {direction}")
    axes.set(title="returns", xlabel="x / um", ylabel="y / um", aspect="equal")
    axes.invert_yaxis()
    axes.legend()


def _displacements(axes: Axes, measurement: Measurement) -> None:
    table = measurement.table
    axes.plot(table["time_min"], table["displacement_um"], "k", label="distance")
    for axis in measurement.parameters["axes"]:
        axes.plot(table["time_min"], table[f"{axis}_um"] - table[f"{axis}_um"][0], label=axis)
    settled_min = measurement.value("settling_time")
    if settled_min is not None:
        axes.axvline(table["time_min"][0] + settled_min, color="grey", linestyle=":", label="settled")
    axes.set(title="drift", xlabel="time / min", ylabel="um")
    axes.legend()


def _residual_arrows(axes: Axes, measurement: Measurement) -> None:
    table = measurement.table
    axes.quiver(table["x_px"], table["y_px"], table["off_x_px"], table["off_y_px"], angles="xy")
    axes.set(title="off the grid", xlabel="x / px", ylabel="y / px", aspect="equal")
    axes.invert_yaxis()


def _allan(axes: Axes, measurement: Measurement) -> None:
    axes.loglog(measurement.maps["allan_tau_s"], 100 * measurement.maps["allan_deviation"], "o-")
    axes.set(title="Allan deviation", xlabel="averaging time / s", ylabel="%")


def _map(name: str, title: str) -> Callable[[Axes, Measurement], None]:
    def panel(axes: Axes, measurement: Measurement) -> None:
        shown: Any = axes.imshow(measurement.maps[name], interpolation="nearest")
        axes.set(title=title, xlabel="x", ylabel="y")
        axes.figure.colorbar(shown, ax=axes)

    return panel


DRAWINGS: dict[str, tuple[Callable[[Axes, Measurement], None], ...]] = {
    "illumination": (_intensity_map, _intensity_profiles),
    "illumination_change": (_map("ratio", "ratio to the reference"),),
    "dark_noise": (_map("read_noise_adu", "read noise / ADU"), _read_noise_histogram),
    "photon_transfer": (_photon_transfer_curve,),
    "linearity": (_points("light", "deviation_percent", "light", "deviation / %"),),
    "dark_current": (_points("exposure_s", "mean_e", "exposure / s", "mean / e-"),),
    "uniformity": (_map("relative_response", "relative response"),),
    "defects": (_map("defects", "defects, bits"),),
    "power_linearity": (_points("setting_percent", "power_mw", "setting / %", "power / mW"),),
    "power_stability": (_points("time_s", "power_mw", "time / s", "power / mW", "-"), _allan),
    "stage": (_returns,),
    "drift": (_displacements,),
    "autofocus": (_points("defocus_um", "error_um", "defocus / um", "error / um"),),
    "grid": (_residual_arrows,),
    "line_pairs": (_points("spacing_um", "contrast", "spacing / um", "contrast", "o-"),),
    "thin_layer": (_map("fwhm_um", "axial FWHM / um"), _map("height_um", "height / um")),
    "axial_steps": (_points("commanded_um", "measured_um", "commanded / um", "measured / um"),),
}
"""Panels of each routine's drawing, from left to right."""
