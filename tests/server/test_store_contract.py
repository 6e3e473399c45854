"""What every store must keep, whatever engine is beneath. A new store is added to `STORES` in conftest.py and to nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from agent.records import Cause, FinishReason, How, QcStatus, encode
from agent.records.wire import CHAIN_START, chain_skip
from server.errors import RefusedError
from server.ingest import file_lines
from server.store import Done, Failed
from server.store.rows import (
    QC_RANKS,
    Agent,
    Attachment,
    AuditEntry,
    Batch,
    Entry,
    Grant,
    Instrument,
    JoinCode,
    Place,
    User,
)

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(open_store, sender):
    store = open_store()
    agent = agent_of(sender)
    do(store, lambda w: w.put_instrument(Instrument(agent.instrument_id, "Spinning disk", "Basel", AT)))
    do(store, lambda w: w.put_agent(agent))
    return store


@pytest.fixture
def sender(tools):
    return tools.Sender(client=None)


@pytest.fixture
def scope(tools, sender):
    return tools.Scope(sender, start_at=AT - timedelta(hours=1))


def agent_of(sender) -> Agent:
    return Agent(sender.agent_id, sender.public_key, sender.instrument_id, "pc", "Linux", "0.1", AT)


def do(store, job):
    """Return a job's value when it was done, raise its error when not."""
    (outcome,) = store.write([job])
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome.value


def ask(store, question):
    with store.reading() as reads:
        return question(reads)


def batch_of(sender, lines, first_seq=1, prev=CHAIN_START, spool_id="spool", skipped_from=None, at=AT):
    body = b"".join(line if isinstance(line, bytes) else encode(line) + b"\n" for line in lines)
    return Batch(
        agent_id=sender.agent_id,
        spool_id=spool_id,
        first_seq=first_seq,
        prev=prev,
        skipped_from=skipped_from,
        lines=file_lines(body, first_seq, len(lines), prev, agent_of(sender)),
        path="/v1/ingest",
        headers={"scopestamp-spool": spool_id},
        body=body,
        received_at=at,
    )


def append(store, batch):
    return do(store, lambda writes: writes.append(batch))


# Batches, marks and chains


def test_append_moves_mark_and_chain_and_keeps_the_batch_as_it_was(store, tools, sender, scope):
    beats = [scope.heartbeat() for _ in range(3)]
    batch = batch_of(sender, beats)

    assert append(store, batch).acked == 3

    spool = ask(store, lambda reads: reads.spool(sender.agent_id, "spool"))
    assert (spool.mark, spool.chain) == (3, tools.chain_over(beats))
    row = ask(store, lambda reads: reads.record(str(beats[1].record_id)))
    assert (row.seq, row.line, row.kind, row.captured_at) == (2, 1, "heartbeat", beats[1].captured.wall_at)
    kept = ask(store, lambda reads: reads.batch(row.batch_id))
    assert (kept.body, kept.headers, kept.path) == (batch.body, batch.headers, batch.path)


def test_chain_is_known_at_every_sequence_number_and_only_there(store, tools, sender, scope):
    beats = [scope.heartbeat() for _ in range(4)]
    append(store, batch_of(sender, beats))

    chains = [ask(store, lambda reads, i=i: reads.chain_at(sender.agent_id, "spool", i)) for i in range(6)]

    assert chains == [*(tools.chain_over(beats[:i]) for i in range(5)), None]


def test_refused_batch_changes_nothing(store, sender, scope):
    append(store, batch_of(sender, [scope.heartbeat()]))

    with pytest.raises(RefusedError):
        append(store, batch_of(sender, [scope.heartbeat()], first_seq=5))

    assert ask(store, lambda reads: reads.spool(sender.agent_id, "spool")).mark == 1
    assert len(ask(store, lambda reads: reads.records())) == 1


