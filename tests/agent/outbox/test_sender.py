from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.clock import Clock
from agent.errors import CollectorAwayError, CollectorError, CollectorRefusedError, SettingsError, SpoolError
from agent.outbox import Identity, Lane, Outbox, Retention, Sender
from agent.outbox import sender as sender_module
from agent.outbox.folders import all_spools
from agent.records import encode


def numbers(collector: Any) -> list[int]:
    return sorted(record["details"]["n"] for record in collector.records() if record["kind"] == "agent_event")


def test_everything_put_arrives_in_the_bytes_in_which_it_was_recorded(outbox, sender, collector, make):
    events = [make.event(n) for n in range(1200)]
    outbox.put(*events)
    report = sender.drain_once()
    mark = collector.spools[outbox.spool_ids()[Lane.EVENTS]]
    assert [mark.records[seq] for seq in range(1, 1201)] == [encode(event) for event in events]
    assert (report.n_sent, report.n_waiting) == (1200, 0)


def test_a_batch_holds_at_most_500_records(outbox, sender, collector, make):
    outbox.put(*[make.event(n) for n in range(1200)])
    sender.drain_once()
    assert [count for _, _, count in collector.order] == [500, 500, 200]


def test_a_second_pass_sends_only_what_is_new(outbox, sender, collector, make):
    outbox.put(make.event(1))
    sender.drain_once()
    outbox.put(make.event(2))
    assert sender.drain_once().n_sent == 1
    assert numbers(collector) == [1, 2]


def test_critical_records_go_first(outbox, sender, collector, make):
    outbox.put(make.heartbeat(), make.event(), make.snapshot(), make.critical())
    sender.drain_once()
    ids = outbox.spool_ids()
    assert [spool_id for spool_id, _, _ in collector.order] == [ids[lane] for lane in Lane]


def test_a_critical_record_does_not_wait_for_a_long_backlog(outbox, collector, make, sender_to, reference):
    outbox.put(*[make.snapshot() for _ in range(6000)])

    def late(_: Any) -> bool:
        outbox.put(make.critical())
        return False

    collector.misdeeds.append(late)
    sender_to(collector.url).drain_once()
    critical = outbox.spool_ids()[Lane.CRITICAL]
    assert [spool_id for spool_id, _, _ in collector.order].index(critical) <= 9


@pytest.mark.parametrize("misdeed", ["lose_reply", "break_off", "hang_up"])
def test_a_lost_answer_neither_loses_nor_doubles(misdeed, reference, outbox, sender, collector, make):
    outbox.put(*[make.event(n) for n in range(700)])
    collector.misdeeds += [reference.well, getattr(reference, misdeed)]
    with pytest.raises(CollectorAwayError):
        sender.drain_once()
    sender.drain_once()
    assert numbers(collector) == list(range(700))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"oops"),
        (502, b"<html>bad gateway</html>"),
        (200, b"<html>please log in</html>"),
        (200, b'{"acked": "all"}'),
        (200, b"\xff\xfe"),
        (302, b""),
        (404, b"<html>not found</html>"),
        (403, b"<html>blocked by policy</html>"),
        (407, b"proxy"),
    ],
)
def test_an_answer_that_is_no_collectors_means_away(status, body, reference, outbox, sender, collector, make):
    outbox.put(make.event(1))
    collector.misdeeds.append(reference.say(status, body))
    with pytest.raises(CollectorAwayError):
        sender.drain_once()
    assert sender.status().n_waiting == 1
    sender.drain_once()
    assert numbers(collector) == [1]


def test_a_collector_that_is_not_there_is_away(outbox, sender_to, make):
    outbox.put(make.event())
    with pytest.raises(CollectorAwayError, match="cannot be reached"):
        sender_to("http://127.0.0.1:9").drain_once()


def test_an_answer_without_end_is_cut_off(outbox, sender_to, make):
    class Endless(httpx.SyncByteStream):
        def __iter__(self):
            while True:
                yield b"x" * 65536

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    outbox.put(make.event())
    with pytest.raises(CollectorAwayError, match="without end"):
        sender_to("http://collector.test", transport=transport).drain_once()


