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
from qc_routines.tolerances import Tolerance
from qc_routines.verdict import Status, judge

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


# ---- several lines of light in one run


def test_each_line_of_a_run_has_figures_of_its_own() -> None:
    slopes = {"DAPI": 0.5, "FITC": 0.3, "Cy5": 0.8}
    power = np.concatenate([slope * UP_AND_DOWN + 0.3 for slope in slopes.values()])
    power[-1] = np.nan
    line = np.repeat(list(slopes), UP_AND_DOWN.size)
    measured = measure_power_linearity(np.tile(UP_AND_DOWN, 3), power, "OBJECTIVE_FOCAL", line)
    for name, slope in slopes.items():
        assert measured.value(f"slope[{name}]") == pytest.approx(slope)
        assert measured.value(f"intercept[{name}]") == pytest.approx(0.3)
    assert measured.n_used == power.size - 1
    assert measured.n_rejected == {"not a number": 1}
    assert measured.parameters["lines"] == "DAPI, FITC, Cy5"
    assert measured.parameters["place"] == Place.OBJECTIVE_FOCAL
    assert measured.table["line"].tolist() == [name for name, p in zip(line, power, strict=True) if p == p]
    assert len(measured.table["power_mw"]) == power.size - 1


def test_lines_that_take_turns_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    line, time_s = np.tile([488.0, 561.0], 300), np.arange(600.0)
    power = np.where(line == 488, 5.0, 9.0) * (1 + np.where(line == 488, 0.001, 0.01) * rng.normal(0, 1, 600))
    measured = measure_power_stability(time_s, power, line=line, temperature_c=20 + time_s / 600)
    assert measured.value("nsd[488]") == pytest.approx(0.1, rel=0.15)
    assert measured.value("nsd[561]") == pytest.approx(1.0, rel=0.15)
    alone = measure_power_stability(time_s[::2], power[::2], temperature_c=20 + time_s[::2] / 600)
    for figure in alone.figures:
        assert measured.figure(f"{figure.name}[488]").value == figure.value


def test_dark_line_does_not_fail_the_others_and_does_not_pass() -> None:
    power = np.concatenate([0.5 * UP_AND_DOWN, 0 * UP_AND_DOWN])
    line = np.repeat(["FITC", "Cy5"], UP_AND_DOWN.size)
    measured = measure_power_linearity(np.tile(UP_AND_DOWN, 2), power, line=line)
    assert measured.value("slope[FITC]") == pytest.approx(0.5)
    assert measured.value("r2[Cy5]") is None
    assert measured.n_rejected == {"of a line that cannot be measured": UP_AND_DOWN.size}
    assert measured.remarks[0].startswith("Cy5 cannot be measured: expected power above zero")
    limit = Tolerance(routine="power_linearity", figure="r2", source="ours", verified=False, warn_below=0.95)
    verdict = judge(measured, [limit])
    assert verdict.status is Status.UNKNOWN
    assert {j.figure.name: j.status for j in verdict.judgements}["r2[FITC]"] is Status.PASS
    with pytest.raises(InputError, match=r"FITC: expected power.*Cy5: expected power"):
        measure_power_linearity(np.tile(UP_AND_DOWN, 2), 0 * power, line=line)


def test_one_line_is_measured_as_if_none_were_named() -> None:
    power = 0.5 * UP_AND_DOWN
    named = measure_power_linearity(UP_AND_DOWN, power, line=["FITC"] * power.size)
    assert named.figures == measure_power_linearity(UP_AND_DOWN, power).figures


@pytest.mark.parametrize("reference", [{"a": 4.0, "b": 5.0}, (4.0, 5.0)], ids=["by name", "in order"])
def test_power_of_each_line_is_held_against_its_own_time_zero(reference) -> None:
    measured = measure_sample_power([2.0, 2.0, 4.0, 4.0], reference, line=["a", "a", "b", "b"])
    assert measured.value("ratio_to_reference[a]") == pytest.approx(0.5)
    assert measured.value("ratio_to_reference[b]") == pytest.approx(0.8)


def test_lines_refuse_what_does_not_match() -> None:
    with pytest.raises(InputError, match="as many power_mw as lines; got 3 and 2"):
        measure_sample_power([1.0, 2.0, 3.0], line=["a", "b"])
    with pytest.raises(
        InputError, match=r"reference_mw once for each of the lines \(a, b\), in this order; got 1"
    ):
        measure_sample_power([1.0, 2.0], 4.0, line=["a", "b"])
