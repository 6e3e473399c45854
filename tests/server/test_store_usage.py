"""What every store tells of the use of instruments, from records as agents send them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from agent import records as r
from agent.records.wire import CHAIN_START
from server.access.scope import Scope
from server.access.seeing import ReadsInScope
from server.ingest import file_lines
from server.store import Failed
from server.store.rows import Agent, Batch, Instrument

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAY = (AT - timedelta(hours=12), AT + timedelta(hours=12))


@pytest.fixture
def sender(tools):
    return tools.Sender(client=None)


@pytest.fixture
def scope(tools, sender):
    return tools.Scope(sender, start_at=AT)


@pytest.fixture
def store(open_store, sender):
    store = open_store()
    agent = _agent(sender)
    do(store, lambda w: w.put_instrument(Instrument(agent.instrument_id, "Spinning disk", "Basel", AT)))
    do(store, lambda w: w.put_instrument(Instrument("scope-2", "Confocal", "Bern", AT)))
    do(store, lambda w: w.put_agent(agent))
    return store


def _agent(sender) -> Agent:
    return Agent(sender.agent_id, sender.public_key, sender.instrument_id, "pc", "Linux", "0.1", AT)


def do(store, job):
    (outcome,) = store.write([job])
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome.value


def ask(store, question):
    with store.reading() as reads:
        return question(reads)


def append(store, sender, records):
    body = b"".join(r.encode(record) + b"\n" for record in records)
    lines = file_lines(body, 1, len(records), CHAIN_START, _agent(sender))
    assert [line.flag for line in lines] == [None] * len(lines)
    headers = {"scopestamp-spool": "spool"}
    spool_id = str(uuid4())
    batch = Batch(
        sender.agent_id, spool_id, 1, CHAIN_START, None, lines, "/v1/ingest", headers, body, AT
    )  # fmt: skip
    return do(store, lambda writes: writes.append(batch))


def planned(scope, started, ended, state=r.ScheduleState.DONE, **more):
    return r.ScheduleRun(
        captured=scope.now(),
        **scope.common,
        schedule_id="nightly",
        source="file",
        routine="camera",
        planned_at=AT,
        zone="Europe/Zurich",
        state=state,
        started_at=started,
        ended_at=ended,
        **{"run_id": uuid4(), **more},
    )


def test_session_is_told_as_it_was_recorded(store, sender, scope, tools):
    told = scope.session(
        90, user="f3" * 32, user_name="hashed", acquiring_s=61.5, live_s=12, n_acquisitions=2
    )
    append(store, sender, [told])

    (row,) = ask(store, lambda reads: reads.usage_sessions(*DAY))

    assert row.instrument_id == "scope-1"
    assert (row.began_at, row.ended_at) == (AT, AT + timedelta(seconds=90))
    assert (row.person, row.person_how) == ("f3" * 32, "hashed")
    assert (row.acquiring_s, row.live_s, row.shutter_open_s, row.n_acquisitions) == (61.5, 12, None, 2)


def test_session_lasts_as_long_as_the_monotonic_clock_says(store, sender, scope):
    told = scope.session(60)
    jumped = told.ended.model_copy(update={"wall_at": AT + timedelta(hours=5)})
    append(store, sender, [told.model_copy(update={"ended": jumped})])
    (row,) = ask(store, lambda reads: reads.usage_sessions(*DAY))
    assert row.ended_at - row.began_at == timedelta(seconds=60)


def test_session_told_twice_counts_once_as_it_was_told_last(store, sender, scope):
    first = scope.session(60)
    again = scope.session(75).model_copy(update={"session_id": first.session_id})
    append(store, sender, [first])
    append(store, sender, [again])
    (row,) = ask(store, lambda reads: reads.usage_sessions(*DAY))
    assert row.ended_at - row.began_at == timedelta(seconds=75)


@pytest.mark.parametrize(
    ("since_s", "until_s", "is_told"),
    [(0, 60, True), (59, 61, True), (60, 90, False), (-60, 0, False), (-1, 1, True)],
)
def test_session_touches_a_period_or_not(store, sender, scope, since_s, until_s, is_told):
    append(store, sender, [scope.session(60)])
    since, until = AT + timedelta(seconds=since_s), AT + timedelta(seconds=until_s)
    assert bool(ask(store, lambda reads: reads.usage_sessions(since, until))) is is_told


def test_acquisition_tells_its_time_its_size_and_whether_it_was_quality_control(store, sender, scope):
    ours, measured = list(scope.acquisition(6)), list(scope.acquisition(4))
    qc = scope.qc(acquisition_id=measured[0].acquisition_id)
    append(store, sender, [*ours, *measured, qc])

    rows = ask(store, lambda reads: reads.acquisition_times(*DAY))

    assert [(row.n_frames, row.n_files, row.size_bytes, row.is_qc) for row in rows] == [
        (6, 1, 50_331_648, 0),
        (4, 1, 50_331_648, 1),
    ]
    assert rows[0].ended_at == ours[-2].finished.wall_at
    whole = ask(store, lambda reads: reads.acquisition(str(ours[0].acquisition_id)))
    assert whole.size_bytes == 50_331_648


def test_acquisition_that_has_not_ended_has_no_time(store, sender, scope):
    append(store, sender, list(scope.acquisition(2))[:1])
    assert ask(store, lambda reads: reads.acquisition_times(*DAY)) == []


def test_planned_run_has_the_time_it_had_the_hardware(store, sender, scope):
    ends = AT + timedelta(minutes=7)
    done = planned(scope, AT, ends)
    waiting = planned(scope, None, None, r.ScheduleState.WAITING)
    missed = planned(scope, None, None, r.ScheduleState.MISSED)
    append(store, sender, [waiting, done, missed])
    (row,) = ask(store, lambda reads: reads.planned_runs(*DAY))
    assert (row.routine, row.state) == ("camera", "done")
    assert (row.began_at, row.ended_at) == (AT, ends)


def test_runs_of_quality_control_are_counted_by_verdict(store, sender, scope):
    runs = [scope.qc(0.2, status) for status in (r.QcStatus.PASS, r.QcStatus.FAIL, r.QcStatus.PASS)]
    append(store, sender, runs)
    counts = ask(store, lambda reads: reads.qc_counts(*DAY))
    assert [tuple(count) if isinstance(count, tuple) else (count.routine, count.status, count.n_runs) for count in counts] == [
        ("psf", "fail", 1),
        ("psf", "pass", 2),
    ]  # fmt: skip


def test_only_wanted_instruments_and_those_in_scope_are_told(store, sender, scope):
    append(store, sender, [scope.session(60), *scope.acquisition(2), planned(scope, AT, AT), scope.qc()])

    def numbers(reads, among=None):
        return [
            len(question(*DAY, among))
            for question in (reads.usage_sessions, reads.acquisition_times, reads.qc_counts)
        ]

    assert ask(store, numbers) == [1, 1, 1]
    assert ask(store, lambda reads: numbers(reads, ["scope-2"])) == [0, 0, 0]
    assert ask(store, lambda reads: numbers(reads, [])) == [0, 0, 0]
    assert ask(store, lambda reads: numbers(ReadsInScope(reads, Scope.of(["Bern"])))) == [0, 0, 0]
    assert ask(store, lambda reads: numbers(ReadsInScope(reads, Scope.of(["Basel"])))) == [1, 1, 1]


def test_given_up_session_keeps_its_hours_and_loses_its_person(store, sender, scope):
    append(store, sender, [scope.session(60, user="ada", user_name="plain"), scope.session(30)])
    old = ask(store, lambda reads: reads.old_records("usage_session", AT + timedelta(days=1)))
    assert do(store, lambda writes: writes.prune(old[:1])) == 1
    rows = ask(store, lambda reads: reads.usage_sessions(*DAY))
    told = {(row.ended_at - row.began_at).total_seconds(): (row.person, row.person_how) for row in rows}
    assert told[60.0] == (None, "omitted")


def test_session_beyond_the_calendar_is_flagged_and_kept(sender, scope):
    endless = scope.session(60).model_copy(update={"duration_s": 1e300})
    body = r.encode(endless) + b"\n"
    (line,) = file_lines(body, 1, 1, CHAIN_START, _agent(sender))
    assert line.flag.reason == "malformed" and UUID(line.record_id) == endless.record_id
