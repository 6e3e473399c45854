"""Likely causes: ranked by what is special about the interval before the step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import spearmanr

from server.quality.causes import Event, companions, suspects

ZERO = datetime(2026, 1, 5, 3, 0, tzinfo=UTC)
RUNS = [ZERO + timedelta(days=n) for n in range(40)]
PATH = {"objective": "Plan Apo 60x", "camera": "Prime"}


def event(day: float, subject: str, sort="change", **more) -> Event:
    return Event(ZERO + timedelta(days=day), sort, subject, f"{subject} on day {day}", **more)


def daily(subject: str, **more) -> list[Event]:
    return [event(day + 0.3, subject, **more) for day in range(39)]


def subjects(found) -> list[str]:
    return [one.event.subject for one in found]


def test_only_what_lies_between_the_two_runs_is_suspected():
    events = [
        event(18.5, "too early"),
        event(19.5, "in time"),
        event(20.0, "with the run"),
        event(20.5, "late"),
    ]
    assert set(subjects(suspects(events, RUNS, 20, PATH))) == {"in time", "with the run"}


def test_what_happens_every_day_explains_nothing():
    events = [*daily("Stage X"), *daily("Shutter"), event(19.6, "Dichroic Label", before="A", after="B")]
    found = suspects(events, RUNS, 20, PATH)
    assert subjects(found) == ["Dichroic Label"]
    assert found[0].n_intervals_with == 1 and found[0].n_intervals == 39


def test_what_happens_on_every_other_day_explains_less_than_what_happened_once():
    events = [*daily("Stage X")[1::2], event(19.6, "Dichroic Label", before="A", after="B")]
    assert subjects(suspects(events, RUNS, 20, PATH)) == ["Dichroic Label", "Stage X"]


def test_of_few_runs_nothing_is_said_to_happen_every_day():
    events = [event(day + 0.3, "Stage X") for day in range(4)]
    assert subjects(suspects(events, RUNS[:5], 2, PATH)) == ["Stage X"]


def test_a_service_visit_comes_before_a_change_as_rare():
    events = [event(19.5, "Camera firmware"), event(19.4, "service", "maintenance")]
    assert subjects(suspects(events, RUNS, 20, PATH)) == ["service", "Camera firmware"]


def test_a_device_in_the_light_path_comes_before_one_that_is_not():
    events = [event(19.5, "Joystick Speed", device="Joystick"), event(19.5, "Prime Gain", device="Prime")]
    found = suspects(events, RUNS, 20, PATH)
    assert subjects(found) == ["Prime Gain", "Joystick Speed"]
    assert [one.is_in_light_path for one in found] == [True, False]


def test_what_was_put_back_before_the_run_is_hardly_suspect():
    there_and_back = [
        event(19.2, "Filter", before="GFP", after="Cy5"),
        event(19.8, "Filter", before="Cy5", after="GFP"),
    ]
    found = suspects([*there_and_back, event(19.5, "Diaphragm", before="Open", after="Half")], RUNS, 20, PATH)
    assert subjects(found) == ["Diaphragm", "Filter"]
    assert found[1].was_put_back


def test_step_at_the_second_of_two_runs_has_its_suspects_too():
    assert subjects(suspects([event(0.5, "Lamp")], RUNS[:2], 1, PATH)) == ["Lamp"]


def test_companion_is_found_and_has_the_correlation_that_scipy_computes():
    rng = np.random.default_rng(3)
    temperature = rng.normal(21, 1, 40).round(1)
    values = 0.25 + 0.01 * temperature + rng.normal(0, 0.002, 40)
    series = {
        "Room temperature": [
            (at - timedelta(minutes=5), float(t)) for at, t in zip(RUNS, temperature, strict=True)
        ],
        "Humidity": [
            (at - timedelta(minutes=5), float(h)) for at, h in zip(RUNS, rng.normal(40, 2, 40), strict=True)
        ],
    }
    (found,) = companions(RUNS, list(values), series)
    assert found.name == "Room temperature"
    assert found.correlation == pytest.approx(spearmanr(values, temperature).statistic, abs=1e-12)


def test_series_that_begins_late_or_never_moves_is_no_companion():
    late = [(RUNS[-3] - timedelta(hours=1), 21.0)]
    still = [(ZERO - timedelta(days=1), 21.0)]
    assert companions(RUNS, list(range(40)), {"late": late, "still": still}) == []
