"""Where rules hold, on records that a real agent's sender has delivered."""

from __future__ import annotations

import gc
from datetime import timedelta
from uuid import uuid4

import pytest

from agent.records import PartHealth, QcAdvice, QcStatus, ScheduleRun, ScheduleState, Severity, SpoolHealth
from server.alerts import charted
from server.alerts.book import book_of, turn
from server.alerts.findings import Looker
from server.alerts.round import AlertRound
from server.alerts.rules import (
    DEFAULT_RULES,
    AcquisitionTrouble,
    AgentError,
    AgentVersion,
    DriftToLimit,
    Grade,
    HeartbeatFigure,
    OutOfControl,
    PartStopped,
    QcOverdue,
    QcVerdict,
    Rule,
    Silent,
    rules_of,
)
from server.alerts.telling import Teller, compose
from server.health import health_in
from server.logbook import BaselineChoice, Invalidation, Maintenance, write
from server.quality import figures
from server.quality.control_chart import Chart, Sample
from server.quality.runs import key_of
from server.store.sqlite_connection import SqliteConnection


def deliver(sender, records) -> None:
    """Send records through a spool of their own."""
    reply = sender.send(records, spool_id=f"spool-{records[0].record_id}")
    assert reply.json()["flagged"] == [], reply.text


@pytest.fixture
def sender(running):
    return running.sender()


@pytest.fixture
def scope(tools, sender, running):
    return tools.Scope(sender, start_at=running.clock())


@pytest.fixture
def look(running):
    """Return what a condition finds now."""
    looker = Looker()

    def look(condition, is_firing=lambda key: False, **more):
        rule = Rule(key="rule", name="Rule", condition=condition, **more)
        with running.collector.store.reading() as reads:
            return looker.look(reads, [rule], running.clock(), is_firing)

    return look


def test_round_asks_a_larger_fleet_no_more_questions(running, tools, monkeypatch):
    asked = []
    fetch = SqliteConnection.fetch
    monkeypatch.setattr(
        SqliteConnection, "fetch", lambda self, sql, *values: asked.append(sql) or fetch(self, sql, *values)
    )
    looker, n_questions = Looker(), []
    for number in range(6):
        sender = running.sender(f"scope-{number}")
        scope = tools.Scope(sender, start_at=running.clock())
        deliver(sender, [scope.heartbeat(), scope.qc()])
        with running.collector.store.reading() as reads:
            looker.look(reads, DEFAULT_RULES, running.clock(), lambda key: False)  # draws new charts
            asked.clear()
            looker.look(reads, DEFAULT_RULES, running.clock(), lambda key: False)
            n_questions.append(len(asked))
    assert 0 < n_questions[0] == n_questions[-1]


def test_silence_is_judged_by_the_collectors_clock(running, sender, scope, look):
    assert look(Silent(minutes=10)) == []  # never heard: enrolled a moment ago
    deliver(sender, [scope.heartbeat()])
    running.clock.later(minutes=10)
    assert look(Silent(minutes=10)) == []
    running.clock.later(minutes=1)
    (found,) = look(Silent(minutes=10))
    assert found.what % found.values == "No sign of life for 11 min"
    running.clock.later(hours=72)
    (found,) = look(Silent(minutes=10))
    assert found.what % found.values == "No sign of life for 72 h"


@pytest.mark.parametrize(
    ("free_gb", "is_firing", "is_found"),
    [
        (12, False, False),
        (7, False, False),
        (4, False, True),
        (7, True, True),
        (12, True, False),
    ],
)
def test_threshold_clears_only_at_its_second_mark(sender, scope, look, free_gb, is_firing, is_found):
    deliver(sender, [scope.heartbeat(disk_free_bytes=int(free_gb * 1e9))])
    disk = HeartbeatFigure(figure="disk_free_gb", below=5, clears_at=10)
    assert bool(look(disk, lambda key: is_firing)) is is_found