def test_batches_cut_and_repeated_at_random_add_every_record_once(store, tools, sender, scope):
    beats = [scope.heartbeat() for _ in range(60)]
    dice = random.Random(20260504)
    mark = n_added = 0
    while mark < len(beats):
        first = dice.randint(max(0, mark - 12), mark)
        last = min(len(beats), first + dice.randint(1, 15))
        appended = append(
            store, batch_of(sender, beats[first:last], first + 1, tools.chain_over(beats[:first]))
        )
        n_added += appended.n_added
        mark = max(mark, last)
        assert appended.acked == mark

    assert n_added == len(beats)
    assert [row.record_id for row in ask(store, lambda r: r.records(limit=500))] == [
        str(beat.record_id) for beat in beats
    ]


def test_skip_is_recorded_and_can_be_built_upon(store, tools, sender, scope):
    beats = [scope.heartbeat() for _ in range(6)]
    append(store, batch_of(sender, beats[:2]))
    prev = chain_skip(tools.chain_over(beats[:2]), 3, 4)
    append(store, batch_of(sender, beats[4:5], 5, prev, skipped_from=3))
    append(store, batch_of(sender, beats[5:], 6, tools.chain_over(beats[4:5], prev)))

    spool = ask(store, lambda reads: reads.spool(sender.agent_id, "spool"))
    assert (spool.mark, spool.n_skipped) == (6, 2)
    assert ask(store, lambda reads: reads.chain_at(sender.agent_id, "spool", 4)) == prev
    assert ask(store, lambda reads: reads.chain_at(sender.agent_id, "spool", 3)) is None


def test_everything_done_is_there_when_the_store_is_opened_again(store, open_store, sender, scope):
    beat = scope.heartbeat()
    append(store, batch_of(sender, [beat]))
    store.close()

    again = open_store()

    assert ask(again, lambda reads: reads.record(str(beat.record_id))).seq == 1
    assert append(again, batch_of(sender, [beat])).n_added == 0


def test_readers_never_see_a_job_that_was_undone(store):
    def job(writes):
        writes.put_user(User("nobody", "viewer", None, AT))
        raise RefusedError(409, "fork", "no")

    outcomes = store.write([job, lambda writes: writes.user("nobody")])

    assert isinstance(outcomes[0], Failed)
    assert outcomes[1] == Done(None)


def test_reader_does_not_wait_for_a_writer(store):
    def job(writes):
        writes.put_user(User("ada", "viewer", None, AT))
        seen_outside.append(ask(store, lambda reads: reads.user("ada")))
        return writes.user("ada")

    seen_outside = []
    assert do(store, job).name == "ada"
    assert seen_outside == [None]


# What records add


def test_latest_is_the_newest_by_monotonic_time_within_one_boot(store, sender, scope):
    early, late = scope.heartbeat(), (scope.later(60), scope.heartbeat())[1]
    append(store, batch_of(sender, [late], spool_id="a"))
    append(store, batch_of(sender, [early], spool_id="b"))

    assert ask(store, lambda r: r.latest(sender.instrument_id))["heartbeat"].record_id == str(late.record_id)


def test_clock_in_the_future_does_not_hold_its_place_for_ever(store, tools, sender):
    wrong = tools.Scope(sender, boot_id="wrong", start_at=AT + timedelta(days=3650)).heartbeat()
    right = tools.Scope(sender, boot_id="right", start_at=AT + timedelta(hours=1)).heartbeat()
    append(store, batch_of(sender, [wrong], spool_id="a"))
    append(store, batch_of(sender, [right], spool_id="b", at=AT + timedelta(hours=1)))

    latest = ask(store, lambda r: r.latest(sender.instrument_id))["heartbeat"]
    assert (latest.record_id, latest.raw) == (str(right.record_id), encode(right))


