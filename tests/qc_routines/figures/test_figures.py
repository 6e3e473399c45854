"""Figures show what was measured, say what their axes are, and never fail."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from qc_routines.catalogue import ROUTINES
from qc_routines.figures import PLOTS, Drawing, Plot, draw, png, shown_unit
from qc_routines.figures.drawing import drawn
from qc_routines.figures.style import nice_length
from qc_routines.results import Measurement

PNG = b"\x89PNG\r\n\x1a\n"
COUNTS = ("Beads", "Pixels")
NAMES = sorted(ROUTINES)


def drawings(measurements: ModuleType, routine: str, **theory: float) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in draw(measurements.MEASURED[routine](), theory)}


def axes_of(drawing: Drawing) -> list[Any]:
    """Return the axes without those of bars of colours."""
    return [axes for axes in drawing.canvas.axes if axes.get_label() != "<colorbar>"]


def points(axes: Any, label: str) -> np.ndarray:
    """Return the points (n, 2) of the line of this label."""
    return next(line.get_xydata() for line in axes.lines if line.get_label() == label)


# ---- all of them


def test_every_routine_has_something_to_see() -> None:
    assert sorted(PLOTS) == NAMES
    names = [plot.name for plots in PLOTS.values() for plot in plots]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("routine", NAMES)
def test_figures_are_drawn_and_reproducible(measurements: ModuleType, routine: str) -> None:
    for drawing in draw(measurements.MEASURED[routine](), {"fwhm_x": 0.2}):
        assert drawing.missing == ""
        picture = png(drawing.canvas)
        assert picture.startswith(PNG)
        again = next(
            d for d in draw(measurements.MEASURED[routine](), {"fwhm_x": 0.2}) if d.name == drawing.name
        )
        assert png(again.canvas) == picture


@pytest.mark.parametrize("routine", NAMES)
def test_every_axis_says_what_it_is_and_in_which_unit(measurements: ModuleType, routine: str) -> None:
    for drawing in draw(measurements.MEASURED[routine]()):
        across = [axes.get_xlabel() for axes in axes_of(drawing)]
        down = [axes.get_ylabel() for axes in axes_of(drawing)]
        assert all(re.search(r"\(.+\)$", words) for words in across), (drawing.name, across)
        assert down[0], drawing.name
        shared = [words for words in down if words in ("", *COUNTS, "of the fitted height")]
        assert all(re.search(r"\(.+\)$", words) for words in down if words not in shared), (
            drawing.name,
            down,
        )
        for bar in (axes for axes in drawing.canvas.axes if axes.get_label() == "<colorbar>"):
            assert bar.get_xlabel() or bar.get_ylabel(), drawing.name


@pytest.mark.parametrize("routine", NAMES)
def test_without_data_a_sentence_takes_the_place_of_a_figure(measurements: ModuleType, routine: str) -> None:
    nothing = replace(measurements.MEASURED[routine](), table={}, maps={})
    for drawing in draw(nothing):
        assert drawing.canvas is None
        assert drawing.missing.startswith("Not drawn: no ") and drawing.missing.endswith(".")


def spoiled(measurement: Measurement, spoil: Any) -> Measurement:
    return replace(
        measurement,
        table={name: spoil(np.asarray(values)) for name, values in measurement.table.items()},
        maps={name: spoil(np.asarray(values)) for name, values in measurement.maps.items()},
    )


def all_nan(values: np.ndarray) -> np.ndarray:
    return np.full(values.shape, np.nan) if values.dtype.kind == "f" else values


SPOILS = {
    "all NaN": all_nan,
    "empty": lambda values: values[:0],
    "one row": lambda values: values[:1],
    "first value NaN": lambda values: (
        np.where(np.arange(values.size).reshape(values.shape) == 0, np.nan, values)
        if values.dtype.kind == "f"
        else values
    ),
    "constant": lambda values: np.full_like(values, values.flat[0]) if values.dtype.kind == "f" else values,
}


@pytest.mark.parametrize("routine", NAMES)
@pytest.mark.parametrize("spoil", SPOILS.values(), ids=list(SPOILS))
def test_spoiled_data_never_fail_a_report(measurements: ModuleType, routine: str, spoil: Any) -> None:
    for drawing in draw(spoiled(measurements.MEASURED[routine](), spoil)):
        assert (drawing.canvas is None) != (drawing.missing == "")
        if drawing.canvas is not None:
            assert png(drawing.canvas).startswith(PNG)


def test_a_figure_that_cannot_be_drawn_is_a_sentence(measurements: ModuleType) -> None:
    def paint(measurement: Measurement, theory: Any) -> Any:
        raise ValueError("no such luck")

    drawing = drawn(Plot("x", "X", "c", (), paint), measurements.MEASURED["stage"](), {})
    assert drawing.missing == "It could not be drawn: no such luck."


def test_an_unknown_routine_has_no_figures() -> None:
    assert draw(Measurement(routine="later", version="1", figures=(), n_used=0)) == ()


def test_names_from_elsewhere_are_shown_as_they_are(measurements: ModuleType) -> None:
    hostile = "$\\frac{1}{0$\x00-<b>"
    measured = measurements.MEASURED["registration"]()
    named = replace(measured, table={**measured.table, "pair": np.full(len(measured.table["pair"]), hostile)})
    drawing = draw(named)[0]
    png(drawing.canvas)
    title = axes_of(drawing)[0].get_title(loc="left")
    assert title.replace(r"\$", "$") == "$\\frac{1}{0$\N{REPLACEMENT CHARACTER}-<b>, in the plane"


def test_importing_figures_imports_no_matplotlib() -> None:
    code = (
        "import sys, qc_routines.figures; print(sorted(m for m in sys.modules if m.startswith('matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_drawing_leaves_no_open_figure(measurements: ModuleType) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw(measurements.MEASURED["stage"]())
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


# ---- what is drawn is what was measured


def test_illumination_map_is_the_measured_one(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["illumination"]()
    (axes,) = axes_of(drawings(measurements, "illumination")["illumination-map"])
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(100 * measured.maps["relative_intensity"])
    assert axes.images[0].get_extent() == [-0.5, 639.5, 511.5, -0.5]
    assert axes.images[0].get_clim() == (0, 100)
    fitted = [measured.value("centre_fit_x"), measured.value("centre_fit_y")]
    assert points(axes, "fitted top")[0] == pytest.approx(fitted)


def test_illumination_profiles_are_the_measured_ones(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["illumination"]()
    (axes,) = axes_of(drawings(measurements, "illumination")["illumination-profiles"])
    shown = points(axes, "down, through the centre")[:, 1]
    assert shown == pytest.approx(100 * measured.maps["profile_vertical"])


def test_psf_views_lie_through_the_middle_of_the_average(measurements: ModuleType) -> None:
    mean = measurements.MEASURED["psf"]().maps["average_psf"]
    z, y, x = (n // 2 for n in mean.shape)
    shown = [axes.images[0] for axes in axes_of(drawings(measurements, "psf")["psf-average"])]
    for image, plane in zip(shown, (mean[z], mean[:, y], mean[:, :, x]), strict=True):
        assert np.ma.filled(image.get_array(), np.nan) == pytest.approx(plane, nan_ok=True)
        assert image.get_clim() == (0, 1)


def test_psf_profiles_have_the_fitted_and_the_expected_width(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["psf"]()
    drawing = drawings(measurements, "psf", fwhm_z=0.5)["psf-profiles"]
    along_z, along_y, _ = axes_of(drawing)
    for label, truth in (
        ("Gaussian, fitted width", measured.value("fwhm_z_average")),
        ("Gaussian, width by theory", 0.5),
    ):
        place, height = points(along_z, label).T
        assert np.ptp(place[height >= 0.5]) == pytest.approx(truth, abs=2 * np.diff(place)[0])
    assert "Gaussian, width by theory" not in [line.get_label() for line in along_y.lines]


def test_psf_field_shows_each_bead_at_its_place(measurements: ModuleType) -> None:
    table = measurements.MEASURED["psf"]().table
    is_bead = table["reason"] == ""
    for axes, values in zip(
        axes_of(drawings(measurements, "psf")["psf-field"])[:2],
        ((table["fwhm_y_um"] + table["fwhm_x_um"]) / 2, table["fwhm_z_um"]),
        strict=True,
    ):
        dots = axes.collections[0]
        places = np.column_stack([table["centroid_x_um"], table["centroid_y_um"]])[is_bead]
        assert np.asarray(dots.get_offsets()) == pytest.approx(places)
        assert np.asarray(dots.get_array()) == pytest.approx(values[is_bead])
        assert axes.yaxis_inverted()


def test_histograms_count_every_bead(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["psf"]()
    for axes in axes_of(drawings(measurements, "psf", fwhm_z=0.1)["psf-widths"]):
        assert sum(bar.get_height() for bar in axes.patches) == measured.n_used


def test_registration_arrows_are_the_shifts(measurements: ModuleType) -> None:
    table = measurements.MEASURED["registration"]().table
    plane = axes_of(drawings(measurements, "registration")["registration-shifts"])[0]
    own = table["pair"] == "DAPI-FITC"
    arrows = next(c for c in plane.collections if hasattr(c, "U"))
    assert np.asarray(arrows.U) == pytest.approx(table["shift_x_nm"][own])
    assert np.asarray(arrows.V) == pytest.approx(table["shift_y_nm"][own])


def test_photon_transfer_line_has_the_slope_of_the_gain(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["photon_transfer"]()
    curve, _ = axes_of(drawings(measurements, "photon_transfer")["camera-photon-transfer"])
    line = next(line.get_xydata() for line in curve.lines if line.get_label().startswith("gain"))
    assert line[1, 1] / line[1, 0] == pytest.approx(measured.value("gain"))
    used = measured.table["is_used"]
    levels = np.column_stack([measured.table["signal_adu"], measured.table["variance_adu2"]])[used]
    assert any(np.array_equal(each.get_xydata(), levels) for each in curve.lines)


def test_defects_are_where_they_were_found(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["defects"]()
    (axes,) = axes_of(drawings(measurements, "defects")["camera-defects"])
    n_hot = int(measured.value("n_hot"))
    y, x = np.nonzero(measured.maps["defects"] & 1)
    assert points(axes, f"hot ({n_hot})") == pytest.approx(np.column_stack([x, y]))


def test_grid_arrows_are_the_residuals(measurements: ModuleType) -> None:
    table = measurements.MEASURED["grid"]().table
    (axes,) = axes_of(drawings(measurements, "grid")["grid-residuals"])
    arrows = next(c for c in axes.collections if hasattr(c, "U"))
    assert np.asarray(arrows.U) == pytest.approx(table["off_x_px"][table["is_used"]])
    assert np.asarray(arrows.V) == pytest.approx(table["off_y_px"][table["is_used"]])


def test_pixel_size_arrows_add_up_to_the_residual(measurements: ModuleType) -> None:
    measured = measurements.MEASURED["pixel_size"]()
    (axes,) = axes_of(drawings(measurements, "pixel_size")["pixel-size-residuals"])
    arrows = next(c for c in axes.collections if hasattr(c, "U"))
    squares_um2 = float(np.sum(np.asarray(arrows.U) ** 2 + np.asarray(arrows.V) ** 2)) / 1e6
    n_free = 2 * measured.n_used - 6
    residual_px = np.sqrt(2 * squares_um2 / n_free) / measured.value("pixel_size")
    assert residual_px == pytest.approx(measured.value("residual"), rel=1e-3)


def test_autofocus_marks_lost_trials_at_the_edge(measurements: ModuleType) -> None:
    axes, _ = axes_of(drawings(measurements, "autofocus")["autofocus-errors"])
    assert len(points(axes, "lost focus, off the scale")) == 1
    assert axes.get_ylim()[1] < 1000


@pytest.mark.parametrize(
    ("routine", "name", "label", "columns"),
    [
        ("drift", "drift-track", "distance", ("time_min", "displacement_um")),
        ("linearity", "camera-linearity", "levels", ("light", "signal_adu")),
    ],
)
def test_series_are_the_columns(
    measurements: ModuleType, routine: str, name: str, label: str, columns: tuple[str, str]
) -> None:
    table = measurements.MEASURED[routine]().table
    axes = axes_of(drawings(measurements, routine)[name])[0]
    assert points(axes, label) == pytest.approx(np.column_stack([table[column] for column in columns]))


# ---- words


@pytest.mark.parametrize(
    ("unit", "sign"),
    [
        ("um", "µm"),
        ("1", ""),
        ("e-", "e⁻"),
        ("nm/min", "nm/min"),
        ("um^2", "µm²"),
        ("%/K", "%/K"),
        (None, ""),
    ],
)
def test_units_are_shown_in_signs(unit: str | None, sign: str) -> None:
    assert shown_unit(unit) == sign


@pytest.mark.parametrize("longest", [3e-7, 0.19, 1.0, 2.0, 49.9, 1e6])
def test_key_arrow_is_no_longer_than_the_longest(longest: float) -> None:
    assert longest / 2.51 < nice_length(longest) <= longest * (1 + 1e-9)