def test_oldest_record_that_waits_counts_from_the_heartbeat(sender, scope, look):
    waiting = SpoolHealth(n_waiting=9, bytes_on_disk=900, oldest_waiting_at=scope.wall_at)
    scope.later(8 * 3600)
    deliver(sender, [scope.heartbeat(spool=waiting)])
    (found,) = look(HeartbeatFigure(figure="spool_oldest_h", above=6))
    assert found.values["value"] == "8"


@pytest.mark.parametrize("wrong", [{}, {"above": 1, "below": 2}])
def test_threshold_needs_one_side(wrong):
    with pytest.raises(ValueError, match="either above or below"):
        HeartbeatFigure(figure="restarts", **wrong)


@pytest.mark.parametrize(
    ("version", "is_old"), [("0.1.9", True), ("0.2", False), ("0.10.0rc1", False), ("0.2rc1", True)]
)
def test_old_agent_is_found(sender, scope, look, version, is_old):
    deliver(sender, [scope.heartbeat(versions={"scopestamp": version})])
    assert bool(look(AgentVersion(older_than="0.2"))) is is_old


def test_part_that_does_not_beat_is_found_and_stands_on_the_page(running, sender, scope, look):
    parts = [PartHealth(name="sender", state="running"), PartHealth(name="schedule", state="running")]
    deliver(sender, [scope.heartbeat(parts=tuple(parts))])
    assert look(PartStopped()) == []
    parts[1] = PartHealth(name="schedule", state="late", late_s=31)
    deliver(sender, [scope.heartbeat(parts=tuple(parts))])
    (found,) = look(PartStopped())
    assert found.what % found.values == "The agent's part schedule has stopped"
    with running.collector.store.reading() as reads:
        (row,) = reads.fleet()
    problems = health_in(row, running.clock(), timedelta(minutes=5)).problems
    assert "The agent's part schedule has stopped." in map(str, problems)


def test_error_of_the_agent_is_found_for_a_day(running, sender, scope, look):
    event = scope.event().model_copy(update={"severity": Severity.ERROR})
    deliver(sender, [scope.event("all is well")])
    assert look(AgentError()) == []
    deliver(sender, [event])
    (found,) = look(AgentError())
    assert "hardware process crashed" in found.what % found.values
    running.clock.later(hours=25)
    assert look(AgentError()) == []


def test_error_is_found_behind_much_that_came_after_it(sender, scope, look):
    errors = [scope.event(words).model_copy(update={"severity": Severity.ERROR}) for words in ("old", "new")]
    deliver(sender, [*errors, *(scope.event(f"no error {n}") for n in range(45))])
    (found,) = look(AgentError())
    assert found.what % found.values == "The agent reports: new"


def test_long_story_of_an_agent_is_cut(sender, scope, look):
    words = "The camera said: " + "0xdeadbeef " * 10_000
    deliver(sender, [scope.event(words).model_copy(update={"severity": Severity.ERROR})])
    (found,) = look(AgentError())
    said = found.what % found.values
    assert said.startswith("The agent reports: The camera said: 0xdeadbeef")
    assert said.endswith(" …") and len(said) < 600


def test_failed_run_is_found_until_it_is_declared_invalid(running, sender, scope, look):
    run = scope.qc(0.31, QcStatus.FAIL)
    deliver(sender, [run])
    (found,) = look(QcVerdict())
    assert found.what % found.values == "psf ended as fail"

    def job(writes):
        write(
            writes, Invalidation(reason="wrong slide"), "scope-1", "ada", running.clock(), str(run.record_id)
        )

    running.collector.writer.do(job)
    assert look(QcVerdict()) == []


def test_warning_is_found_only_when_asked_for(sender, scope, look):
    deliver(sender, [scope.qc(0.27, QcStatus.WARN)])
    assert look(QcVerdict()) == []
    assert len(look(QcVerdict(worst="warn"))) == 1


def test_overdue_run_is_found_since_the_day_it_was_due(running, sender, scope, look):
    run = scope.qc()
    deliver(sender, [run])
    running.clock.later(days=36)
    (found,) = look(QcOverdue(days=35))
    assert (running.clock() - found.since).days == 1
    assert look(QcOverdue(days=35, routine="illumination")) == []