def test_changes_are_flattened_newest_first_and_paged_without_loss(store, sender, scope):
    lines = []
    for i in range(7):
        scope.later(1)
        lines.append(scope.change("Stage", "Z", scope.read(float(i), "um", How.EVENT), Cause.NOTIFIED))
    lines.append(scope.change("Camera", "Gain", scope.read(2)))
    append(store, batch_of(sender, lines))

    pages, before = [], None
    while page := ask(store, lambda r, b=before: r.changes(sender.instrument_id, before=b, limit=3)):
        pages.append([row.change.after.value for row in page])
        before = Place(page[-1].change.last_at.wall_at, page[-1].position)

    assert pages == [[2, 6.0, 5.0], [4.0, 3.0, 2.0], [1.0, 0.0]]
    whole = ask(store, lambda r: r.changes(sender.instrument_id))
    marks = ask(store, lambda r: r.change_marks(sender.instrument_id))
    assert marks == [
        (row.position, c.device, c.property, c.last_at.wall_at) for row in whole for c in (row.change,)
    ]
    place = Place(marks[2].at, marks[2].position)
    assert ask(store, lambda r: r.change_marks(sender.instrument_id, place, 2)) == marks[3:5]
    assert ask(store, lambda r: r.change_marks(sender.instrument_id, device="Camera")) == marks[:1]
    some = [marks[4].position, marks[0].position, 10**9]
    assert ask(store, lambda r: r.changes_in_short(sender.instrument_id, some)) == {
        row.position: (
            row.position, row.record_id, c.device, c.property, c.last_at.wall_at, c.before and c.before.value,
            c.after.value, c.after.unit,
        )
        for row in whole
        for c in (row.change,)
        if row.position in some
    }  # fmt: skip
    assert ask(store, lambda r: r.changes_in_short(sender.instrument_id, [])) == {}
    assert ask(store, lambda r: r.changes_in_short("another", some)) == {}
    only = ask(store, lambda r: r.changes(sender.instrument_id, device="Camera"))
    assert [(row.change.property, row.change.before.value) for row in only] == [("Gain", 1)]


def test_acquisition_is_joined_whatever_order_its_records_come_in(store, sender, scope):
    records = list(scope.acquisition(n_frames=6))
    shuffled = random.Random(7).sample(records, len(records))
    append(store, batch_of(sender, shuffled))

    row = ask(store, lambda r: r.acquisition(str(records[0].acquisition_id)))
    assert (row.n_expected, row.n_seen, row.n_dropped, row.n_in_ledger) == (7, 6, 1, 6)
    assert (row.reason, row.n_files, row.n_stamped, row.n_problems) == ("completed", 1, 1, 1)
    assert row.began_at == row.started_at == records[0].started.wall_at
    assert row.finished_record_id == str(records[-2].record_id)
    ledgers = ask(store, lambda r: r.ledgers(row.acquisition_id))
    assert [(ledger.first_frame, ledger.n_frames) for ledger in ledgers] == [(0, 4), (4, 2)]


def test_running_acquisition_counts_frames_from_its_ledgers(store, sender, scope):
    records = list(scope.acquisition(n_frames=6))
    append(store, batch_of(sender, records[:2]))

    row = ask(store, lambda r: r.acquisition(str(records[0].acquisition_id)))

    assert (row.reason, row.n_seen, row.n_in_ledger, row.finished_at) == (None, None, 4, None)


def test_same_ledger_through_two_spools_counts_once(store, sender, scope):
    records = list(scope.acquisition(n_frames=4))
    append(store, batch_of(sender, records, spool_id="a"))
    append(store, batch_of(sender, records, spool_id="b"))

    row = ask(store, lambda r: r.acquisition(str(records[0].acquisition_id)))
    assert (row.n_in_ledger, len(ask(store, lambda r: r.ledgers(row.acquisition_id)))) == (4, 1)
    assert ask(store, lambda r: len(r.changes(sender.instrument_id))) == 1


def test_nobody_writes_into_another_instruments_acquisition(store, tools, sender, scope):
    records = list(scope.acquisition(n_frames=4))
    append(store, batch_of(sender, records))
    other = tools.Sender(None, "scope-2")
    stolen = [
        record.model_copy(
            update={
                "record_id": tools.uuid4(),
                "instrument_id": "scope-2",
                "producer": record.producer.model_copy(update={"agent_id": other.agent_id}),
                **({"reason": FinishReason.ERRORED} if record.kind == "acquisition_finished" else {}),
            }
        )
        for record in records
    ]
    do(store, lambda w: w.put_instrument(Instrument("scope-2", "Other", "Basel", AT)))
    do(store, lambda w: w.put_agent(agent_of(other)))
    append(store, batch_of(other, stolen))

    row = ask(store, lambda r: r.acquisition(str(records[0].acquisition_id)))
    assert (row.instrument_id, row.reason, row.n_in_ledger) == (sender.instrument_id, "completed", 4)


