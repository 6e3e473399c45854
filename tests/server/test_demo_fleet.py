"""The fleet that does not exist: it is filled by the real ingest, and what the script did to it is found."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from agent.exports import FORMATS
from agent.records import ScheduleRun, decode
from server.alerts.findings import Looker
from server.alerts.rules import DEFAULT_RULES
from server.collector import Collector
from server.demo_fleet.figures import LIGHT_PATH
from server.demo_fleet.filling import Filled, fill, filled_in
from server.demo_fleet.history import History
from server.demo_fleet.living import Living
from server.demo_fleet.script import FAULTS, STEPS, ZONE, Fault, Span, fleet
from server.errors import SettingsError
from server.exporting import file_of, offers_of, view_for
from server.ingest.evidence import raw_line
from server.keeping.verify import verify
from server.quality.asked import Asked
from server.quality.calendar import calendar_of
from server.quality.control_chart import Sample, chart_of
from server.quality.runs import find_run
from server.quality.schedules import kept_schedules, open_tasks, runs_told
from server.quality.series import series_key
from server.quality.timeline import Timeline
from server.settings import Settings
from server.store import SqliteStore, Store
from server.store.base import Reads

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
ALERTS = {
    "silent": "silent",
    "qc_overdue": "qc_overdue",
    "out_of_limits": "qc_failed",
    "drifts_to_limit": "drift",
    "disk_full": "disk",
}


@pytest.fixture(scope="module")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Filled]]:
    with closing(SqliteStore(tmp_path_factory.mktemp("fleet"))) as store:
        yield store, fill(store, len(FAULTS), 1, 1, NOW)


@pytest.fixture
def filled(filled_store) -> Filled:
    return filled_store[1]


@pytest.fixture
def reads(filled_store) -> Iterator[Reads]:
    with filled_store[0].reading() as reads:
        yield reads


def fault_of(filled: Filled, kind: str) -> Fault:
    return next(one for one in filled.faults if one.kind == kind)


def chart(reads: Reads, instrument_id: str, routine: str, figure: str):
    points = reads.qc_points(instrument_id, series_key(routine, LIGHT_PATH), figure)
    return chart_of([Sample(one.captured_at, one.value, one.uncertainty) for one in points])


@pytest.mark.parametrize("kind", STEPS)
def test_scripted_step_is_found_at_its_date_with_its_cause_first(reads, filled, kind):
    fault = fault_of(filled, kind)
    found = chart(reads, fault.instrument_id, fault.routine, fault.figure)
    (step,) = found.steps
    assert found.samples[step.index - 1].at < fault.at <= found.samples[step.index].at
    suspects = Timeline(reads, fault.instrument_id).suspects_of(found, step.index, LIGHT_PATH)
    assert suspects[0].event.subject == fault.cause


def test_healthy_figures_do_not_step(reads, filled):
    fault = fault_of(filled, "silent")
    assert chart(reads, fault.instrument_id, "psf", "fwhm_x").steps == ()


def test_figure_that_follows_the_temperature_says_so(reads, filled):
    fault = fault_of(filled, "follows_temperature")
    found = chart(reads, fault.instrument_id, "drift", "displacement_largest")
    (companion, *_) = Timeline(reads, fault.instrument_id).companions_of(found)
    assert companion.name == "Incubator Temperature"
    assert companion.correlation > 0.7


def test_scripted_faults_fire_alerts(reads, filled):
    findings = Looker().look(reads, DEFAULT_RULES, NOW, lambda key: False)
    fired = {(one.rule, one.instrument_id) for one in findings}
    for kind, rule in ALERTS.items():
        assert (rule, fault_of(filled, kind).instrument_id) in fired, kind
    assert {
        who for rule, who in fired if rule == "silent" and who != fault_of(filled, "silent").instrument_id
    } == set()


def test_scripted_drift_fires_its_alert_after_three_years_too(tmp_path):
    with closing(SqliteStore(tmp_path)) as store:
        filled = fill(store, FAULTS.index("drifts_to_limit") + 1, 3, 1, NOW)
        with store.reading() as reads:
            findings = Looker().look(reads, DEFAULT_RULES, NOW, lambda key: False)
    fired = {one.instrument_id for one in findings if one.rule == "drift"}
    assert fault_of(filled, "drifts_to_limit").instrument_id in fired


def test_figures_of_a_run_go_their_own_ways(reads, filled):
    """Each has its own level and its own noise: none is another one scaled."""
    who = fault_of(filled, "silent").instrument_id
    points = reads.qc_points(who, series_key("psf", LIGHT_PATH))
    told = {name: [one.value for one in points if one.metric == name] for name in ("fwhm_x", "fwhm_z")}
    assert len(set(told["fwhm_x"])) > 20
    assert not set(told["fwhm_x"]) & set(told["fwhm_z"])
    assert abs(statistics.correlation(told["fwhm_x"], told["fwhm_z"])) < 0.5


@pytest.mark.parametrize("n_weeks", [10, 52, 157])
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("n_days", range(7))
def test_drift_is_days_from_its_limit_and_never_beyond_it(n_days, seed, n_weeks):
    """However long the history, and whatever the day on which somebody starts the fleet."""
    ends_at = NOW + timedelta(days=n_days)
    span = Span(ends_at, n_weeks)
    drifting = next(one for one in fleet(len(FAULTS), span, seed) if one.fault.kind == "drifts_to_limit")
    history = History(drifting, span)
    planned = (history.planned.of_week(number)["psf"].planned_at for number in range(n_weeks))
    runs = [decode(history.measured("psf", at)[1]) for at in planned if at < ends_at]
    figures = [next(one for one in run.metrics if one.metric == "fwhm_x") for run in runs]
    times, values = [run.captured.wall_at for run in runs], [one.measured.value for one in figures]
    limit = figures[-1].upper_limit
    assert max(values) < limit
    crosses_at = times[-1] + chart_of([*map(Sample, times, values)]).drift.crosses(limit)
    assert ends_at < crosses_at < ends_at + timedelta(days=14)


def test_quality_control_is_planned_and_missed_runs_say_why(reads, filled):
    assert {one.schedule.routine for one in kept_schedules(reads)} == {"psf", "illumination"}
    told = [one.record for one in runs_told(reads)]
    states = Counter(one.state for one in told)
    assert states["done"] > 50 and states["missed"] and states["skipped"] and states["waiting_for_person"]
    assert all(one.reason for one in told if one.state in ("missed", "skipped", "aborted_by_user"))
    results = [find_run(reads, str(one.qc_run_id)) for one in told if one.state == "done"]
    assert all(one is not None for one in results)
    overdue = fault_of(filled, "qc_overdue")
    ends = [
        one
        for one in told
        if one.instrument_id == overdue.instrument_id and one.state != "waiting_for_person"
    ]
    assert ends and {one.state for one in ends if one.planned_at > overdue.at} == {"skipped"}


def test_week_is_planned_booked_and_asks_for_slides(reads, filled):
    monday = NOW.date() - timedelta(days=NOW.weekday())
    week = calendar_of(reads, reads.instruments(), monday, ZONE, NOW)
    states = Counter(one.state for row in week.rows for day in row.days for one in day)
    assert week.week.zone == ZONE
    assert states["planned"] > 5 and states["booked"] > 20 and states["waiting_for_person"]
    asked = open_tasks(reads, Asked(), NOW)
    assert {one.record.planned_at > NOW for one, _ in asked} == {True}
    assert {by is None for _, by in asked} == {True, False}


def test_last_acquisitions_are_whole_and_can_be_exported(reads, filled):
    who = fault_of(filled, "dichroic_swapped").instrument_id
    newest = reads.acquisitions(who)[0]
    view = view_for(reads, newest)
    assert newest.n_in_ledger == newest.n_seen == len(view.planes) > 0
    assert (newest.n_files, newest.n_stamped) == (1, 1)
    assert {(one.light_path["objective"], one.is_valid) for one in view.bundle.finished.qc.light_paths} == {
        ("Plan Apo 60x Oil", True)
    }
    assert {one.format.name for one in offers_of(view) if one.why_not} == set()
    assert {
        format_name: bool(file_of(view, format_name, "en").data) for format_name in FORMATS
    } == dict.fromkeys(FORMATS, True)
    assert reads.latest(who).keys() >= {"state_snapshot", "instrument_profile", "schedule_plan", "heartbeat"}


def test_instrument_without_a_doi_says_so_beside_its_exports(reads, filled):
    without = fault_of(filled, "camera_firmware").instrument_id
    offers = offers_of(view_for(reads, reads.acquisitions(without)[0]))
    assert {one.format.name for one in offers if one.why_not} == {"datacite", "datacite-xml"}


def test_failed_run_says_what_to_check(reads, filled):
    """Alerts lead there."""
    failing = fault_of(filled, "out_of_limits").instrument_id
    run = next(one for one in reads.qc_runs(failing, limit=9) if one.status == "fail")
    result = find_run(reads, str(run.run_id)).result
    assert [one.check for one in result.advice] and result.inputs and result.parameters


def test_plans_go_on_while_the_fleet_lives():
    """What falls due is told then, once, and so is who is asked for a slide."""
    span = Span(NOW, 10)
    for one in fleet(len(FAULTS), span, 1):
        history = History(one, span)
        half_hours = [NOW + timedelta(minutes=30 * number) for number in range(7 * 48)]
        lines = [line for at in half_hours for line in history.due(at, at + timedelta(minutes=30))]
        runs = [record for record in map(decode, lines) if isinstance(record, ScheduleRun)]
        ends = [run for run in runs if run.state.is_end]
        assert sorted(run.routine for run in ends) == ["illumination", "psf"]
        assert [run.state for run in runs].count("waiting_for_person") == 1
        assert sum(record.kind == "schedule_plan" for record in map(decode, lines)) == 7


def test_every_record_is_one_that_an_agent_may_send(reads):
    rows = reads.records(limit=10_000)
    kinds = set()
    for row in rows[::7]:
        kinds.add(decode(raw_line(reads, row)).kind)
    assert kinds >= {"qc_result", "acquisition_finished", "usage_session", "state_change", "heartbeat"}
    assert reads.n_quarantined() == 0
    assert verify(reads).problems == []


def test_same_seed_makes_the_same_fleet(tmp_path):
    leaves = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        with closing(SqliteStore(tmp_path / name)) as store:
            fill(store, 2, 0.3, seed, NOW)
            with store.reading() as reads:
                leaves.append([(one.agent_id, one.chain, one.last_seq) for one in reads.batches(0, 1000)])
    assert leaves[0] == leaves[1] != leaves[2]


def test_folder_with_instruments_is_left_alone(filled_store):
    with pytest.raises(SettingsError, match="empty"):
        fill(filled_store[0], 1, 1, 1, NOW)


def test_fleet_lives_on_and_silent_ones_stay_silent(tmp_path):
    with closing(SqliteStore(tmp_path / "store")) as store:
        filled = fill(store, len(FAULTS), 0.2, 1, NOW)
        assert filled_in(store) == filled
    later = NOW + timedelta(minutes=1)
    with closing(Collector.on(SqliteStore(tmp_path / "store"), Settings(), lambda: later)) as collector:
        span = Span(NOW, filled.n_weeks)
        histories = [History(one, span) for one in fleet(len(FAULTS), span, 1)]
        living = Living(collector, histories, span)
        assert living.minute(later) >= len(FAULTS) - 1
        with collector.store.reading() as reads:
            heard = {agent.instrument_id: agent.heard_at for agent in reads.agents()}
            assert reads.n_quarantined() == 0
    silent = fault_of(filled, "silent")
    assert {who for who, at in heard.items() if at != later} == {silent.instrument_id}


def test_command_serves_a_fleet_with_a_link(tmp_path: Path):
    words = ["demo-fleet", "--instruments", "10", "--years", "1", "--json", "--data", str(tmp_path / "data")]
    with subprocess.Popen(
        [sys.executable, "-m", "server", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            ready = json.loads(line)
            with httpx.Client(base_url=ready["url"], follow_redirects=True, timeout=60) as client:
                assert client.get(ready["sign_in"]).status_code == 200
                who = ready["faults"][0]["instrument_id"]
                for page in (
                    "/",
                    f"/instruments/{who}",
                    f"/instruments/{who}/qc",
                    f"/instruments/{who}/logbook",
                    "/alerts",
                ):
                    assert client.get(page).status_code == 200, page
                assert len(client.get("/v1/instruments").json()) == 10
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    assert process.returncode == 0
