"""What a step is explained by, on a store that took real records."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from agent.records import Cause, How
from server.logbook import Maintenance, write
from server.quality.figures import figures_of, said_of
from server.quality.runs import standing_series
from server.quality.timeline import Timeline
from server.web.quality import trends_of

N_WEEKS, STEP_AT = 40, 24
WEEK_S = 7 * 86_400


@pytest.fixture
def history(running, tools):
    """Forty weeks: the stage moves in every other, once the dichroic is turned, and from then on the PSF is wider."""
    dice = random.Random(11)
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock() - timedelta(weeks=N_WEEKS))
    lines, seq, prev = [], 1, tools.wire.CHAIN_START
    for week in range(N_WEEKS):
        scope.elapsed_s = week * WEEK_S
        temperature = 21 + (week % 9) / 3
        if week == 10:
            described = scope.description()
            lines += [described, described.model_copy(update={"record_id": tools.uuid4()})]
        if week == STEP_AT:
            scope.values["Dichroic"] = {"Label": scope.read("GFP/RFP")}
            lines.append(scope.change("Dichroic", "Label", scope.read("Quad")))
            scope.later(60)
            for value in ("Closed", "Open"):
                scope.values.setdefault("Shutter", {"State": scope.read("Open")})
                lines.append(scope.change("Shutter", "State", scope.read(value)))
        room = scope.read(temperature, unit="Cel", how=How.HARDWARE)
        lines.append(scope.change("Room", "Temperature", room, Cause.DRIFTED))
        if week % 2 == 0:
            lines.append(scope.change("Stage", "X", scope.read(dice.random(), unit="um")))
        scope.later(600)
        lines.append(scope.qc(0.22 + dice.gauss(0, 0.003) + (0.05 if week >= STEP_AT else 0)))
    assert sender.send(lines, first_seq=seq, prev=prev).status_code == 200
    return running


def chart_and_timeline(reads):
    (series,) = standing_series(reads, "scope-1")
    (figure,) = figures_of(reads, series.row, said_of(reads, series.row.instrument_id))
    return series.row, figure, Timeline(reads, "scope-1")


def test_what_changed_once_comes_before_what_changes_every_other_week(history):
    with history.collector.store.reading() as reads:
        series, figure, timeline = chart_and_timeline(reads)
        (step,) = figure.chart.steps
        found = timeline.suspects_of(figure.chart, step.index, series.light_path)

    assert step.index == STEP_AT
    assert found[0].event.subject == "Dichroic Label"
    assert found[0].event.what == "GFP/RFP → Quad"
    by_subject = {one.event.subject: one for one in found}
    assert by_subject["Shutter State"].was_put_back
    stage = by_subject["Stage X"]
    assert (stage.n_intervals_with, stage.n_intervals) == (STEP_AT // 2, STEP_AT)
    assert found[0].weight > 3 * stage.weight


def test_work_that_people_wrote_down_is_a_suspect_and_a_mark(history):
    at = history.clock() - timedelta(weeks=N_WEEKS - STEP_AT) - timedelta(days=3)
    told = Maintenance(work="alignment", day=at.date(), title="60x taken out", device="Objective")
    history.collector.writer.do(lambda writes: write(writes, told, "scope-1", "anna", history.clock()))

    with history.collector.store.reading() as reads:
        series, figure, timeline = chart_and_timeline(reads)
        found = timeline.suspects_of(figure.chart, STEP_AT, series.light_path)
        trends, events = trends_of(reads, series, [figure])

    assert found[0].event.what == "60x taken out"
    assert [event.what for event in events] == ["60x taken out", "GFP/RFP → Quad"]
    assert [mark.number for mark in trends[0].marks] == [1, 2]
    assert [one.event.sort for one in trends[0].steps[0].suspects[:2]] == ["maintenance", "change"]


def test_where_the_change_log_is_too_long_the_runs_it_covers_are_judged_by(history, monkeypatch):
    monkeypatch.setattr("server.quality.timeline.MOST_CHANGES", 12)
    with history.collector.store.reading() as reads:
        series, figure, timeline = chart_and_timeline(reads)
        found = timeline.suspects_of(figure.chart, STEP_AT, series.light_path)
    assert found[0].event.subject == "Dichroic Label"
    assert found[0].n_intervals < 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_changes", [3, 12, 40, 1000])
def test_change_log_read_once_for_many_steps_says_the_same(history, monkeypatch, n_changes, seed):
    monkeypatch.setattr("server.quality.timeline.MOST_CHANGES", n_changes)
    steps = random.Random(seed).sample(range(1, N_WEEKS), 12)
    with history.collector.store.reading() as reads:
        series, figure, shared = chart_and_timeline(reads)
        if seed % 2:
            shared.look_back([figure.chart])
        for step in steps:
            alone = Timeline(reads, "scope-1")
            found = shared.suspects_of(figure.chart, step, series.light_path)
            assert found == alone.suspects_of(figure.chart, step, series.light_path)
            assert ("Stage X" in [one.event.subject for one in found]) == (step % 2 == 0)


def test_environment_that_goes_along_is_named(running, tools):
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock() - timedelta(weeks=N_WEEKS))
    dice, lines = random.Random(3), []
    for week in range(N_WEEKS):
        scope.elapsed_s = week * WEEK_S
        degrees = 20 + 0.1 * week + dice.gauss(0, 0.05)
        lines.append(scope.change("Room", "Temperature", scope.read(degrees, unit="Cel"), Cause.DRIFTED))
        lines.append(
            scope.change("Room", "Humidity", scope.read(40 + dice.gauss(0, 2), unit="%"), Cause.DRIFTED)
        )
        scope.later(60)
        lines.append(scope.qc(0.2 + 0.02 * (degrees - 20)))
    sender.send(lines)

    with running.collector.store.reading() as reads:
        _, figure, timeline = chart_and_timeline(reads)
        found = timeline.companions_of(figure.chart)

    assert [one.name for one in found] == ["Room Temperature"]
    assert found[0].correlation > 0.95


def test_new_version_of_software_is_an_event(running, tools):
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    old = scope.description()
    scope.later(60)
    new = scope.description()
    new = new.model_copy(update={"software": {**new.software, "MMCore": "12.0.0"}})
    sender.send([old, new])

    with running.collector.store.reading() as reads:
        (event,) = Timeline(reads, "scope-1").versions

    assert (event.what, event.at) == ("MMCore 11.9.0 → 12.0.0", new.captured.wall_at)