def test_quarantine_lists_what_was_flagged_and_where_it_is(store, sender, scope):
    append(store, batch_of(sender, [scope.heartbeat(), b"junk\n"]))

    (row,) = ask(store, lambda reads: reads.quarantine())

    assert (row.reason, row.seq, row.line, row.agent_id) == ("malformed", 2, 1, sender.agent_id)
    assert ask(store, lambda reads: reads.quarantined(row.position)) == row
    assert ask(store, lambda reads: reads.n_quarantined()) == 1
    assert ask(store, lambda reads: reads.quarantine(before=row.position)) == []


def test_records_can_be_followed_by_position(store, tools, sender, scope):
    beats = [scope.heartbeat() for _ in range(5)]
    append(store, batch_of(sender, [*beats[:3], scope.event()]))

    seen = ask(store, lambda r: r.records(kind="heartbeat", limit=2))
    seen += ask(store, lambda r: r.records(kind="heartbeat", after=seen[-1].position))
    assert [row.record_id for row in seen] == [str(beat.record_id) for beat in beats[:3]]
    assert ask(store, lambda r: r.records(instrument_id="another")) == []
    recent = ask(store, lambda r: r.recent(sender.instrument_id, "heartbeat", limit=1))
    assert recent[0].record_id == str(beats[2].record_id)
    place = recent[0].position
    assert ask(store, lambda r: r.last_of_kind("heartbeat")) == {sender.instrument_id: place}
    assert ask(store, lambda r: r.last_of_kind("qc_result")) == {}
    before = ask(store, lambda r: r.recent(sender.instrument_id, "heartbeat", before=place))
    assert [row.position for row in before] == [
        row.position for row in reversed(seen) if row.position < place
    ]


def test_agent_is_heard_with_every_batch_even_a_replay(store, sender, scope):
    beat = scope.heartbeat()
    append(store, batch_of(sender, [beat]))
    append(store, batch_of(sender, [beat], at=AT + timedelta(minutes=5)))

    assert ask(store, lambda r: r.agent(sender.agent_id)).heard_at == AT + timedelta(minutes=5)


# People and machines


def test_rows_come_back_as_they_were_put(store):
    code = JoinCode("hash", "Disk", "Basel", None, "ada", AT, AT + timedelta(days=1))
    user = User("ada", "admin", "scrypt$…", AT)
    grant = Grant("secret", "token", "robot", "viewer", AT, None)
    entry = AuditEntry(AT, "ada", "join-code new", "done", "for Disk", "10.0.0.1")
    do(store, lambda w: [w.add_join_code(code), w.put_user(user), w.add_grant(grant), w.add_audit(entry)])

    assert ask(store, lambda r: r.join_code("hash")) == code
    assert ask(store, lambda r: (r.user("ada"), r.users())) == (user, [user])
    assert ask(store, lambda r: r.grant("secret")) == grant
    assert ask(store, lambda r: r.audit()) == [entry]


def test_join_code_remembers_who_used_it(store):
    do(store, lambda w: w.add_join_code(JoinCode("hash", "Disk", "Basel", "id", "ada", AT, AT)))
    do(store, lambda w: w.use_join_code("hash", "agt-1", AT))

    assert ask(store, lambda r: r.join_codes()[0].used_by) == "agt-1"


def test_grant_is_gone_when_removed_and_when_expired(store):
    later = AT + timedelta(hours=1)
    do(store, lambda w: w.add_grant(Grant("old", "session", "ada", "viewer", AT, later)))
    do(
        store,
        lambda w: w.add_grant(Grant("new", "session", "ada", "viewer", later, later + timedelta(hours=1))),
    )
    assert ask(store, lambda r: r.grant("old")) is not None

    do(store, lambda w: w.add_grant(Grant("x", "token", "ada", "viewer", later + timedelta(seconds=1), None)))
    do(store, lambda w: w.remove_grant("new"))

    assert ask(store, lambda r: (r.grant("old"), r.grant("new"))) == (None, None)
    assert ask(store, lambda r: r.grant("x")) is not None