@pytest.mark.parametrize(
    ("said", "expected_s"),
    [("7", 7.0), ("99999999", 3600.0), ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0), ("soon", None)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_understood(status, said, expected_s, reference, outbox, sender, collector, make):
    outbox.put(make.event())
    refusal = {"error": "busy", "message": "later"}
    collector.misdeeds.append(reference.say(status, refusal, {"Retry-After": said}))
    with pytest.raises(CollectorAwayError) as caught:
        sender.drain_once()
    assert caught.value.retry_after_s == expected_s


def test_an_unknown_agent_is_refused_until_it_is_enrolled(outbox, sender, collector, make, identity):
    collector.keys.clear()
    outbox.put(make.event(3))
    with pytest.raises(CollectorRefusedError) as caught:
        sender.drain_once()
    assert caught.value.status == 401
    collector.enrol(identity.public_key)
    sender.drain_once()
    assert numbers(collector) == [3]


def test_too_large_batches_are_halved(outbox, sender, collector, make):
    collector.max_body_bytes = 4000
    outbox.put(*[make.event(n) for n in range(400)])
    sender.drain_once()
    assert numbers(collector) == list(range(400))
    assert not sender.status().n_poisoned


def test_a_single_record_that_is_refused_is_kept_and_reported(outbox, sender, collector, make, data_dir):
    collector.max_body_bytes = 2000
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(4000))
    outbox.put(make.event(1), make.event(2, noise), make.event(3))
    sender.drain_once()
    assert numbers(collector) == [1, 3]
    spool_id = outbox.spool_ids()[Lane.EVENTS]
    assert json.loads((data_dir / "poison" / f"{spool_id}-2.json").read_bytes())["message"] == noise
    assert collector.spools[spool_id].skipped == [(2, 2)]
    (gap,) = [record for record in collector.records() if record["kind"] == "gap"]
    assert (gap["cause"], gap["spool_id"], gap["first_seq"], gap["last_seq"]) == (
        "record_too_large",
        spool_id,
        2,
        2,
    )
    assert sender.status().n_poisoned == 1


def test_a_proxy_that_refuses_small_records_poisons_none(reference, outbox, sender, collector, make):
    outbox.put(make.event(1))
    collector.misdeeds.append(reference.say(413, b"<html>413</html>"))
    report = sender.drain_once()
    assert report.refused and report.n_waiting == 1
    sender.drain_once()
    assert numbers(collector) == [1] and not sender.status().n_poisoned


@pytest.mark.parametrize("acked", [0, 10**15])
def test_an_absurd_acknowledgement_is_not_believed(acked, reference, outbox, sender, collector, make):
    outbox.put(make.event(1), make.event(2))
    collector.misdeeds.append(reference.change(acked=acked))
    with pytest.raises(CollectorAwayError, match="cannot be"):
        sender.drain_once()
    assert sender.status().n_waiting == 2
    sender.drain_once()
    assert numbers(collector) == [1, 2]


def test_a_partial_acknowledgement_counts_as_far_as_it_goes(reference, outbox, sender, collector, make):
    outbox.put(*[make.event(n) for n in range(10)])
    collector.misdeeds.append(reference.change(acked=4))
    assert sender.drain_once().n_sent == 10
    assert [(first, count) for _, first, count in collector.order] == [(1, 10), (5, 6)]


def test_a_collector_restored_from_a_backup_gets_what_is_still_here(outbox, sender, collector, make):
    outbox.put(*[make.event(n) for n in range(20)])
    sender.drain_once()
    spool_id = outbox.spool_ids()[Lane.EVENTS]
    collector.forget_after(spool_id, 5)
    outbox.put(make.event(20))
    sender.drain_once()
    assert sorted(collector.spools[spool_id].records)[:21] == list(range(1, 22))
    assert any(record.get("event") == "collector_lost_records" for record in collector.records())