def test_overdue_run_that_is_planned_leads_to_why_it_did_not_run(running, tools, sender, scope, look):
    deliver(sender, [scope.qc()])
    running.clock.later(days=36)
    told = {"schedule_id": "psf", "source": "collector", "routine": "psf", "zone": "UTC"}
    planned_at, reason = running.clock() - timedelta(days=1), "Nobody confirmed that the slide is in place."
    skipped = ScheduleRun(
        **scope.common, record_id=uuid4(), captured=scope.now(), run_id=uuid4(), planned_at=planned_at,
        state=ScheduleState.SKIPPED, reason=reason, **told,
    )  # fmt: skip
    (found,) = look(QcOverdue(days=35))
    assert found.advice.startswith("Run it, or schedule it")
    deliver(sender, [skipped])
    (found,) = look(QcOverdue(days=35))
    assert found.advice.startswith("It is planned, but did not run")
    with running.browser() as browser:
        assert reason in browser.get(found.href).text


def _send_trend(running, sender, scope, values):
    runs = []
    for value in values:
        runs.append(scope.qc(round(value, 6)))
        scope.later(86_400)
        running.clock.later(days=1)
    deliver(sender, runs)


def test_figure_out_of_control_is_found_though_within_its_limits(running, sender, scope, look):
    quiet = [0.22, 0.222, 0.221, 0.223, 0.219, 0.221, 0.22, 0.222]
    _send_trend(running, sender, scope, quiet)
    assert look(OutOfControl()) == []
    _send_trend(running, sender, scope, [0.235])
    assert look(OutOfControl()) == []
    assert len(look(OutOfControl(in_a_row=1))) == 1
    _send_trend(running, sender, scope, [0.235])
    (found,) = look(OutOfControl())
    assert found.values["pattern"] == "1 value beyond 3 σ"
    began = found.since
    _send_trend(running, sender, scope, [0.235, 0.236])
    (found,) = look(OutOfControl())
    assert found.since == began, "it began when the first of the values in a row broke a rule"
    assert found.href.endswith("#trends")


def test_of_a_chart_only_what_is_told_is_kept(running, sender, scope):
    looker = Looker()
    _send_trend(running, sender, scope, [0.22, 0.222, 0.221, 0.223] * 10)

    def look_and_count_charts():
        with running.collector.store.reading() as reads:
            found = looker.look(reads, DEFAULT_RULES, running.clock(), lambda key: False)
        figures._chart.cache_clear()  # that of the pages, which has an end
        gc.collect()
        return len(found), sum(isinstance(one, Chart | Sample) for one in gc.get_objects())

    assert look_and_count_charts() == (0, 0)
    _send_trend(running, sender, scope, [0.235, 0.235])
    n_found, n_kept = look_and_count_charts()
    assert n_found and n_kept == 0
    assert look_and_count_charts() == (n_found, 0)


def test_charts_are_drawn_before_the_look(running, sender, scope, monkeypatch):
    _send_trend(running, sender, scope, [0.22, 0.222, 0.221, 0.223] * 3 + [0.235, 0.235])
    looker, asked, fetch = Looker(), [], SqliteConnection.fetch
    looker.prepare(running.collector.store, DEFAULT_RULES)
    monkeypatch.setattr(
        SqliteConnection, "fetch", lambda self, sql, *values: asked.append(sql) or fetch(self, sql, *values)
    )

    def look() -> int:
        with running.collector.store.reading() as reads:
            return len(looker.look(reads, DEFAULT_RULES, running.clock(), lambda key: True))

    assert look() and not [sql for sql in asked if "qc_figures" in sql]
    _send_trend(running, sender, scope, [0.235])
    assert look() and [sql for sql in asked if "qc_figures" in sql], (
        "what has come meanwhile is drawn all the same"
    )