def test_revoking_twice_keeps_the_first_time(store, sender):
    do(store, lambda w: w.revoke_agent(sender.agent_id, AT))
    do(store, lambda w: w.revoke_agent(sender.agent_id, AT + timedelta(days=1)))

    assert ask(store, lambda r: r.agent(sender.agent_id)).revoked_at == AT


def test_putting_an_agent_again_keeps_its_enrolment_and_what_was_heard(store, sender, scope):
    append(store, batch_of(sender, [scope.heartbeat()]))
    do(store, lambda w: w.put_agent(agent_of(sender)))

    agent = ask(store, lambda r: r.agent(sender.agent_id))
    assert (agent.enrolled_at, agent.heard_at) == (AT, AT)


def test_removed_user_loses_every_session_and_link_but_no_token_of_that_name(store):
    do(store, lambda w: w.put_user(User("ada", "admin", None, AT)))
    for purpose in ("session", "link", "token"):
        grant = Grant(purpose, purpose, "ada", "admin", AT, AT + timedelta(days=1))
        do(store, lambda w, grant=grant: w.add_grant(grant))

    assert do(store, lambda w: w.remove_user("ada")) is True
    assert do(store, lambda w: w.remove_user("ada")) is False
    kept = [ask(store, lambda r, p=purpose: r.grant(p)) for purpose in ("session", "link", "token")]
    assert [grant and grant.purpose for grant in kept] == [None, None, "token"]

    assert do(store, lambda w: w.remove_tokens("ada")) == 1
    assert do(store, lambda w: w.remove_tokens("ada")) == 0


# What people and jobs put down


def test_document_counts_its_versions_and_refuses_who_did_not_see_the_last(store):
    first = do(store, lambda w: w.put_document("schedule", "nightly", '{"cron": "0 3 * * *"}', AT, "ada", 0))
    second = do(store, lambda w: w.put_document("schedule", "nightly", "{}", AT, "ben", first.version))

    assert (first.version, second.version) == (1, 2)
    with pytest.raises(RefusedError, match="it is 2 now, changed by ben"):
        do(store, lambda w: w.put_document("schedule", "nightly", "[]", AT, "ada", first.version))
    assert ask(store, lambda r: r.document("schedule", "nightly")) == second
    assert ask(store, lambda r: r.document("group", "nightly")) is None


def test_documents_of_a_kind_come_by_key_and_go_when_removed(store):
    for kind, key in [("group", "b"), ("group", "a"), ("schedule", "c")]:
        do(store, lambda w, kind=kind, key=key: w.put_document(kind, key, "{}", AT, "ada"))

    assert [found.key for found in ask(store, lambda r: r.documents("group"))] == ["a", "b"]
    assert do(store, lambda w: w.remove_document("group", "a")) is True
    assert do(store, lambda w: w.remove_document("group", "a")) is False
    assert [found.key for found in ask(store, lambda r: r.documents("group"))] == ["b"]


def test_entries_are_found_by_all_that_is_given_and_pages_miss_none(store):
    told = [("visit", "scope-1", None), ("sign_off", "scope-1", "run-1"), ("visit", "scope-2", None)] * 3
    for n, (kind, instrument_id, subject) in enumerate(told):
        entry = Entry(f"entry-{n}", kind, AT, "ada", '{"µ": 1}', instrument_id, subject)
        do(store, lambda w, entry=entry: w.add_entry(entry))

    def ids(**wanted):
        return [found.entry_id for found in ask(store, lambda r: r.entries(**wanted))]

    assert ids(kinds=["visit"], instrument_id="scope-1") == ["entry-6", "entry-3", "entry-0"]
    assert ids(kinds=["visit", "sign_off"], limit=3) == ["entry-8", "entry-7", "entry-6"]
    assert ids(kinds=["sign_off", "other"]) == ["entry-7", "entry-4", "entry-1"]
    assert ids(subject="run-1") == ["entry-7", "entry-4", "entry-1"]
    page = ask(store, lambda r: r.entries(limit=4))
    rest = ask(store, lambda r: r.entries(before=page[-1].position, limit=9))
    assert [found.entry_id for found in page + rest] == [f"entry-{n}" for n in reversed(range(9))]
    assert page[0].body == '{"µ": 1}' and page[0].at == AT