def test_a_collector_restored_too_far_back_is_told_what_is_gone(
    outbox, sender_to, collector, make, monkeypatch
):
    monkeypatch.setattr("agent.outbox.spool.SEGMENT_BYTES", 2000)
    sender = sender_to(collector.url, retention=Retention(days=0))
    for n in range(30):
        outbox.put(make.event(n))
    sender.drain_once()
    spool_id = outbox.spool_ids()[Lane.EVENTS]
    collector.forget_after(spool_id, 5)
    outbox.put(make.event(30))
    sender.drain_once()
    mark = collector.spools[spool_id]
    (skipped,) = mark.skipped
    assert skipped[0] == 6 and sorted(mark.records)[:6] == [1, 2, 3, 4, 5, skipped[1] + 1]
    assert max(mark.records) >= 31


def test_a_restored_collector_gets_again_what_was_sent_and_is_kept(
    outbox, sender, collector, make, monkeypatch
):
    """Of a spool in use, of one that has nothing new to say, and of one whose writer is long gone."""
    monkeypatch.setattr("agent.outbox.spool.SEGMENT_BYTES", 2000)
    outbox.put(make.critical(100))
    with Outbox.open(outbox._data_dir, clock=make._clock) as other:
        other.put(*[make.event(n) for n in range(200, 220)])
        gone = other.spool_ids()[Lane.EVENTS]
    for n in range(30):
        outbox.put(make.event(n))
    sender.drain_once()
    before = {spool_id: dict(mark.records) for spool_id, mark in collector.spools.items()}
    assert [spool.spool_id for spool in all_spools(outbox._data_dir)].count(gone) == 0
    for spool_id, seq in zip(before, (0, 0, 5), strict=True):
        collector.forget_after(spool_id, seq)
    outbox.put(make.event(30))
    sender.drain_once()
    for spool_id, records in before.items():
        assert records.items() <= collector.spools[spool_id].records.items()
        assert collector.spools[spool_id].skipped == []
    assert sender.status().n_waiting == 0


def test_a_collector_restored_while_the_agent_was_off_gets_it_at_the_next_start(
    outbox, sender_to, collector, make
):
    with Outbox.open(outbox._data_dir, clock=make._clock) as other:
        other.put(*[make.event(n) for n in range(20)])
        spool_id = other.spool_ids()[Lane.EVENTS]
    sender_to(collector.url).drain_once()
    collector.forget_after(spool_id, 7)
    sender_to(collector.url).drain_once()
    assert sorted(collector.spools[spool_id].records) == list(range(1, 21))


@pytest.mark.parametrize(
    "retention",
    [Retention(days=0), Retention(max_bytes=0), Retention(min_free_bytes=1 << 62)],
    ids=["days", "size", "free space"],
)
def test_what_was_sent_is_kept_within_its_limits(retention, outbox, sender_to, collector, make, data_dir):
    with Outbox.open(outbox._data_dir, clock=make._clock) as other:
        other.put(make.event(1))
    sender_to(collector.url, retention=retention).drain_once()
    assert list(data_dir.glob("sent/**/*.seg")) == []


def test_what_was_sent_long_ago_is_deleted(outbox, sender, collector, make, data_dir):
    with Outbox.open(outbox._data_dir, clock=make._clock) as other:
        other.put(make.event(1))
    sender.drain_once()
    (segment,) = data_dir.glob("sent/**/*.seg")
    os.utime(segment, (0, 0))
    make._clock.move(2 * 3600)
    sender.drain_once()
    assert not list(data_dir.glob("sent/*"))


def test_a_lost_cursor_is_asked_back_from_the_collector(outbox, sender, collector, make, data_dir):
    outbox.put(*[make.event(n) for n in range(5)])
    sender.drain_once()
    (spool,) = all_spools(data_dir)
    (spool.path / "cursor").unlink()
    outbox.put(make.event(5))
    assert sender.drain_once().n_sent == 1
    assert numbers(collector) == [0, 1, 2, 3, 4, 5]


def test_a_lost_cursor_and_deleted_segments_are_no_gap(
    outbox, sender, collector, make, data_dir, monkeypatch
):
    monkeypatch.setattr("agent.outbox.spool.SEGMENT_BYTES", 1000)
    for n in range(20):
        outbox.put(make.event(n))
    sender.drain_once()
    (spool,) = all_spools(data_dir)
    assert spool.segments()[0][0] > 1
    (spool.path / "cursor").write_bytes(b"\0" * 256)
    outbox.put(make.event(20))
    sender.drain_once()
    assert numbers(collector) == list(range(21))
    assert collector.spools[spool.spool_id].skipped == []


