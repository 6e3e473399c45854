"""The house's kernel decorator."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from qc_routines import _jit
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


def test_kernel_works_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(cache: bool, **options: Any) -> Any:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(_jit, "numba", type("Numba", (), {"njit": staticmethod(njit)}))
    assert kernel(_count_nan)(np.array([np.nan])) == 1
    assert asked == [True, False]
