"""Deviates against the distributions they are drawn from."""

from __future__ import annotations

from math import erf, exp, lgamma, log, sqrt

import numba
import numpy as np
import pytest

from drivers.simulated.noise import normal, poisson, stream, uniform

N = 400_000


@numba.njit
def many_normals(seed, n):
    values = np.empty(n)
    for pixel in range(n):
        values[pixel], _ = normal(stream(seed, 3, pixel))
    return values


@numba.njit
def many_poissons(mean, seed, n):
    values = np.empty(n)
    for pixel in range(n):
        values[pixel], _ = poisson(mean, stream(seed, 4, pixel))
    return values


def test_normal_has_the_distribution_function_of_a_normal() -> None:
    values = np.sort(many_normals(1, N))
    expected = np.array([(1 + erf(x / sqrt(2))) / 2 for x in values[::200]])
    distance = np.abs(expected - np.arange(0, N, 200) / N).max()
    assert distance < 1.63 / sqrt(N), "Kolmogorov's bound at 1 %"
    assert abs(values.mean()) < 4 / sqrt(N)
    assert values.var() == pytest.approx(1, abs=4 * sqrt(2 / N))
    assert values[-1] > 4 and values[0] < -4, "the tail beyond the last layer is drawn too"


@pytest.mark.parametrize("mean", [0.0, 0.07, 0.9, 3.6, 11.99])
def test_small_poisson_has_exact_probabilities(mean: float) -> None:
    counts = np.bincount(many_poissons(mean, 2, N).astype(int), minlength=40)
    k = np.arange(40)
    expected = N * np.array([exp(i * log(mean) - mean - lgamma(i + 1)) if mean else float(i == 0) for i in k])
    common = expected > 20
    chi2 = np.sum((counts[common] - expected[common]) ** 2 / expected[common])
    n = common.sum()
    assert chi2 < n + 4 * sqrt(2 * n)
    assert counts.sum() == N


@pytest.mark.parametrize("mean", [12.0, 31.5, 800.0, 25_000.0])
def test_large_poisson_has_mean_variance_and_skewness(mean: float) -> None:
    n = 4 * N  # enough to tell the variance of rounding, 1/12, from that of 12 electrons
    values = many_poissons(mean, 3, n)
    deviation = (values - mean) / sqrt(mean)
    assert np.array_equal(values, np.floor(values))
    assert deviation.mean() == pytest.approx(0, abs=4 / sqrt(n))
    assert deviation.var() == pytest.approx(1, abs=4 * sqrt(2 / n))
    assert np.mean(deviation**3) == pytest.approx(1 / sqrt(mean), abs=5 * sqrt(15 / n))


def test_streams_of_neighbours_and_frames_are_unrelated() -> None:
    first = many_normals(7, N)
    assert abs(np.mean(first[1:] * first[:-1])) < 4 / sqrt(N)
    assert abs(np.mean(first * many_normals(8, N))) < 4 / sqrt(N)


def test_kernels_run_uncompiled() -> None:
    with np.errstate(over="ignore"):
        state = stream.py_func(1, 2, 3)
        values = [f.py_func(*args)[0] for f, args in ((normal, (state,)), (uniform, (state,)))]
        counts = [poisson.py_func(mean, state)[0] for mean in (0.3, 5.0, 50.0)]
    assert np.all(np.isfinite(values)) and all(count >= 0 for count in counts)
