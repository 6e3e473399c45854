"""Control charts, judged by series whose truth was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from server.quality.control_chart import N_REFERENCE, Sample, _left_overs, chart_of

ZERO = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)


def samples(values, step_days: float = 1.0, uncertainty: float | None = None) -> list[Sample]:
    return [
        Sample(ZERO + timedelta(days=n * step_days), float(value), uncertainty)
        for n, value in enumerate(values)
    ]


def noise(n: int, seed: int, sigma: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, n)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_values_make_no_chart(n):
    assert chart_of(samples(range(n))) is None


def test_values_that_never_differ_make_no_chart_unless_their_uncertainty_is_known():
    assert chart_of(samples([5.0] * 30)) is None
    chart = chart_of(samples([5.0] * 30, uncertainty=0.1))
    assert (chart.centre, chart.sigma, chart.signals) == (5.0, 0.1, ())


def test_spread_is_that_of_quiet_times_whatever_outliers_and_steps_there_are():
    values = 200 + noise(200, 1, 2.0)
    values[100:] += 50
    values[::37] += 400
    assert chart_of(samples(values)).sigma == pytest.approx(2.0, rel=0.2)


def test_centre_is_the_instrument_as_it_was_accepted():
    values = np.concatenate([10 + noise(30, 2, 0.1), 12 + noise(30, 3, 0.1)])
    assert chart_of(samples(values)).centre == pytest.approx(10, abs=0.1)
    accepted_anew = ZERO + timedelta(days=30)
    assert chart_of(samples(values), accepted_anew).centre == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize(
    ("tail", "rule"),
    [
        ([3.5], "1 value beyond 3 σ"),
        ([-3.5], "1 value beyond 3 σ"),
        ([2.4, 0.2, 2.4], "2 of 3 beyond 2 σ"),
        ([-1.4, -1.4, 0.1, -1.4, -1.4], "4 of 5 beyond 1 σ"),
        ([0.4, 0.3] * 4, "8 in a row on one side"),
    ],
)
def test_each_rule_is_broken_by_its_pattern_and_by_no_lesser_one(tail, rule):
    quiet = np.tile([0.477, -0.477], N_REFERENCE)  # σ = 1 by construction, centre 0
    chart = chart_of(samples([*quiet, *tail]))
    assert chart.centre == pytest.approx(0, abs=0.5)
    last = [signal for signal in chart.signals if signal.index == len(quiet) + len(tail) - 1]
    assert [signal.rule for signal in last] == [rule]
    assert not chart.is_in_control


def test_two_of_three_on_opposite_sides_break_no_rule():
    quiet = np.tile([0.477, -0.477], N_REFERENCE)
    assert chart_of(samples([*quiet, 2.4, -2.4])).is_in_control


def test_false_alarms_are_as_rare_as_the_rules_promise():
    n_broken = sum(not chart_of(samples(noise(60, seed))).is_in_control for seed in range(300))
    # the four rules together: 1 in 92 (Champ & Woodall 1987), more with a σ that is estimated from 60 values
    assert n_broken <= 24


def test_step_is_found_where_it_was_made():
    values = 0.25 + noise(80, 4, 0.004)
    values[47:] += 0.03
    (step,) = chart_of(samples(values)).steps
    assert step.index == 47
    assert step.after - step.before == pytest.approx(0.03, abs=0.003)
    assert step.n_sigma == pytest.approx(7.5, rel=0.35)


def test_step_there_and_back_is_two():
    values = noise(90, 5, 0.1)
    values[30:60] -= 1
    assert [step.index for step in chart_of(samples(values)).steps] == [30, 60]


def test_single_outliers_are_no_steps():
    values = noise(100, 6)
    values[[20, 50, 80]] = 30, -40, 50
    chart = chart_of(samples(values))
    assert chart.steps == ()
    assert {20, 50, 80} <= {signal.index for signal in chart.signals}


def test_nothing_is_found_where_there_is_nothing():
    charts = [chart_of(samples(noise(100, seed))) for seed in range(200)]
    assert sum(bool(chart.steps) for chart in charts) <= 3
    assert sum(chart.drift is not None for chart in charts) <= 22  # 5 % of 200 is 10; 22 is four σ above


def test_drift_is_found_with_an_honest_interval_and_is_not_taken_for_stairs():
    charts = [
        chart_of(samples(100 - 0.2 * np.arange(60) + noise(60, seed), step_days=1)) for seed in range(100)
    ]
    smooth = [chart for chart in charts if not chart.steps]
    held = sum(chart.drift.low_per_day <= -0.2 <= chart.drift.high_per_day for chart in smooth)
    assert len(smooth) >= 95
    assert 0.88 * len(smooth) <= held


def test_crossing_is_foretold():
    chart = chart_of(samples(100 - 0.5 * np.arange(60) + noise(60, 7, 0.05)))
    # the line is at 70.5 on the last day and loses 0.5 a day
    assert chart.drift.crosses(60) / timedelta(days=1) == pytest.approx(21, abs=0.5)
    assert chart.drift.crosses(110) is None


def test_drift_is_that_since_the_last_step():
    values = noise(80, 8, 0.05)
    values[40:] += 10 + 0.1 * np.arange(40)
    chart = chart_of(samples(values))
    assert chart.steps[0].index == 40
    assert chart.drift.per_day == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("n_digits", [0, 1, 15])
@pytest.mark.parametrize("n", [1, 2, 3, 40, 41])
def test_running_medians_leave_what_each_alone_leaves(n, n_digits):
    values = np.round(1e6 + 10 * noise(n, seed=n), n_digits)
    slow = [np.abs(values[:k] - np.median(values[:k])).sum() for k in range(1, n + 1)]
    assert _left_overs(values) == pytest.approx(slow, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_slope_and_its_interval_are_those_of_all_pairs_in_order(seed):
    dice = np.random.default_rng(seed)
    n = int(dice.integers(8, 60))
    days = np.cumsum(dice.choice([0.0, 1.0, 7.0], n))  # some runs at the same time: no slope between them
    values = np.round(noise(n, seed) + dice.choice([-0.02, 0.05, 0.2]) * days, 1)
    told = [Sample(ZERO + timedelta(days=day), float(value)) for day, value in zip(days, values, strict=True)]
    chart = chart_of(told)
    start = chart.steps[-1].index if chart.steps else 0
    days, values = days[start:], values[start:]
    slopes = sorted(
        (values[j] - values[i]) / (days[j] - days[i])
        for i in range(len(days))
        for j in range(i + 1, len(days))
        if days[j] > days[i]
    )
    n = len(days)
    half = 1.96 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    low, high = int(len(slopes) / 2 - half), int(len(slopes) / 2 + half) + 1
    is_drift = low >= 0 and high < len(slopes) and not slopes[low] <= 0 <= slopes[high]
    assert (chart.drift is not None) == is_drift
    if is_drift:
        drift = chart.drift
        expected = (np.median(slopes), slopes[low], slopes[high])
        assert (drift.per_day, drift.low_per_day, drift.high_per_day) == pytest.approx(expected)