def test_alerts_on_charts_stay_as_they_are_until_all_charts_are_drawn(running, sender, scope, monkeypatch):
    def firing(of: AlertRound) -> set[str]:
        of.go()
        with running.collector.store.reading() as reads:
            return {alert.rule for alert in book_of(reads).values() if alert.state == "firing"}

    teller = Teller(running.collector.settings.smtp, running.collector.settings.outgoing)
    deliver(sender, [scope.heartbeat()])
    _send_trend(running, sender, scope, [0.22, 0.222, 0.221, 0.223] * 3 + [0.235, 0.235])
    assert "out_of_control" in firing(AlertRound(running.collector, teller))
    _send_trend(running, sender, scope, [0.222, 0.221])
    started_anew = AlertRound(running.collector, teller)
    monkeypatch.setattr(charted, "_LONGEST_S", -1.0)
    running.clock.later(hours=1)
    assert {"out_of_control", "silent"} <= firing(started_anew)
    monkeypatch.undo()
    assert "out_of_control" not in firing(started_anew)


def test_what_is_likely_behind_it_is_told_once_found(running, sender, scope, look):
    quiet = [0.22, 0.222, 0.221, 0.223, 0.219, 0.221, 0.22, 0.222]
    _send_trend(running, sender, scope, quiet)
    cleaned = Maintenance(
        work="cleaning", day=running.clock().date(), title="60x objective taken out and cleaned"
    )
    running.collector.writer.do(lambda writes: write(writes, cleaned, "scope-1", "ada", running.clock()))
    scope.later(86_400)
    running.clock.later(days=1)
    _send_trend(running, sender, scope, [0.24, 0.241])
    (found,) = look(OutOfControl())
    assert found.cause == f"60x objective taken out and cleaned ({cleaned.day})"
    (again,) = look(OutOfControl(), is_firing=lambda key: key == found.key)
    assert again.cause == "", "the book has it already"
    rule = Rule(key="rule", name="Rule", condition=OutOfControl())
    before = turn({}, [found], [rule], running.clock()).book
    (kept,) = turn(before, [again], [rule], running.clock()).book.values()
    assert kept.cause == found.cause
    said = compose([kept], [], {}, "", running.clock()).text
    assert "Likely cause: 60x objective taken out and cleaned" in said


def test_failed_run_tells_what_it_holds_for_the_cause_itself(sender, scope, look):
    advice = QcAdvice(
        finding="Spherical aberration", check="Set the correction collar.", source="ISO 21073:2019"
    )
    deliver(sender, [scope.qc(status=QcStatus.FAIL, advice=(advice,))])
    (found,) = look(QcVerdict())
    assert found.cause == "Spherical aberration"


def _say_of(running, run, note):
    running.collector.writer.do(
        lambda writes: write(writes, note, "scope-1", "ada", running.clock(), str(run.record_id))
    )


def test_older_run_declared_invalid_drops_out_of_the_chart_at_once(running, sender, scope, look):
    _send_trend(running, sender, scope, [0.22, 0.222, 0.221, 0.223, 0.219, 0.221, 0.22, 0.222])
    wrong = scope.qc(0.235)
    deliver(sender, [wrong])
    scope.later(86_400)
    _send_trend(running, sender, scope, [0.235])
    assert len(look(OutOfControl())) == 1
    _say_of(running, wrong, Invalidation(reason="wrong slide"))
    assert look(OutOfControl()) == []


def test_choice_of_time_zero_changes_the_chart_at_once(running, sender, scope, look):
    steps = [0.22, 0.222, 0.221, 0.223, 0.219, 0.221, 0.22, 0.222]
    _send_trend(running, sender, scope, steps)
    serviced = scope.qc(0.235)
    deliver(sender, [serviced])
    scope.later(86_400)
    _send_trend(running, sender, scope, [0.234, 0.236, 0.235, 0.237, 0.233, 0.235, 0.234])
    before = look(OutOfControl())
    _say_of(running, serviced, BaselineChoice(series=key_of(serviced)))
    assert (len(before), look(OutOfControl())) == (1, [])


def severity_of_one(findings, rule) -> str:
    (alert,) = turn({}, findings, [rule], findings[0].since).book.values()
    return alert.severity.value


