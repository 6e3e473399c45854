"""Linearity and stability of power, and power at the sample."""

from __future__ import annotations

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.power import (
    Place,
    allan_deviation,
    measure_power_linearity,
    measure_power_stability,
    measure_sample_power,
)

UP_AND_DOWN = np.concatenate([np.arange(0, 101, 10.0), np.arange(90, -1, -10.0)])


def test_linearity_of_a_line_with_hysteresis() -> None:
    power = 0.5 * UP_AND_DOWN + 0.3
    power[11:] += 0.4
    measured = measure_power_linearity(UP_AND_DOWN, power, "OBJECTIVE_FOCAL")
    assert measured.value("slope") == pytest.approx(0.5, rel=0.01)
    assert measured.value("hysteresis") == pytest.approx(100 * 0.4 / 50.3, rel=1e-6)
    assert measured.value("r2") > 0.999
    assert measured.parameters["place"] == Place.OBJECTIVE_FOCAL


def test_one_way_has_no_hysteresis_and_missing_readings_are_counted() -> None:
    power = 0.5 * UP_AND_DOWN[:11]
    power[4] = np.nan
    measured = measure_power_linearity(UP_AND_DOWN[:11], power)
    assert measured.value("hysteresis") is None
    assert measured.value("largest_deviation") == pytest.approx(0, abs=1e-9)
    assert measured.n_rejected == {"not a number": 1}


def test_linearity_uncertainty_covers_the_truth() -> None:
    hits = []
    for seed in range(300):
        noise = np.random.default_rng(seed).normal(0, 0.2, UP_AND_DOWN.size)
        figure = measure_power_linearity(UP_AND_DOWN, 0.5 * UP_AND_DOWN + 1 + noise).figure("slope")
        hits.append(abs(figure.value - 0.5) <= 1.96 * figure.uncertainty)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_stability_follows_its_formulae() -> None:
    power = np.array([10, 9.5, 10.2, 10.4, 9.9, 10.1, 10.0, 9.8, 10.3, 10.0, 9.9])
    measured = measure_power_stability(np.arange(11.0), power)
    assert measured.value("stability") == pytest.approx(100 * (1 - (10.4 - 9.5) / (10.4 + 9.5)))
    assert measured.value("nsd") == pytest.approx(100 * power.std(ddof=1) / power.mean())
    assert measured.value("largest_step") == pytest.approx(100 * 0.7 / power.mean())


def test_drift_and_warm_up() -> None:
    rng, time_s = np.random.default_rng(0), np.arange(240) * 30.0
    warming = 10 * (1 - 0.2 * np.exp(-time_s / 1200)) + rng.normal(0, 0.005, 240)
    measured = measure_power_stability(time_s, warming)
    assert measured.value("warm_up_time") == pytest.approx(
        20 * np.log(20), abs=4
    )  # the last quarter still rises
    steady = measure_power_stability(time_s, 10 + time_s / 60 * 0.01 + rng.normal(0, 0.01, 240))
    assert steady.value("drift") == pytest.approx(100 * 0.01 / 10.6, rel=0.02)


def test_allan_deviation_of_white_noise_falls_with_the_root() -> None:
    noise = np.random.default_rng(0).normal(1, 0.01, 20_000)
    taus_s, allan = allan_deviation(np.arange(20_000) * 2.0, noise)
    assert taus_s[:3].tolist() == [2.0, 4.0, 8.0]
    np.testing.assert_allclose(allan[:6], 0.01 / np.sqrt(2.0 ** np.arange(6)), rtol=0.1)


def test_temperature_slope() -> None:
    time_s = np.arange(300.0)
    temperature = 20 + np.sin(time_s / 40)
    power = 5 * (1 - 0.02 * (temperature - 20)) + np.random.default_rng(0).normal(0, 0.002, 300)
    power[7] = np.nan
    measured = measure_power_stability(time_s, power, temperature_c=temperature)
    assert measured.value("temperature_slope") == pytest.approx(-2, rel=0.03)
    assert measured.value("temperature_correlation") < -0.99
    assert measured.n_rejected == {"not a number": 1}


def test_mean_power_uncertainty_covers_the_truth_when_neighbours_are_alike() -> None:
    hits = []
    for seed in range(200):
        white = np.random.default_rng(seed).normal(0, 0.05, 301)
        figure = measure_power_stability(np.arange(300.0), 10 + white[1:] + 0.7 * white[:-1]).figure(
            "mean_power"
        )
        hits.append(abs(figure.value - 10) <= 1.96 * figure.uncertainty)
    assert 0.90 <= np.mean(hits) <= 1.0


def test_sample_power() -> None:
    measured = measure_sample_power([2.0, 2.1, np.nan], reference_mw=2.5, field_diameter_um=200, source_mw=20)
    assert measured.value("power_density") == pytest.approx(2.05 / (np.pi * 0.01**2))
    assert measured.value("ratio_to_reference") == pytest.approx(0.82)
    assert measured.value("transmission") == pytest.approx(10.25)
    assert measure_sample_power(2.0).value("power_density") is None
    assert measured.n_rejected == {"not a number": 1}


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: measure_power_linearity([0, 1], [0, 1]), "4 settings"),
        (lambda: measure_power_linearity([0, 1, 2], [0, 1]), "shapes"),
        (lambda: measure_power_linearity(np.arange(9.0), np.zeros(9)), "above zero"),
        (lambda: measure_power_stability(np.arange(5.0), np.ones(5)), "10 readings"),
        (lambda: measure_power_stability(np.zeros(20), np.ones(20)), "times that rise"),
        (lambda: measure_power_stability(np.arange(20.0), np.full(20, np.nan)), "10 readings"),
        (lambda: measure_sample_power([np.nan]), "at least one reading"),
        (lambda: measure_sample_power([0.0]), "above zero"),
        (
            lambda: measure_power_stability(np.arange(20.0), np.ones(20), temperature_c=[1, 2]),
            "temperature for each",
        ),
    ],
)
def test_power_refuses(measure, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure()
