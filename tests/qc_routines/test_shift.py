"""Shifts between images: right sign, large and small, unequal along y and x."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.image_positions import image_positions
from qc_routines.shift import (
    _filter_line,
    _normal_equations,
    _spline_coefficients,
    _spline_weights,
    measure_shift,
)

naive = runpy.run_path(str(Path(__file__).with_name("naive_shift.py")))
DTYPES = ["uint8", "uint16", "float32", "float64"]


def scene(
    shift_yx: tuple[float, float], shape: tuple[int, int] = (120, 170), seed: int = 0, noise: float = 3.0
):
    """Return Gaussian blobs all over, and beyond the image, moved by a shift."""
    rng = np.random.default_rng(1000 + seed)
    places = rng.uniform((-120, -170), (240, 340), (150, 2)) + shift_yx
    heights = rng.uniform(40, 160, 150)
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None]
    image = np.full(shape, 40.0)
    for (at_y, at_x), height in zip(places, heights, strict=True):
        image += height * np.exp(-((y - at_y) ** 2) / 8) * np.exp(-((x - at_x) ** 2) / 8)
    return np.random.default_rng([seed, *np.abs(np.array(shift_yx) * 100).astype(int)]).normal(image, noise)


@pytest.mark.parametrize(
    "shift_yx", [(0.0, 0.0), (0.3, -0.7), (-2.4, 5.5), (31.25, -48.5), (-55.1, 20.6), (8.0, 97.3)], ids=str
)
def test_shift_is_where_the_content_went(shift_yx: tuple[float, float]) -> None:
    found = measure_shift(scene((0, 0)), 0.7 * scene(shift_yx) + 25)
    assert found.yx_px == pytest.approx(shift_yx, abs=0.05)
    assert max(found.uncertainty_yx_px) < 0.03
    assert found.correlation > 0.9


def test_whole_shift_agrees_with_the_oracle() -> None:
    field = np.random.default_rng(0).normal(100, 10, (60, 70))
    first, second = field[20:44, 20:51], field[23:47, 16:47]
    expected = naive["whole_shift"](first.tolist(), second.tolist(), 6)
    assert expected == (-3, 4)
    assert np.round(measure_shift(first, second).yx_px).tolist() == list(expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_agree(dtype: str) -> None:
    first, second = (np.clip(scene(s).round(), 0, 255).astype(dtype) for s in ((0, 0), (2.5, -3.25)))
    assert measure_shift(first, second).yx_px == pytest.approx((2.5, -3.25), abs=0.05)


def test_a_lone_bead_in_noise_is_followed() -> None:
    y, x = np.mgrid[:100, :140]

    def bead(at_y: float, at_x: float, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(0, 3, y.shape)
        return 100 + noise + 400 * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / 2 / 5**2)

    assert measure_shift(bead(40, 80, 0), bead(61.3, 39.6, 1)).yx_px == pytest.approx((21.3, -40.4), abs=0.03)


def test_uncertainty_covers_the_truth() -> None:
    rng, hits = np.random.default_rng(0), []
    for seed in range(60):
        shift = rng.uniform(-8, 8, 2)
        found = measure_shift(scene((0, 0), (80, 110), seed), scene(tuple(shift), (80, 110), seed))
        hits += (np.abs(np.array(found.yx_px) - shift) <= 1.96 * np.array(found.uncertainty_yx_px)).tolist()
    assert 0.88 <= np.mean(hits) <= 1.0


def test_shift_agrees_with_scikit_image() -> None:
    registration = pytest.importorskip("skimage.registration")
    first, second = scene((0, 0), noise=1), scene((1.5, -2.75), noise=1)
    theirs, *_ = registration.phase_cross_correlation(second, first, upsample_factor=50, normalization=None)
    assert measure_shift(first, second).yx_px == pytest.approx(theirs, abs=0.1)


@pytest.mark.parametrize(
    ("moved", "message"),
    [
        (np.random.default_rng(0).normal(100, 3, (120, 170)), "share content"),
        (np.full((120, 170), 7.0), "one value, 7"),
        (np.full((120, 170), np.nan), "NaN"),
        (np.ones((120, 171)), "one value|one shape"),
        (np.ones((4, 5)), "16 pixels a side"),
        (np.ones((120, 170, 3)), "colours"),
        (np.ones((3, 120, 170)), "2 axes"),
    ],
    ids=["other content", "constant", "NaN", "other shape", "small", "RGB", "stack"],
)
def test_bad_images_are_refused(moved: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_shift(scene((0, 0)), moved)


def test_one_bad_image_does_not_end_a_series() -> None:
    images = [scene((0, 0)), scene((1, 2)), np.zeros((120, 170)), scene((-2.5, 3))]
    found = image_positions(images, pixel_size_um=0.5)
    np.testing.assert_allclose(found.yx_um[[0, 1, 3]], [[0, 0], [0.5, 1], [-1.25, 1.5]], atol=0.03)
    assert np.isnan(found.yx_um[2]).all()
    assert found.n_rejected == {"nothing to see in moved": 1}
    with pytest.raises(InputError, match="pixel_size_um"):
        image_positions(images, 0.0)
    with pytest.raises(InputError, match="at least one image"):
        image_positions([], 1.0)


def test_kernels_compute_the_same_without_the_compiler() -> None:
    first, second, state = (
        scene((0, 0), (20, 23)),
        scene((0.2, 0.4), (20, 23)),
        np.array([0.2, 0.3, 1.1, 5.0]),
    )
    for ours, theirs in zip(
        _normal_equations(first, second, state), _normal_equations.py_func(first, second, state), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    for t in (0.0, 0.25, 0.9):
        weights, slopes = _spline_weights.py_func(t)
        assert (weights.sum(), slopes.sum()) == pytest.approx((1.0, 0.0))
        assert weights @ np.arange(-1, 3) == pytest.approx(t), "a straight line is kept"
    line, same = first[3].copy(), first[3].copy()
    _filter_line(line)
    _filter_line.py_func(same)
    np.testing.assert_allclose(line, same)


def test_spline_goes_through_its_pixels_and_is_scipys_between_them() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = scene((0, 0), (24, 31))
    np.testing.assert_allclose(
        _spline_coefficients(image), ndimage.spline_filter(image, order=3, mode="mirror"), rtol=1e-6
    )


@pytest.mark.parametrize("small_px", [0.02, 0.1, 0.25])
def test_a_small_shift_is_not_stretched(small_px: float) -> None:
    shift = (small_px, -2 * small_px)
    found = measure_shift(scene((0, 0), noise=0.0), scene(shift, noise=0.0))
    assert found.yx_px == pytest.approx(shift, rel=0.01, abs=1e-4)
