"""Image checks against a naive oracle and against images whose answer is known."""

from __future__ import annotations

import importlib.util
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qc_routines import ImageChecks, InputError, image_checks
from qc_routines.images import _scan

_spec = importlib.util.spec_from_file_location("naive", Path(__file__).with_name("naive.py"))
naive = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(naive)

DTYPES = ["uint8", "uint16", "float32", "float64"]
UINT16_FULL = 65_535


def noise(dtype: str, shape: tuple[int, ...] = (13, 17), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def agree(found: ImageChecks, expected: dict[str, Any]) -> None:
    """Counts agree exactly; a mean of n float64 values within the rounding of n additions."""
    figures = asdict(found)
    mean, expected_mean = figures.pop("mean_adu"), expected.pop("mean_adu")
    assert {key: figures[key] for key in expected} == expected
    assert mean == expected_mean or mean == pytest.approx(expected_mean, rel=1e-12)


# ---- the oracle


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(5))
def test_image_checks_agree_with_the_oracle(dtype: str, seed: int) -> None:
    image = noise(dtype, seed=seed)
    agree(image_checks(image, bit_depth=7), naive.image_checks(image.ravel().tolist(), 127))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_infinite_pixels_are_counted_and_left_out(dtype: str) -> None:
    image = noise(dtype)
    image[::3, ::4] = np.nan
    image[1, :2] = np.inf, -np.inf
    expected = naive.image_checks(image.ravel().tolist(), 255)
    assert expected["n_not_finite"] > 20
    agree(image_checks(image, bit_depth=8), expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("seed", range(5))
def test_bits_used_agree_with_the_oracle(dtype: str, seed: int) -> None:
    image = noise(dtype, seed=seed) & np.array(0b0111_0100, dtype) << np.array(seed % 2, dtype)
    assert image_checks(image).bits_used == naive.bits_used(image.ravel().tolist())


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernel_computes_the_same_without_the_compiler(dtype: str) -> None:
    pixels = noise(dtype).ravel()
    assert _scan.py_func(pixels, 200.0) == pytest.approx(_scan(pixels, 200.0), rel=1e-12)


# ---- known answers


def test_ramp_has_a_known_mean() -> None:
    ramp = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    assert image_checks(ramp) == ImageChecks(
        n_pixels=65_536,
        n_not_finite=0,
        n_saturated=1,
        n_at_minimum=1,
        minimum_adu=0.0,
        maximum_adu=65_535.0,
        mean_adu=32_767.5,
        bits_used=16,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (1, 1), (7, 5), (2, 3, 4)], ids=str)
def test_constant_image(dtype: str, shape: tuple[int, ...]) -> None:
    checks = image_checks(np.full(shape, 96, dtype))
    assert checks.minimum_adu == checks.maximum_adu == checks.mean_adu == 96
    assert checks.n_at_minimum == 0
    assert not checks.n_saturated
    assert checks.bits_used == (2 if dtype.startswith("uint") else None)  # 96 is 0b1100000


@pytest.mark.parametrize("dtype", DTYPES)
def test_black_image(dtype: str) -> None:
    checks = image_checks(np.zeros((4, 5), dtype))
    assert (checks.n_at_minimum, checks.maximum_adu) == (20, 0)
    assert checks.bits_used in (0, None)


@pytest.mark.parametrize(("dtype", "n_saturated"), [("uint8", 20), ("uint16", 20), ("float32", None)])
def test_saturated_image(dtype: str, n_saturated: int | None) -> None:
    full = np.iinfo(dtype).max if dtype.startswith("uint") else 65_535
    checks = image_checks(np.full((4, 5), full, dtype))
    assert checks.n_saturated == n_saturated
    assert checks.mean_adu == full


@pytest.mark.parametrize(("bit_depth", "n_saturated"), [(None, 0), (16, 0), (12, 2), (11, 3)], ids=str)
def test_full_scale_follows_the_stated_bit_depth(bit_depth: int | None, n_saturated: int) -> None:
    image = np.array([[100, 2047], [4095, 4095]], np.uint16)
    assert image_checks(image, bit_depth).n_saturated == n_saturated


@pytest.mark.parametrize("shift", [0, 4])
def test_bits_used_of_a_12_bit_camera_in_16_bits(shift: int) -> None:
    image = np.arange(4096, dtype=np.uint16) << np.uint16(shift)
    assert image_checks(image).bits_used == 12


def test_large_counts_are_summed_without_overflow() -> None:
    assert image_checks(np.full((1024, 1024), 2**32 - 1, np.uint32)).mean_adu == 2**32 - 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_image_without_a_finite_pixel_has_no_mean(dtype: str) -> None:
    checks = image_checks(np.full((2, 2), np.nan, dtype), bit_depth=8)
    assert (checks.n_not_finite, checks.n_saturated, checks.n_at_minimum) == (4, 0, 0)
    assert checks.minimum_adu is checks.maximum_adu is checks.mean_adu is None


# ---- layouts


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::2, ::-3],
        lambda a: a.T,
        np.asfortranarray,
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        lambda a: np.lib.stride_tricks.as_strided(a, writeable=False),
    ],
    ids=["strided", "transposed", "Fortran order", "big endian", "read only"],
)
def test_layout_in_memory_does_not_matter(dtype: str, view: Any) -> None:
    image = view(noise(dtype))
    before = image.tobytes()
    agree(image_checks(image, bit_depth=8), naive.image_checks(image.ravel().tolist(), 255))
    assert image.tobytes() == before


# ---- refusals


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_image_is_refused(dtype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least one pixel; got an image of shape"):
        image_checks(np.empty(shape, dtype))


@pytest.mark.parametrize("dtype", ["int16", "bool", "complex64", "uint64", "float16", "U3", "object"])
def test_unsupported_dtype_is_refused(dtype: str) -> None:
    with pytest.raises(InputError, match=r"expected counts as uint8.*; got \w+"):
        image_checks(np.zeros((2, 2), dtype))


@pytest.mark.parametrize("image", [[[1, 2]], None, 3, "image"], ids=repr)
def test_what_is_no_array_is_refused(image: Any) -> None:
    with pytest.raises(InputError, match="expected a numpy array; got"):
        image_checks(image)


@pytest.mark.parametrize(
    ("dtype", "bit_depth"),
    [
        ("uint8", 9),
        ("uint16", 0),
        ("uint16", -1),
        ("uint16", 17),
        ("float32", 33),
        ("uint8", 8.0),
        ("uint8", True),
    ],
)
def test_bit_depth_out_of_range_is_refused(dtype: str, bit_depth: Any) -> None:
    with pytest.raises(InputError, match=f"bit_depth of 1 to .* for {dtype}; got"):
        image_checks(np.zeros((2, 2), dtype), bit_depth)


def test_result_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        image_checks(np.ones((2, 2), np.uint8)).n_pixels = 1