def test_entry_is_added_once_and_never_changed(store):
    positions = [
        do(store, lambda w, body=body: w.add_entry(Entry("one", "visit", AT, "ada", body)))
        for body in ('{"n": 1}', '{"n": 2}')
    ]

    assert positions[0] == positions[1]
    assert [found.body for found in ask(store, lambda r: r.entries(["visit"]))] == ['{"n": 1}']


def test_attachment_is_kept_once(store):
    picture = Attachment("ab" * 32, "image/png", b"\x89PNG\x00\xff")
    for _ in range(2):
        do(store, lambda w: w.add_attachment(picture))

    assert ask(store, lambda r: r.attachment(picture.sha256)) == picture
    assert ask(store, lambda r: r.attachment("cd" * 32)) is None


# Quality control and the fleet


def test_qc_series_stand_where_their_last_run_stands(store, sender, scope):
    runs = []
    for i, status in enumerate((QcStatus.PASS, QcStatus.PASS, QcStatus.FAIL)):
        runs.append(scope.qc(fwhm_um=0.2 + 0.1 * i, status=status))
        scope.later(3600)
    other = scope.qc(objective="Plan Fluor 10x")
    append(store, batch_of(sender, [runs[2], other, runs[0], runs[1]]))

    series = ask(store, lambda r: r.qc_series(sender.instrument_id))

    assert [(one.light_path["objective"], one.n_runs, one.status) for one in series] == [
        ("Plan Fluor 10x", 1, "pass"),
        ("Plan Apo 60x Oil", 3, "fail"),
    ]
    assert series[1].record_id == str(runs[2].record_id)
    points = ask(store, lambda r: r.qc_points(sender.instrument_id, series[1].series_key, "fwhm_x_um"))
    assert [(point.value, point.status, point.unit) for point in points] == [
        (run.metrics[0].measured.value, run.status.value, "um") for run in runs
    ]
    assert (points[0].expected, points[0].baseline, points[0].upper_limit) == (0.188, 0.224, 0.282)
    since = points[2].captured_at
    late = ask(store, lambda r: r.qc_points(sender.instrument_id, series[1].series_key, since=since))
    assert [(point.metric, point.value) for point in late] == [
        ("fwhm_x_um", points[2].value),
        ("fwhm_z_um", None),
    ]
    for n, wanted in ((1, points[2:]), (2, points[1:]), (3, points), (300, points)):
        last = ask(
            store,
            lambda r, n=n: r.qc_points(sender.instrument_id, series[1].series_key, "fwhm_x_um", newest=n),
        )
        assert last == wanted


def declare_invalid(store, instrument_id, run):
    note = Entry(
        f"note on {run.record_id}", "invalidation", AT, "ada", "{}", instrument_id, str(run.record_id)
    )
    do(store, lambda w: (w.add_entry(note), w.judge_anew(instrument_id, str(run.record_id))))


def test_qc_series_stand_where_their_last_valid_run_stands(store, sender, scope):
    runs = []
    for status in (QcStatus.PASS, QcStatus.WARN, QcStatus.FAIL):
        runs.append(scope.qc(status=status))
        scope.later(3600)
    append(store, batch_of(sender, runs))

    def standing():
        (series,) = ask(store, lambda r: r.qc_series(sender.instrument_id))
        (mark,) = [
            m for m in ask(store, lambda r: r.fleet_marks()) if m.instrument_id == sender.instrument_id
        ]
        assert QC_RANKS[mark.qc_rank] == series.status
        return series.record_id, series.status

    declare_invalid(store, sender.instrument_id, runs[1])
    assert standing() == (str(runs[2].record_id), "fail")
    declare_invalid(store, sender.instrument_id, runs[2])
    assert standing() == (str(runs[0].record_id), "pass")
    declare_invalid(store, sender.instrument_id, runs[0])
    assert standing()[1] == "unknown"
    again = scope.qc(status=QcStatus.WARN)
    append(store, batch_of(sender, [again], spool_id="again"))
    assert standing() == (str(again.record_id), "warn")