@pytest.mark.parametrize(
    ("grades", "severity"),
    [
        ((), "info"),
        ((("fwhm_x_um", "critical"),), "critical"),
        ((("fwhm_*", "warning"), ("fwhm_x_um", "critical")), "warning"),  # the first that fits
        ((("fwhm_z_um", "critical"), ("FWHM*", "critical")), "info"),
        ((("psf", "critical"),), "critical"),
        ((("pass", "warning"), ("fail", "critical")), "warning"),  # within its limits, yet out of control
    ],
)
def test_out_of_control_matters_by_figure_routine_and_verdict(running, sender, scope, look, grades, severity):
    _send_trend(running, sender, scope, [0.22, 0.222, 0.221, 0.223, 0.219, 0.221, 0.22, 0.222, 0.235, 0.235])
    told = tuple(Grade(of=of, severity=how) for of, how in grades)
    rule = Rule(key="rule", name="Rule", condition=OutOfControl(), severity="info", grades=told)
    found = look(rule.condition)
    assert severity_of_one(found, rule) == severity


@pytest.mark.parametrize(("status", "severity"), [(QcStatus.WARN, "warning"), (QcStatus.FAIL, "critical")])
def test_warning_matters_less_than_a_failure(sender, scope, look, status, severity):
    failed = next(rule for rule in DEFAULT_RULES if rule.key == "qc_failed")
    rule = failed.model_copy(update={"condition": QcVerdict(worst="warn"), "key": "rule"})
    deliver(sender, [scope.qc(0.27, status)])
    assert severity_of_one(look(rule.condition), rule) == severity


def test_drift_foretells_the_crossing(running, sender, scope, look):
    _send_trend(running, sender, scope, [0.220 + 0.002 * n + 0.0002 * (n % 2) for n in range(20)])
    (found,) = look(
        DriftToLimit(days=30)
    )  # 0.258 was measured yesterday, the limit is 0.282: 12 days from there
    assert found.values["days"] == "11"
    assert look(DriftToLimit(days=5)) == []
    running.clock.later(days=9)  # and nothing is measured
    (found,) = look(DriftToLimit(days=5))
    assert found.values["days"] == "2"
    running.clock.later(days=90)
    assert look(DriftToLimit(days=5)) == []


def test_rule_looks_only_where_it_is_told_to(running, sender, scope, look):
    deliver(sender, [scope.heartbeat()])
    running.clock.later(hours=1)
    assert look(Silent(), sites=("Zürich",)) == []
    assert look(Silent(), instruments=("scope-2",)) == []
    assert len(look(Silent(), sites=("Basel",), instruments=("scope-1",))) == 1


def test_default_rules_find_nothing_on_a_healthy_instrument(running, sender, scope):
    deliver(sender, [scope.heartbeat(), scope.qc()])
    with running.collector.store.reading() as reads:
        found = Looker().look(reads, DEFAULT_RULES, running.clock(), lambda key: False)
    assert found == []
    assert turn({}, found, DEFAULT_RULES, running.clock()).book == {}


def test_edited_rule_replaces_the_default_and_one_from_the_future_is_left_out(running):
    edited = next(rule for rule in DEFAULT_RULES if rule.key == "disk").model_copy(update={"is_on": False})

    def job(writes):
        writes.put_document("alert_rule", "disk", edited.model_dump_json(), running.clock(), "ada")
        writes.put_document("alert_rule", "mood", '{"condition": {"of": "mood"}}', running.clock(), "ada")

    running.collector.writer.do(job)
    with running.collector.store.reading() as reads:
        rules = {rule.key: rule for rule in rules_of(reads)}
    assert len(rules) == len(DEFAULT_RULES)
    assert rules["disk"].is_on is False


def test_acquisition_with_missing_frames_is_found(sender, scope, look):
    assert look(AcquisitionTrouble()) == []
    deliver(sender, list(scope.acquisition(n_frames=6)))
    (found,) = look(AcquisitionTrouble())
    assert found.what % found.values == "The last acquisition ended as completed; frames missing: 1"
    assert found.href.startswith("/acquisitions/")
