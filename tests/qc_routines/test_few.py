"""What few values tell, against SciPy's distributions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qc_routines.autofocus import measure_autofocus
from qc_routines.axial import measure_axial_steps
from qc_routines.camera import measure_dark_noise
from qc_routines.drift import measure_drift
from qc_routines.few import median_uncertainty, sd_uncertainty, student_deviate, widened
from qc_routines.power import measure_power_linearity, measure_sample_power
from qc_routines.results import Figure

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


def autofocus(rng: np.random.Generator) -> list[tuple[Figure, float]]:
    found = measure_autofocus(0.1 + 0.05 * rng.standard_normal(5))
    return [(found.figure("repeatability"), 50.0), (found.figure("offset"), 100.0)]


def drift(rng: np.random.Generator) -> list[tuple[Figure, float]]:
    minutes = np.arange(5.0)
    found = measure_drift(60 * minutes, 0.003 * minutes + 0.02 * rng.standard_normal(5), axes="z")
    return [(found.figure("velocity_z"), 3.0), (found.figure("velocity_z_after"), 3.0)]


def axial_steps(rng: np.random.Generator) -> list[tuple[Figure, float]]:
    asked = np.array([0.0, 1, 2, 3, 2, 1])
    way = np.array([1, 1, 1, 1, -1, -1])
    found = measure_axial_steps(asked, 1.02 * asked + 0.1 * way + 0.05 * rng.standard_normal(6), way)
    return [(found.figure("step_ratio"), 1.02), (found.figure("backlash"), 0.2)]


def sample_power(rng: np.random.Generator) -> list[tuple[Figure, float]]:
    return [(measure_sample_power(2 + 0.1 * rng.standard_normal(3)).figure("power"), 2.0)]


def power_linearity(rng: np.random.Generator) -> list[tuple[Figure, float]]:
    percent = np.array([10.0, 40, 70, 100])
    found = measure_power_linearity(percent, 0.05 * percent + 0.02 * rng.standard_normal(4))
    return [(found.figure(name), 0.05) for name in ("slope", "slope_through_origin")]


def dark_frames(rng: np.random.Generator) -> list[tuple[Figure, float]]:
    frames = np.rint(100 + 3 * rng.standard_normal((4, 12, 12)) + rng.standard_normal((4, 1, 1)))
    found = measure_dark_noise(frames.astype(np.uint16))
    return [(found.figure("offset"), 100.0), (found.figure("offset_instability"), np.hypot(1, 3 / 12))]


FEW_OF = (autofocus, drift, axial_steps, sample_power, power_linearity, dark_frames)


@pytest.mark.parametrize("run", FEW_OF, ids=lambda run: run.__name__)
def test_figures_of_few_values_hold_the_truth(run: Callable[[np.random.Generator], list]) -> None:
    rng, hits = np.random.default_rng(7), {}
    for _ in range(300):
        for figure, truth in run(rng):
            hits.setdefault(figure.name, []).append(abs(figure.value - truth) <= 1.96 * figure.uncertainty)
    assert all(0.92 <= np.mean(each) <= 0.995 for each in hits.values()), {
        k: np.mean(v) for k, v in hits.items()
    }