def test_qc_runs_are_found_by_series_run_and_acquisition(store, sender, scope):
    measured = list(scope.acquisition())
    runs = [scope.qc(), scope.qc(acquisition_id=measured[0].acquisition_id)]
    for _ in range(3):
        scope.later(60)
        runs.append(scope.qc())
    append(store, batch_of(sender, [*measured, *runs]))

    pages, before = [], None
    while page := ask(store, lambda r, b=before: r.qc_runs(sender.instrument_id, before=b, limit=2)):
        pages += [row.record_id for row in page]
        before = Place(page[-1].captured_at, page[-1].position)
    assert pages == [str(run.record_id) for run in reversed(runs)]
    assert ask(store, lambda r: r.qc_run(str(runs[3].run_id))).record_id == str(runs[3].record_id)
    on = ask(store, lambda r: r.qc_runs_on(str(measured[0].acquisition_id)))
    assert [row.record_id for row in on] == [str(runs[1].record_id)]


def test_fleet_is_seen_at_a_glance(store, tools, sender, scope):
    do(store, lambda w: w.put_instrument(Instrument("silent", "A silent one", "Basel", AT)))
    first, last = list(scope.acquisition()), list(scope.acquisition())
    beat = scope.heartbeat()
    append(store, batch_of(sender, [*last, *first, beat]))

    silent, ours = ask(store, lambda r: r.fleet())

    assert (silent.instrument.instrument_id, silent.heard_at, silent.heartbeat, silent.last_acquisition) == (
        "silent",
        None,
        None,
        None,
    )
    assert (ours.heard_at, ours.heartbeat.record_id) == (AT, str(beat.record_id))
    assert ours.last_acquisition == ask(store, lambda r: r.acquisitions(sender.instrument_id, limit=1))[0]
    assert ours.last_acquisition.acquisition_id == str(last[0].acquisition_id)


def test_batch_that_cannot_be_stored_harms_no_neighbour(store, sender, scope):
    """Batches that wait together are appended together; one no engine takes is refused alone."""
    good = [batch_of(sender, [scope.heartbeat()], spool_id=name) for name in ("a", "b")]
    poison = batch_of(sender, [scope.heartbeat()], spool_id="poison")
    line = poison.lines[0]
    unstorable = structs.replace(line, filed=structs.replace(line.filed, schema_version=object()))
    broken = replace(poison, lines=(unstorable,))

    outcomes = store.write([good[0], broken, good[1]])

    assert [isinstance(outcome, Done) for outcome in outcomes] == [True, False, True]
    assert len(ask(store, lambda r: r.records())) == 2
    assert ask(store, lambda r: r.spool(sender.agent_id, "poison")) is None


def test_batches_of_one_spool_that_wait_together_follow_each_other(store, tools, sender, scope):
    beats = [scope.heartbeat() for _ in range(9)]
    at = tools.chain_over
    batches = [
        batch_of(sender, beats[:3]),
        batch_of(sender, beats[:3]),
        batch_of(sender, beats[6:], 7, at(beats[:6])),
        batch_of(sender, beats[2:6], 3, at(beats[:2])),
        batch_of(sender, beats[6:], 7, at(beats[:6])),
    ]

    outcomes = store.write(batches)

    assert [o.value.n_added if isinstance(o, Done) else o.error.refusal.error for o in outcomes] == [
        3,
        0,
        "gap",
        3,
        3,
    ]
    assert [row.record_id for row in ask(store, lambda r: r.records())] == [
        str(beat.record_id) for beat in beats
    ]


def test_last_position_is_where_a_tail_of_the_new_begins(store, sender, scope):
    assert ask(store, lambda reads: reads.last_position()) == 0
    append(store, batch_of(sender, [scope.heartbeat(), scope.heartbeat()]))
    last = ask(store, lambda reads: reads.last_position())
    assert ask(store, lambda reads: reads.records(after=last)) == []
    assert len(ask(store, lambda reads: reads.records(after=last - 1))) == 1