def test_a_forked_spool_is_kept_and_the_others_go_on(reference, outbox, sender, collector, make, data_dir):
    outbox.put(make.event(1), make.heartbeat())
    fork = {"error": "fork", "message": "another history"}
    collector.misdeeds.append(reference.say(409, fork))
    spool_id = outbox.spool_ids()[Lane.EVENTS]
    sender.drain_once()
    outbox.put(make.event(2))
    assert outbox.spool_ids()[Lane.EVENTS] != spool_id
    sender.drain_once()
    assert any(spool.spool_id == spool_id for spool in all_spools(data_dir))
    kinds = [(record["kind"], record.get("event")) for record in collector.records()]
    assert ("heartbeat", None) in kinds and ("agent_event", "spool_forked") in kinds
    assert sender.status().n_aside == 1


def test_a_refusal_of_one_spool_does_not_stop_the_others(reference, outbox, sender, collector, make):
    outbox.put(make.event(1), make.heartbeat())
    refusal = {"error": "malformed_batch", "message": "no"}
    collector.misdeeds.append(reference.say(400, refusal))
    report = sender.drain_once()
    assert [record["kind"] for record in collector.records()] == ["heartbeat"]
    assert report.refused == ("no",) and report.n_waiting == 1
    assert sender.drain_once().n_waiting == 0


def test_flagged_records_are_reported(outbox, sender, collector, make):
    collector.flag_all = True
    outbox.put(make.event(1))
    (flagged,) = sender.drain_once().flagged
    assert flagged.reason == "unknown_kind"


def test_the_session_of_a_closed_outbox_is_drained_and_deleted(
    data_dir, sender, collector, make, clock, outbox
):
    with Outbox.open(data_dir, clock=clock, free_space=lambda: 100 << 30) as other:
        other.put(make.event(1), make.snapshot())
    assert sender.drain_once().n_sent == 2
    assert all_spools(data_dir) == []
    sessions = [path for path in (data_dir / "spool").iterdir() if path.is_dir()]
    assert len(sessions) == 1  # the sender's own outbox


def test_status_tells_what_a_heartbeat_needs(outbox, sender, collector, make, clock):
    collector.ahead = clock.at - datetime.now(UTC)
    first = make.event(1)
    outbox.put(first)
    clock.move(60)
    outbox.put(make.event(2))
    before = sender.status()
    assert (before.n_waiting, before.oldest_waiting_at) == (2, first.captured.wall_at)
    assert before.bytes_on_disk > 500 and before.clock_offset_s is None and before.last_success_at is None
    sender.drain_once()
    after = sender.status()
    assert (after.n_waiting, after.oldest_waiting_at, after.last_error) == (0, None, None)
    assert after.last_success_at == clock.at
    assert after.clock_offset_s == pytest.approx(-60, abs=30)


def test_an_error_shows_in_the_status_and_goes_again(reference, outbox, sender, collector, make):
    outbox.put(make.event())
    collector.misdeeds.append(reference.say(500))
    with pytest.raises(CollectorAwayError):
        sender.drain_once()
    assert "500" in sender.status().last_error
    sender.drain_once()
    assert sender.status().last_error is None


def test_two_senders_do_not_work_on_one_folder(reference, outbox, sender, sender_to, collector, make):
    outbox.put(make.event(1))
    errors = []

    def meanwhile(_: Any) -> bool:
        try:
            sender_to(collector.url).drain_once()
        except SpoolError as error:
            errors.append(str(error))
        return False

    collector.misdeeds.append(meanwhile)
    sender.drain_once()
    assert errors and "only one can" in errors[0]


def test_back_off_grows_with_full_jitter_and_ends_with_success(reference, outbox, sender_to, collector, make):
    stop = threading.Event()
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 13:
            stop.set()

    collector.misdeeds += [reference.say(500)] * 11
    outbox.put(make.event(1))
    sender_to(collector.url, wait=wait, chance=lambda: 0.5).run(stop)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 150, 150, sender_module.IDLE_S, sender_module.IDLE_S]
    assert numbers(collector) == [1]


