"""What few values tell, against SciPy's distributions."""

from __future__ import annotations

import numpy as np
import pytest

from qc_routines.few import median_uncertainty, sd_uncertainty, student_deviate, widened

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(
    ("sigmas", "degrees"), [(6.0, 9), (6.0, 19), (6.0, 99), (1.96, 3), (1.96, 9), (1.96, 99)]
)
def test_student_deviate_is_as_rare_as_the_normal_one(sigmas: float, degrees: int) -> None:
    exact = stats.t.isf(stats.norm.sf(sigmas), degrees)
    assert student_deviate(sigmas, degrees) == pytest.approx(exact, rel=0.04)
    assert 1.96 * widened(1.0, degrees) == pytest.approx(student_deviate(1.96, degrees))


@pytest.mark.parametrize("degrees", [3, 4, 7, 12, 40, 400])
def test_sd_of_few_values_covers_the_truth(degrees: int) -> None:
    share = 1.96 * sd_uncertainty(1.0, degrees)  # truth is held where sd (1 - share) < 1 < sd (1 + share)
    highest = 1 / max(1 - share, 1e-9)
    low, high = (stats.chi2.cdf(degrees * sd**2, degrees) for sd in (1 / (1 + share), highest))
    assert 0.935 < high - low < 0.985
    assert sd_uncertainty(1.0, 1) is None


@pytest.mark.parametrize("n", [3, 5, 9, 30])
def test_median_of_few_values_covers_the_truth(n: int) -> None:
    drawn = np.random.default_rng(n).standard_normal((1500, n))
    hits = [abs(np.median(values)) <= 1.96 * median_uncertainty(values) for values in drawn]
    assert 0.93 < np.mean(hits) < 0.985
