"""Moments of pixels in one pass, against plain Python and against what is known."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.camera import moments, pixel_moments
from qc_routines.camera.moments import GROUP, LEAST_PART, TILE

naive = runpy.run_path(str(Path(__file__).with_name("naive_moments.py")))
DTYPES = ["uint8", "uint16", "float32", "float64"]


def frames(dtype: str, n: int = 21, shape: tuple[int, int] = (13, 17), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 250, (n, *shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 8, 21])
def test_moments_agree_with_the_oracle(dtype: str, n: int) -> None:
    series = frames(dtype, n)
    found, expected = pixel_moments(series), naive["pixel_moments"](series.reshape(n, -1).tolist())
    for name in ("mean_adu", "variance_adu2", "low_adu", "high_adu", "frame_means_adu"):
        np.testing.assert_allclose(np.ravel(getattr(found, name)), expected[name], rtol=2e-5)
    assert (found.n_frames, found.n_rejected) == (n, {})


def test_moments_are_exact_at_high_offsets_and_over_many_tiles() -> None:
    rng = np.random.default_rng(3)
    series = rng.normal(60_000, 2, (40, 130, 271)).round().astype(np.uint16)
    assert series[0].size > 2 * TILE
    found = pixel_moments(series)
    np.testing.assert_allclose(found.variance_adu2, series.astype(float).var(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(found.frame_means_adu, series.mean(axis=(1, 2), dtype=float), rtol=1e-9)


@pytest.mark.parametrize("n", [1, 8, 19])
def test_kernels_compute_the_same_without_the_compiler(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_fold_one", "_fold_eight"):
        monkeypatch.setattr(moments, name, getattr(moments, name).py_func)
    series = frames("float64", n).reshape(n, -1)
    first, expected = series[0].copy(), naive["sums"](series.tolist(), series[0].tolist())
    total, square, low, high = np.full(
        (4, first.size), np.nan
    )  # what a series finds in its memory before it begins
    own = np.zeros(n)
    moments._fold.py_func(tuple(series), n, True, first, total, square, low, high, own)
    np.testing.assert_allclose(total, expected["total"])
    np.testing.assert_allclose(square, expected["square"])
    np.testing.assert_allclose(own, expected["frame_totals"], rtol=1e-6)
    np.testing.assert_array_equal(low, series.min(axis=0))
    np.testing.assert_array_equal(high, series.max(axis=0))
    with np.errstate(invalid="ignore"):  # the variance of one frame
        assert moments._finish.py_func(first, total, square, n) == pytest.approx(first.sum())
    np.testing.assert_allclose(total, series.mean(axis=0))
    if n > 1:
        np.testing.assert_allclose(square, series.var(axis=0, ddof=1))


@pytest.mark.parametrize("n", [1, 7, 17, GROUP, GROUP + 13, 2 * GROUP + 1])
def test_groups_of_every_length_and_generators_give_the_same(n: int) -> None:
    series = frames("uint16", n, shape=(3, TILE // 2 + 5))
    at_once, by_and_by = pixel_moments(list(series)), pixel_moments(frame.copy() for frame in series)
    expected = series.astype(float)
    for found in (at_once, by_and_by):
        np.testing.assert_allclose(found.mean_adu, expected.mean(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(found.low_adu, series.min(axis=0))
        np.testing.assert_array_equal(found.high_adu, series.max(axis=0))
        np.testing.assert_allclose(found.frame_means_adu, expected.mean(axis=(1, 2)), rtol=1e-9)
        if n > 1:
            np.testing.assert_allclose(found.variance_adu2, expected.var(axis=0, ddof=1), rtol=1e-4)


def test_frames_large_enough_for_all_cores_give_the_same() -> None:
    shape = (3, LEAST_PART)
    series = np.random.default_rng(1).integers(90, 250, (19, *shape), dtype=np.uint16)
    found = pixel_moments(series)
    np.testing.assert_allclose(found.mean_adu, series.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.variance_adu2, series.astype(np.float32).var(axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_array_equal(found.high_adu, series.max(axis=0))
    np.testing.assert_allclose(found.frame_means_adu, series.mean(axis=(1, 2)), rtol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_layout_and_byte_order_do_not_matter(dtype: str) -> None:
    series = frames(dtype)
    odd = [np.asfortranarray(frame) for frame in series]
    odd[4] = odd[4].astype(odd[4].dtype.newbyteorder(">"))
    np.testing.assert_array_equal(pixel_moments(odd).mean_adu, pixel_moments(series).mean_adu)


def test_one_pixel_and_one_frame_are_enough_for_a_mean() -> None:
    found = pixel_moments([np.array([[7]], np.uint8)])
    assert found.mean_adu.tolist() == [[7.0]]
    assert np.isnan(found.variance_adu2).all()


def test_bad_frames_are_counted_by_reason_and_left_out() -> None:
    good = list(frames("float32", 12))
    not_finite, short, integer = good[0].copy(), good[0][:5], good[0].astype(np.uint16)
    not_finite[2, 3] = np.nan
    bad = [
        not_finite,
        short,
        integer,
        np.zeros_like(good[0]),
        good[0] * 5,
        np.zeros((2, 3, 4)),
        "frame",
        good[0] * 1j,
    ]
    found = pixel_moments([*good[:3], *bad, *good[3:]])
    np.testing.assert_array_equal(found.mean_adu, pixel_moments(good).mean_adu)
    assert found.n_frames == 12
    assert found.n_rejected == {
        "NaN or infinite": 1,
        "other shape than the others": 1,
        "other dtype than the others": 1,
        "one single value": 1,
        "other level than the others": 1,
        "not a frame (y, x)": 2,
        "unsupported dtype complex64": 1,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "got none, left out: none"),
        ([np.zeros((4, 5), np.uint16)] * 3, "one single value"),
        (np.zeros((4, 5), np.uint16), "3 axes"),
        (np.ones((4, 5, 3), np.uint16), "colours"),
        ([np.full((4, 5), np.nan)], "NaN or infinite"),
    ],
    ids=["none", "black", "one frame", "RGB", "NaN"],
)  # fmt: skip
def test_no_usable_frame_is_refused(given, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pixel_moments(given)


@pytest.mark.parametrize("bad", [5000, 3, np.nan], ids=["light on", "light off", "NaN"])
def test_a_bad_first_frame_is_the_one_that_is_left_out(bad: float) -> None:
    good = list(frames("float64", 11))
    found = pixel_moments([np.where(good[0] > 100, bad, good[0]), *good])
    assert found.n_frames == 11
    assert sum(found.n_rejected.values()) == 1


def test_a_dark_level_of_nearly_nothing_may_vary() -> None:
    rng = np.random.default_rng(0)
    assert pixel_moments(rng.poisson(0.5, (30, 20, 24)).astype(np.uint8)).n_frames == 30


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    handed_out = 0

    def generator():
        nonlocal handed_out
        for frame in frames("uint16", 30):
            handed_out += 1
            yield frame

    assert pixel_moments(generator()).n_frames == handed_out == 30