def test_retry_after_and_refusal_set_the_pace(reference, outbox, sender_to, collector, make):
    stop = threading.Event()
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            stop.set()

    busy = {"error": "busy", "message": "later"}
    unknown = {"error": "unknown_agent", "message": "who?"}
    collector.misdeeds += [reference.say(503, busy, {"Retry-After": "40"}), reference.say(401, unknown)]
    outbox.put(make.event(1))
    sender_to(collector.url, wait=wait, chance=lambda: 0.0).run(stop)
    assert pauses == [40, sender_module.REFUSED_S]


def test_run_sends_when_woken_and_ends_when_stopped(data_dir, identity, reference, collector, make):
    clock = Clock()
    stop = threading.Event()
    with Outbox.open(data_dir, clock=clock) as outbox:
        sender = Sender(data_dir, identity, collector.url, outbox=outbox, clock=clock)
        thread = threading.Thread(target=sender.run, args=(stop,))
        thread.start()
        outbox.put(make.event(7))
        sender.wake()
        with collector.has_added:
            assert collector.has_added.wait_for(lambda: numbers(collector) == [7], timeout=30)
        stop.set()
        sender.wake()
        thread.join(30)
        assert not thread.is_alive()
        sender.close()


@pytest.mark.parametrize("url", ["collector.example.org", "ftp://x", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(url, sender_to):
    with pytest.raises(SettingsError):
        sender_to(url)


def test_a_ca_file_that_is_not_there_is_refused_at_once(sender_to, tmp_path):
    with pytest.raises(SettingsError, match="CA file"):
        sender_to("https://collector.test", verify=tmp_path / "none.pem")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_loopback_never_goes_through_a_proxy(url, sender_to, outbox, make, monkeypatch, collector):
    monkeypatch.setenv("HTTP_PROXY", collector.url)
    monkeypatch.setenv("ALL_PROXY", collector.url)
    outbox.put(make.event())
    with pytest.raises(CollectorAwayError):
        sender_to(url).drain_once()
    assert collector.requests == []


def test_a_proxy_of_the_environment_is_used(sender_to, outbox, make, monkeypatch, collector):
    monkeypatch.setenv("HTTP_PROXY", collector.url)
    outbox.put(make.event())
    with pytest.raises(CollectorError):
        sender_to("http://collector.invalid").drain_once()
    assert collector.requests[0][1].startswith("http://collector.invalid/v1/")


def test_a_stolen_identity_cannot_sign_for_another(tmp_path, outbox, collector, make, data_dir, clock):
    stranger = Identity.load_or_create(tmp_path / "stranger", "ins-test")
    outbox.put(make.event())
    sender = Sender(data_dir, stranger, collector.url, outbox=outbox, clock=clock)
    with pytest.raises(CollectorRefusedError):
        sender.drain_once()
    sender.close()


def test_a_spool_that_was_ended_is_deleted_while_its_process_lives(outbox, sender, collector, make, data_dir):
    outbox.put(make.event(1))
    (spool,) = all_spools(data_dir)
    spool.open_mark.unlink()  # as the writer does after an append that failed
    sender.drain_once()
    assert not spool.path.exists() and numbers(collector) == [1]


def test_new_folders_are_never_taken_for_old_ones(data_dir, outbox, sender, collector, make, monkeypatch):
    """A drainer comes by in the first instant of every new folder."""
    make_folder = Path.mkdir
    visited = []

    def mkdir(path: Path, *arguments: object, **options: object) -> None:
        is_new = not path.exists()
        make_folder(path, *arguments, **options)
        if is_new and path.is_relative_to(data_dir / "spool"):
            visited.append(path)
            sender.drain_once()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with Outbox.open(data_dir, clock=Clock(), free_space=lambda: 100 << 30) as other:
        other.put(make.event(1), make.heartbeat())
    sender.drain_once()
    assert len(visited) >= 3
    assert numbers(collector) == [1] and all_spools(data_dir) == []
