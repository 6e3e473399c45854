"""Figures over time as they are drawn, against series whose truth is known."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from server.logbook import BaselineChoice, Signed
from server.quality.causes import Event
from server.quality.figures import figure_in
from server.store.rows import QcPoint
from server.web.trends import HEIGHT, WIDTH, Span, draw, span_of

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SIGMA = 0.01


def points(values, **more):
    """Return a value a week, each its own record."""
    said = {
        "expected": None,
        "baseline": None,
        "lower_limit": None,
        "upper_limit": 0.6,
        "uncertainty": None,
        **more,
    }
    return [
        QcPoint("fwhm_um", AT + timedelta(weeks=n), n, f"run-{n}", "pass", "um", value, **said)
        for n, value in enumerate(values)
    ]


def noise(n, seed=5):
    dice = random.Random(seed)
    return [dice.gauss(0, SIGMA) for _ in range(n)]


def note(kind, subject, position=1):
    return Signed("id", AT, "anna", kind, "scope-1", subject, position)


def figure(told, invalid=(), chosen=None):
    said = {record_id: note(None, record_id) for record_id in invalid}
    zero = note(BaselineChoice(series="s"), chosen) if chosen else None
    return figure_in("fwhm_um", told, said, zero)


def test_run_declared_invalid_is_shown_and_counts_nowhere():
    values = [0.3 + e for e in noise(20)]
    values[12] = 0.9

    spoiled = figure(points(values))
    clean = figure(points(values), invalid=("run-12",))

    assert [v.point.record_id for v in spoiled.values if v.signal == "1 value beyond 3 σ"] == ["run-12"]
    (hollow,) = [v for v in clean.values if not v.is_valid]
    assert (hollow.point.record_id, hollow.signal, len(clean.values)) == ("run-12", None, 20)
    assert all(sample.value < 0.5 for sample in clean.chart.samples)


def test_last_run_that_counts_says_how_the_figure_stands():
    told = points([0.3, 0.31, 0.32])
    assert figure(told, invalid=("run-2",)).newest.record_id == "run-1"
    assert figure(told, invalid=("run-0", "run-1", "run-2")).newest.record_id == "run-2"


def test_signals_stand_at_their_runs_though_others_are_left_out():
    values = [0.3 + e for e in noise(30)]
    values[25] = 0.5
    told = figure(points(values), invalid=("run-3", "run-7"))
    assert [v.point.record_id for v in told.values if v.signal == "1 value beyond 3 σ"] == ["run-25"]


def test_baseline_that_staff_chose_wins_over_the_runs_own():
    told = points([0.3, 0.31, 0.32], baseline=0.25)
    assert figure(told).baseline == 0.25
    assert figure(told, chosen="run-1").baseline == 0.31
    assert [v.is_baseline for v in figure(told, chosen="run-1").values] == [False, True, False]


def test_values_in_another_unit_are_left_out():
    told = points([300.0, 0.3, 0.31])
    told[0] = told[0]._replace(unit="nm")
    assert [v.point.record_id for v in figure(told).values] == ["run-1", "run-2"]


def test_drift_reaches_its_limit_when_the_line_does():
    per_day, n = 0.001, 40
    values = [0.3 + per_day * 7 * week + 0.1 * e for week, e in enumerate(noise(n))]
    told = figure(points(values, upper_limit=0.65))
    days_left = (0.65 - (0.3 + per_day * 7 * (n - 1))) / per_day

    limit, left = told.crossing

    assert limit == 0.65
    assert left / timedelta(days=1) == pytest.approx(days_left, rel=0.1)
    trend = draw(told, span_of([told], ()))
    assert trend.crosses_at == told.chart.samples[-1].at + left
    x1, y1, x2, y2 = trend.drift
    assert (x1, x2) == (0, WIDTH) and y1 > y2


def test_drift_tells_no_day_that_is_years_away():
    values = [78.0 - 0.01 * week + 0.02 * e for week, e in enumerate(noise(40))]
    told = figure(points(values, lower_limit=60.0))
    assert told.crossing[1] > timedelta(days=3650)
    assert draw(told, span_of([told], ())).crosses_at is None


def test_step_is_drawn_between_its_runs():
    values = [(0.3 if week < 24 else 0.4) + e for week, e in enumerate(noise(40))]
    told = figure(points(values))
    trend = draw(told, span_of([told], ()))
    (step,) = trend.steps
    assert step.x == pytest.approx(WIDTH * 23.5 / 39)
    assert (step.before, step.after) == (pytest.approx(0.3, abs=SIGMA), pytest.approx(0.4, abs=SIGMA))


def test_wild_outlier_does_not_flatten_the_others():
    values = [0.3 + e for e in noise(30)]
    values[10] = 900.0
    told = figure(points(values))

    trend = draw(told, span_of([told], ()))

    off = [dot for dot in trend.dots if dot.is_off]
    assert [dot.value.point.record_id for dot in off] == ["run-10"]
    assert off[0].y == 0
    heights = [dot.y for dot in trend.dots if not dot.is_off]
    assert max(heights) - min(heights) > 0.05 * HEIGHT
    assert all(0 <= y <= HEIGHT for y in heights)


def test_limit_far_away_is_told_and_not_drawn():
    told = figure(points([0.3 + e for e in noise(20)], upper_limit=50.0, expected=0.29))
    levels = {level.what: level for level in draw(told, span_of([told], ())).levels}
    assert (levels["upper limit"].y, levels["upper limit"].value) == (None, 50.0)
    assert 0 < levels["expected"].y < HEIGHT


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.3], [0.0, 0.0, 0.0], [0.3] * 12, [1e299, -1e299]])
def test_few_and_equal_values_can_be_drawn(values):
    told = figure(points(values, upper_limit=None))
    trend = draw(told, span_of([told], ()))
    assert len(trend.dots) == len(values)
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in trend.dots)
    assert trend.y_ticks


def test_ticks_are_round_numbers_within_the_chart():
    told = figure(points([0.2134, 0.2871, 0.2499], upper_limit=None))
    ticks = draw(told, span_of([told], ())).y_ticks
    numbers = [float(tick.text) for tick in ticks]
    steps = {round(b - a, 9) for a, b in pairwise(numbers)}
    assert 3 <= len(ticks) <= 6 and steps == {0.02}
    assert all(0 <= tick.at <= HEIGHT for tick in ticks)


def event(day, what="Cleaned"):
    return Event(AT + timedelta(days=day), "maintenance", "cleaning", what)


def test_events_have_the_numbers_of_their_list_and_do_not_cover_each_other():
    told = figure(points([0.3 + e for e in noise(30)]))
    events = [event(day, str(day)) for day in (-9, 50, 50.5, 51, 120)]

    trend = draw(told, span_of([told], events), events)

    assert [mark.number for mark in trend.marks] == [2, 3, 4, 5]
    assert [mark.lane for mark in trend.marks] == [0, 1, 2, 0]
    assert trend.marks[3].x == pytest.approx(WIDTH * 120 / 203)


def test_time_axis_reaches_to_what_was_done_last():
    told = figure(points([0.3, 0.31]))
    span = span_of([told], [event(-30), event(60)])
    assert (span.first, span.last) == (AT, AT + timedelta(days=60))
    assert span.x(AT + timedelta(days=30)) == WIDTH / 2


def test_axis_of_one_moment_stands_in_the_middle():
    span = Span(AT, AT)
    assert span.x(AT) == WIDTH / 2
    assert [tick.text for tick in span.ticks()] == ["2026-05-04"]
