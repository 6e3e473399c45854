"""Field illumination against fields whose centre and corners are known; off-centre and unequal on purpose."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.illumination import ROUTINE, measure_illumination, measure_illumination_change
from qc_routines.peak_surface import gaussian_peak
from qc_routines.tiles import _sums, _tile_means, _trimmed, tile_map

naive = runpy.run_path(str(Path(__file__).with_name("naive_tiles.py")))
DTYPES = ["uint8", "uint16", "float32", "float64"]
CENTRE_YX = (170.0, 420.0)


def light(shape: tuple[int, int] = (400, 640), sigma_yx: tuple[float, float] = (380.0, 520.0)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-(((y - CENTRE_YX[0]) / sigma_yx[0]) ** 2 + ((x - CENTRE_YX[1]) / sigma_yx[1]) ** 2) / 2)


def frame(
    dtype: str = "uint16", peak: float = 20_000, offset: float = 100, seed: int = 0, **shape
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    adu = offset + 0.5 * rng.poisson(peak * light(**shape)) + rng.normal(0, 2, light(**shape).shape)
    top = 255 if dtype == "uint8" else 65_535
    return np.clip(adu.round() if dtype.startswith("uint") else adu, 0, top).astype(dtype)


def true_corner_ratio(field: np.ndarray) -> float:
    n = int(0.1 * sum(field.shape) / 2)
    corners = [field[:n, :n], field[:n, -n:], field[-n:, :n], field[-n:, -n:]]
    return float(np.mean([corner.mean() for corner in corners]) / field.max())


def centre_error_px(measured) -> float:
    return max(
        abs(measured.value(f"centre_fit_{axis}") - true) for axis, true in zip("yx", CENTRE_YX, strict=True)
    )


# ---- truth


@pytest.mark.parametrize("case", ["plain", "hot pixels", "offset", "dark frame", "dust"])
def test_centre_and_corners_are_right(case: str) -> None:
    image, dark = frame(offset=8000 if case == "offset" else 100), 8000.0 if case == "offset" else 100.0
    if case == "hot pixels":
        image.flat[np.random.default_rng(1).choice(image.size, 8, replace=False)] = 65_535
    if case == "dark frame":
        dark = np.random.default_rng(2).normal(100, 3, image.shape).round().astype(np.uint16)
    if case == "dust":
        image[200:212, 300:330] = image[200:212, 300:330] * 0.6
    measured = measure_illumination(image, dark)
    assert centre_error_px(measured) < 0.5
    assert measured.value("corner_ratio") == pytest.approx(true_corner_ratio(light()), rel=0.005)
    assert measured.n_rejected.get("outlying pixel", 0) >= (8 if case == "hot pixels" else 0)


def test_each_of_the_nine_tiles_is_where_it_says() -> None:
    measured, field, n = measure_illumination(frame(), 100.0), light(), 52
    height, width = field.shape
    rows = {"top": 0, "middle": (height - n) // 2, "bottom": height - n}
    columns = {"left": 0, "center": (width - n) // 2, "right": width - n}
    for row, y in rows.items():
        for column, x in columns.items():
            true = field[y : y + n, x : x + n].mean() / field.max()
            assert measured.value(f"{row}_{column}_ratio") == pytest.approx(true, rel=0.003), (row, column)


def test_profiles_run_along_their_axes() -> None:
    maps = measure_illumination(frame(), 100.0).maps
    assert maps["relative_intensity"].shape == (25, 40)
    assert maps["profile_horizontal"].size == 40 and maps["profile_vertical"].size == 25
    assert np.argmax(maps["profile_horizontal"]) == pytest.approx(420 / 16, abs=2)
    assert np.argmax(maps["profile_vertical"]) == pytest.approx(170 / 16, abs=2)


def test_metroloj_figures_follow_their_formulae() -> None:
    measured, field = measure_illumination(frame(), 100.0, pixel_size_um=0.1), light()
    above = np.argwhere(field >= 0.9)
    away = np.hypot(*(above.mean(axis=0) - (np.array(field.shape) - 1) / 2))
    assert measured.value("centring") == pytest.approx(100 - 200 * away / np.hypot(400, 640), abs=0.5)
    assert measured.value("uniformity") == pytest.approx(
        100 * field.min(), abs=2.5
    )  # of tiles, not of pixels
    assert measured.value("area_above_75") == pytest.approx(100 * np.mean(field >= 0.75), abs=0.5)
    assert measured.value("centre_fit_distance") == pytest.approx(
        0.1 * np.hypot(170 - 199.5, 420 - 319.5), rel=0.02
    )


def test_without_an_offset_a_remark_says_so() -> None:
    measured = measure_illumination(frame(offset=8000))
    assert measured.value("corner_ratio") > true_corner_ratio(light())
    assert "offset" in measured.remarks[0]


def test_a_field_without_a_peak_has_no_fitted_centre() -> None:
    rng = np.random.default_rng(0)
    bowl = rng.poisson(10_000 * (2 - light())).astype(np.uint16)
    measured = measure_illumination(bowl, 0.0)
    assert measured.value("centre_fit_y") is None
    assert "no single maximum" in measured.remarks[0]


def test_brightness_claims_no_uncertainty_but_with_the_lamps() -> None:
    assert measure_illumination(frame(), 100.0).figure("maximum_signal").uncertainty is None
    rng, hits = np.random.default_rng(8), []
    for seed in range(40):
        flickering = frame(seed=seed, peak=20_000 * rng.normal(1, 0.004))
        figure = measure_illumination(flickering, 100.0, flicker_percent=0.4).figure("maximum_signal")
        hits.append(abs(figure.value - 10_000) <= 1.96 * figure.uncertainty)
    assert 0.88 <= np.mean(hits) <= 1.0


def test_uncertainties_cover_the_truth() -> None:
    true, hits = true_corner_ratio(light()), {"y": [], "x": [], "c": []}
    for seed in range(60):
        measured = measure_illumination(frame(seed=seed, peak=4000), 100.0)
        for axis, centre in zip("yx", CENTRE_YX, strict=True):
            figure = measured.figure(f"centre_fit_{axis}")
            hits[axis].append(abs(figure.value - centre) <= 1.96 * figure.uncertainty)
        corner = measured.figure("corner_ratio")
        hits["c"].append(abs(corner.value - true) <= 1.96 * corner.uncertainty)
    assert {name: 0.88 <= np.mean(hit) <= 1.0 for name, hit in hits.items()} == {
        "y": True,
        "x": True,
        "c": True,
    }


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_agree(dtype: str) -> None:
    reference = frame("float64", peak=400, offset=10)
    image = reference.round().astype(dtype) if dtype.startswith("uint") else reference.astype(dtype)
    measured = measure_illumination(image, 10.0)
    assert measured.value("corner_ratio") == pytest.approx(true_corner_ratio(light()), rel=0.005)


def test_nan_pixels_are_counted_and_left_out() -> None:
    image = frame("float32")
    image[100:140, 200:260] = np.nan
    measured = measure_illumination(image, 100.0)
    assert measured.n_rejected["NaN or infinite"] == 2400
    assert centre_error_px(measured) < 0.5


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((64, 80), np.uint16), "light above the offset"),
        (np.full((64, 80), 65_535, np.uint16), "saturated"),
        (np.full((64, 80), 900, np.uint16), "the one value 900"),
        (np.full((64, 80), np.nan), "NaN"),
        (np.ones((1, 1), np.uint16), "32 pixels a side"),
        (np.ones((0, 5), np.uint16), "one pixel"),
        (np.ones((64, 80, 3), np.uint8), "colours"),
        (np.ones((2, 64, 80), np.uint16), "2 axes"),
        (np.ones((64, 80), np.complex64), "complex64"),
        ([[1, 2]], "numpy array"),
    ],
    ids=["black", "saturated", "constant", "NaN", "one pixel", "empty", "RGB", "stack", "complex", "list"],
)
def test_bad_images_are_refused_by_reason(image, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_illumination(image, 0.0)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="dark frame of the image's shape"):
        measure_illumination(frame(), np.zeros((3, 4), np.uint16))
    with pytest.raises(InputError, match="corner_fraction"):
        measure_illumination(frame(), corner_fraction=0.6)
    with pytest.raises(InputError, match="light above the offset"):
        measure_illumination(frame(), 40_000.0)


def test_every_figure_has_a_name_for_the_catalogue() -> None:
    names = {figure.name: figure.unit for figure in measure_illumination(frame(), 100.0, 0.1).figures}
    assert names == {name: entry.unit for name, entry in ROUTINE.figures.items()}


# ---- change


def test_dust_is_a_spot_and_a_moved_lamp_is_none() -> None:
    reference, now = frame(seed=1), frame(seed=2)
    unchanged = measure_illumination_change(now, reference, 100.0, pixel_size_um=0.5)
    assert (unchanged.value("n_spots"), unchanged.value("largest_spot")) == (0, 0)
    assert unchanged.value("ratio_sd") < 0.3
    now[160:208, 320:400] = now[160:208, 320:400] * 0.9
    dusty = measure_illumination_change(now, reference, 100.0, pixel_size_um=0.5)
    assert dusty.value("n_spots") == 1
    assert dusty.value("largest_spot") == pytest.approx(48 * 80 * 0.25, rel=0.5)
    assert dusty.value("ratio_least") == pytest.approx(0.9, abs=0.01)
    tilted = (frame(seed=3) * np.linspace(0.8, 1.0, 640)).astype(np.uint16)
    moved = measure_illumination_change(tilted, reference, 80.0)
    assert moved.value("ratio_sd") > 3
    assert moved.value("n_spots") == 0


def test_fields_of_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        measure_illumination_change(frame(), frame()[:, :300])


# ---- tiles


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_agree_with_the_oracle(dtype: str) -> None:
    rng = np.random.default_rng(7)
    image = rng.integers(90, 110, (40, 57)).astype(dtype)
    image[3, 4], image[20, 31], image[21, 33] = 255, 255, 0
    if dtype.startswith("float"):
        image[30, 40], image[0:10, 0:10] = np.inf, np.nan
    found = tile_map(image, 10, 255.0)
    y_edges, x_edges = np.arange(5) * 40 // 4, np.arange(7) * 57 // 6
    totals = np.zeros(3, int)
    for i in range(4):
        for j in range(6):
            values = image[y_edges[i] : y_edges[i + 1], x_edges[j] : x_edges[j + 1]].ravel().tolist()
            mean, sigma, *counts = naive["tile"](values, 255.0)
            if not any(counts):
                continue
            np.testing.assert_allclose(
                [found.mean_adu[i, j], found.sigma_adu[i, j]], [mean, sigma], rtol=1e-9
            )
            totals += counts
    assert (found.n_outliers, found.n_not_finite, found.n_saturated) == tuple(totals)
    assert found.y_px.tolist() == [4.5, 14.5, 24.5, 34.5]


def test_kernels_of_tiles_compute_the_same_without_the_compiler() -> None:
    tile = np.random.default_rng(0).normal(100, 3, (9, 8))
    tile[4, 4] = 900
    assert _sums.py_func(tile) == pytest.approx(_sums(tile))
    assert _trimmed.py_func(tile, np.empty(72), 800.0) == pytest.approx(_trimmed(tile, np.empty(72), 800.0))
    edges, results = np.array([0, 4, 8]), []
    for tile_means in (_tile_means, _tile_means.py_func):
        mean, sigma = np.empty((2, 2, 2))
        results.append([*tile_means(tile, edges, edges, 800.0, mean, sigma), *mean.ravel(), *sigma.ravel()])
    assert results[0] == pytest.approx(results[1])


def test_gaussian_peak_is_exact_without_noise_and_needs_a_peak() -> None:
    y, x = np.arange(20.0) * 16, np.arange(30.0) * 16
    values = np.exp(-((y[:, None] - 140.25) ** 2 / 2 / 300**2 + (x[None] - 251.75) ** 2 / 2 / 200**2))
    assert gaussian_peak(values, y, x).centre_yx == pytest.approx((140.25, 251.75), abs=1e-6)
    assert gaussian_peak(1 / values, y, x) is None


def test_smoothing_agrees_with_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    relative = measure_illumination(frame(), 100.0).maps["relative_intensity"]
    tiles = tile_map(frame(), 16).mean_adu - 100
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    smooth = ndimage.convolve(tiles, kernel)[1:-1, 1:-1]
    np.testing.assert_allclose(relative[1:-1, 1:-1] / relative[5, 5], smooth / smooth[4, 4], rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 10, 11, 12, 14])
def test_field_that_a_camera_of_fewer_bits_clips_is_not_called_even(bits: int) -> None:
    full_adu = 2**bits - 1
    image = np.full((160, 224), full_adu, np.uint16)
    dark = np.random.default_rng(3).integers(0, 5, image.shape).astype(np.uint16)
    with pytest.raises(InputError, match="saturated"):
        measure_illumination(image, dark=dark)
