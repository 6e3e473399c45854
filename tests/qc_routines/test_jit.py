"""The house's kernel decorator."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numba
import numpy as np
import pytest

from qc_routines._jit import kernel


def _count_nan(values: Any) -> int:
    n_nan = 0
    for value in values:
        n_nan += np.isnan(value)
    return n_nan


def test_kernel_still_sees_nan_and_infinity() -> None:
    assert kernel(_count_nan)(np.array([1.0, np.nan, np.inf, np.nan])) == 2


def test_kernel_divides_by_zero_as_numpy_does() -> None:
    divide = kernel(lambda a, b: a / b)
    assert divide(1.0, 0.0) == np.inf
    assert np.isnan(divide(0.0, 0.0))


@kernel
def _inner(value: float) -> float:
    return 2.0 * value


def test_kernel_that_was_not_called_yet_is_called_by_another() -> None:
    outer = kernel(lambda value: _inner(value) + 1.0)
    assert outer(3.0) == 7.0


def test_catalogue_is_read_without_the_compiler() -> None:
    looks = "import sys, qc_routines.catalogue; print('numba' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_kernel_works_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    real = numba.njit

    def njit(cache: bool, **options: Any) -> Any:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert kernel(_count_nan)(np.array([np.nan])) == 1
    assert asked == [True, False]
