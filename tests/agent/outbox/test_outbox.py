from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.errors import SpoolError, SpoolFullError
from agent.outbox import DiskBudget, Lane, Outbox, lane_of
from agent.outbox import spool as spool_module
from agent.outbox.cursor import Position
from agent.outbox.disk import BALLAST_BYTES
from agent.outbox.folders import all_spools, has_writer, sessions
from agent.outbox.reader import SpoolReader
from agent.records import KINDS, SnapshotReason, encode

LOW, FLOOR = 1000, 100
BUDGET = DiskBudget(max_bytes=10**9, min_free_bytes=LOW, floor_bytes=FLOOR)


class Space:
    """Free space, set by hand."""

    def __init__(self) -> None:
        self.free = 10 * LOW

    def __call__(self) -> int:
        return self.free


@pytest.fixture
def space() -> Space:
    return Space()


@pytest.fixture
def thrifty(data_dir, identity, clock, space):
    with Outbox.open(data_dir, budget=BUDGET, clock=clock, free_space=space) as opened:
        yield opened


def stored(data_dir: Path, lane: Lane | None = None) -> list[bytes]:
    return [
        item.record
        for spool in all_spools(data_dir)
        if lane in (None, spool.lane)
        for item in SpoolReader(spool, Position(), is_live=True)
    ]


def gaps(data_dir: Path) -> list[dict[str, Any]]:
    records = [json.loads(raw) for raw in stored(data_dir, Lane.CRITICAL)]
    return [record for record in records if record["kind"] == "gap"]


def test_every_kind_has_a_lane(make):
    assert {kind: str(lane_of(model.model_construct(kind=kind))) for kind, model in KINDS.items()} == {
        "acquisition_started": "critical",
        "acquisition_finished": "critical",
        "frame_ledger": "critical",
        "dataset_stamp": "critical",
        "dataset_found": "critical",
        "usage_session": "events",
        "qc_result": "critical",
        "schedule_run": "critical",
        "gap": "critical",
        "instrument": "events",
        "instrument_profile": "events",
        "state_change": "events",
        "agent_event": "events",
        "schedule_plan": "events",
        "state_snapshot": "snapshots",
        "heartbeat": "heartbeats",
    }


def test_what_is_put_can_be_read_at_once(outbox, make, data_dir):
    records = [make.event(1), make.critical(2), make.event(3)]
    outbox.put(*records)
    assert sorted(stored(data_dir)) == sorted(encode(record) for record in records)
    assert outbox.last_seq() == {Lane.CRITICAL: 1, Lane.EVENTS: 2}


def test_several_records_of_a_lane_are_one_sync(outbox, make, monkeypatch):
    outbox.put(make.event())
    syncs = []
    monkeypatch.setattr(spool_module, "sync_file", syncs.append)
    outbox.put(*[make.event(n) for n in range(50)])
    assert len(syncs) == 1


def test_put_syncs_before_it_returns(outbox, make, data_dir, monkeypatch):
    outbox.put(make.event(0))
    sizes = []
    monkeypatch.setattr(spool_module, "sync_file", lambda fd: sizes.append(os.fstat(fd).st_size))
    outbox.put(make.event(1))
    (spool,) = all_spools(data_dir)
    assert sizes == [spool.segments()[0][1].stat().st_size]


def test_an_outbox_writes_a_new_session_and_new_spools(data_dir, outbox, make, clock):
    outbox.put(make.event())
    with Outbox.open(data_dir, clock=clock) as other:
        other.put(make.event())
        assert other.spool_ids() != outbox.spool_ids() and other.last_seq() == {Lane.EVENTS: 1}
        assert len(sessions(data_dir)) == 2


def test_a_session_shows_whether_its_writer_lives(data_dir, identity, make, clock):
    with Outbox.open(data_dir, clock=clock) as outbox:
        outbox.put(make.event())
        (session,) = sessions(data_dir)
        assert has_writer(session)
    assert not has_writer(session)


def test_an_outbox_that_took_nothing_leaves_nothing(data_dir, identity, clock):
    Outbox.open(data_dir, clock=clock).close()
    assert list((data_dir / "spool").iterdir()) == []


def test_segments_are_rolled(outbox, make, data_dir, monkeypatch):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 3000)
    for n in range(30):
        outbox.put(make.event(n))
    (spool,) = all_spools(data_dir)
    assert len(spool.segments()) > 2
    assert [json.loads(raw)["details"]["n"] for raw in stored(data_dir)] == list(range(30))


def test_a_closed_outbox_says_so(data_dir, identity, clock, make):
    outbox = Outbox.open(data_dir, clock=clock)
    outbox.close()
    outbox.close()
    with pytest.raises(SpoolError, match="closed"):
        outbox.put(make.event())


def test_many_threads_put_without_loss_and_without_gaps(outbox, make, data_dir):
    threads = [
        threading.Thread(target=lambda: [outbox.put(make.event(n)) for n in range(40)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (spool,) = all_spools(data_dir)
    assert [item.seq for item in SpoolReader(spool, Position(), is_live=True)] == list(range(1, 161))


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(data_dir, identity, clock):
    (data_dir / "spool").write_text("in the way")
    with pytest.raises(SpoolError, match="Nothing can be recorded in"):
        Outbox.open(data_dir, clock=clock)


def test_a_record_too_large_is_kept_and_reported(outbox, make, data_dir):
    huge = make.event(5, "x" * (1 << 20))
    outbox.put(make.event(1), huge)
    assert (data_dir / "poison" / f"{huge.record_id.hex}.json").read_bytes() == encode(huge)
    assert "1048576 bytes" in (data_dir / "poison" / f"{huge.record_id.hex}.txt").read_text()
    assert [gap["cause"] for gap in gaps(data_dir)] == ["record_too_large"]
    assert len(stored(data_dir, Lane.EVENTS)) == 1


class FailingDisk:
    """Lets `os.write` fail, or take only a part, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self.code = errno.ENOSPC
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room is None:
            return self._write(descriptor, data)
        if self.room == 0:
            raise OSError(self.code, os.strerror(self.code))
        n = self._write(descriptor, bytes(data)[: self.room])
        self.room -= n
        return n


@pytest.fixture
def disk(monkeypatch) -> FailingDisk:
    return FailingDisk(monkeypatch)


@pytest.mark.parametrize("room", [0, 1, 30, 500, 900])
def test_a_full_disk_leaves_nothing_half_written_and_numbers_are_not_used_again(
    room, outbox, make, data_dir, disk
):
    outbox.put(make.event(1))
    old = outbox.spool_ids()[Lane.EVENTS]
    disk.room = room
    with pytest.raises(SpoolFullError, match="full"):
        outbox.put(*[make.event(100 + n) for n in range(5)])
    disk.room = None
    outbox.put(make.event(2))
    assert outbox.spool_ids()[Lane.EVENTS] != old
    assert sorted(json.loads(raw)["details"]["n"] for raw in stored(data_dir)) == [1, 2]


def test_the_ballast_is_given_up_for_the_last_words(outbox, make, data_dir, disk, monkeypatch):
    outbox.put(make.event(1))
    ballast = data_dir / "ballast"
    assert ballast.stat().st_size == BALLAST_BYTES
    disk.room = 0
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == ballast:
            disk.room = None
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    outbox.put(make.event(2))
    assert not ballast.exists()
    assert len(stored(data_dir)) == 2


def test_when_even_cutting_back_fails_whole_records_stay_whole(outbox, make, data_dir, disk, monkeypatch):
    outbox.put(make.event(1))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "ftruncate", fail)
    disk.room = 400
    with pytest.raises(SpoolFullError):
        outbox.put(make.event(2), make.event(3))
    disk.room = None
    outbox.put(make.event(4))
    numbers = sorted(json.loads(raw)["details"]["n"] for raw in stored(data_dir))
    assert set(numbers) >= {1, 4} and len(outbox.last_seq()) == 1


def test_a_disk_that_fails_otherwise_is_told(outbox, make, disk):
    disk.room, disk.code = 0, errno.EIO
    with pytest.raises(SpoolError, match="Input/output error") as caught:
        outbox.put(make.event())
    assert not isinstance(caught.value, SpoolFullError)
    disk.room = None
    outbox.put(make.event())


def test_with_room_everything_is_taken(thrifty, make, data_dir):
    thrifty.put(make.snapshot(), make.heartbeat(), make.heartbeat())
    assert len(stored(data_dir)) == 3 and thrifty.n_thinned == 0


def test_below_low_water_snapshots_are_thinned_to_key_frames(thrifty, make, data_dir, space):
    space.free = LOW - 1
    thrifty.put(*[make.snapshot(reason) for reason in SnapshotReason])
    reasons = [json.loads(raw)["reason"] for raw in stored(data_dir, Lane.SNAPSHOTS)]
    assert reasons == ["startup", "key_frame", "configuration_loaded"]
    assert thrifty.n_thinned == 1


def test_below_low_water_heartbeats_come_hourly(thrifty, make, data_dir, space, clock):
    space.free = LOW - 1
    for _ in range(125):
        thrifty.put(make.heartbeat())
        clock.move(60)
    assert len(stored(data_dir, Lane.HEARTBEATS)) == 3


def test_below_the_floor_only_critical_records_and_events_are_taken(thrifty, make, data_dir, space):
    space.free = FLOOR - 1
    thrifty.put(make.snapshot(SnapshotReason.STARTUP), make.heartbeat(), make.event(), make.critical())
    assert len(stored(data_dir, Lane.EVENTS)) == 1
    assert len(stored(data_dir, Lane.CRITICAL)) == 1 + 2
    assert not stored(data_dir, Lane.SNAPSHOTS) + stored(data_dir, Lane.HEARTBEATS)


def test_thinning_is_reported_when_it_begins_and_with_totals_when_it_ends(
    thrifty, make, data_dir, space, clock
):
    space.free = LOW - 1
    began = clock.now()
    for _ in range(3):
        thrifty.put(make.snapshot())
        clock.move(10)
    space.free = 10 * LOW
    thrifty.put(make.event())
    found = gaps(data_dir)
    assert [(gap["cause"], gap["lane"], gap["n_records"]) for gap in found] == [
        ("disk_pressure", "snapshots", 1),
        ("disk_pressure", "snapshots", 3),
    ]
    assert {gap["since"]["monotonic_ns"] for gap in found} == {began.monotonic_ns}


def test_totals_are_reported_at_the_latest_on_closing(data_dir, identity, make, clock, space):
    with Outbox.open(data_dir, budget=BUDGET, clock=clock, free_space=space) as outbox:
        space.free = 0
        outbox.put(make.snapshot(), make.snapshot())
    assert [gap["n_records"] for gap in gaps(data_dir)] == [2, 2]


def test_a_file_more_or_less_does_not_flip_the_policy(thrifty, make, data_dir, space):
    space.free = LOW - 1
    thrifty.put(make.snapshot())
    for free in (LOW, LOW - 1, LOW + 1, LOW - 1):
        space.free = free
        thrifty.put(make.snapshot())
    assert len(gaps(data_dir)) == 1


def test_the_ballast_comes_back_with_room(thrifty, make, data_dir, space):
    (data_dir / "ballast").unlink()
    space.free = LOW - 1
    thrifty.put(make.event())
    assert not (data_dir / "ballast").exists()
    space.free = 10 * LOW
    thrifty.put(make.event())
    assert (data_dir / "ballast").stat().st_size == BALLAST_BYTES


def test_over_the_byte_budget_the_oldest_snapshots_go_and_never_what_matters(
    data_dir, identity, make, clock, monkeypatch
):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr("agent.outbox.outbox._CHECK_BYTES", 1)
    budget = DiskBudget(max_bytes=20_000)
    with Outbox.open(data_dir, budget=budget, clock=clock, free_space=lambda: 100 << 30) as outbox:
        for n in range(60):
            outbox.put(make.critical(n), make.event(n), make.snapshot())
        spool_id = outbox.spool_ids()[Lane.SNAPSHOTS]
        budget_gaps = [gap for gap in gaps(data_dir) if gap["cause"] == "budget"]
        n_left = len(stored(data_dir, Lane.SNAPSHOTS))
        assert {gap["spool_id"] for gap in budget_gaps} == {spool_id}
        assert budget_gaps[0]["first_seq"] == 1
        assert sum(gap["n_records"] for gap in budget_gaps) == 60 - n_left == outbox.n_thinned
        assert len(stored(data_dir, Lane.EVENTS)) == 60
        assert len(stored(data_dir, Lane.CRITICAL)) == 60 + len(budget_gaps)


def test_what_was_given_up_is_skipped_upstream_and_reported_once(
    data_dir, identity, make, clock, monkeypatch, collector, sender_to
):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr("agent.outbox.outbox._CHECK_BYTES", 1)
    budget = DiskBudget(max_bytes=5_000)
    with Outbox.open(data_dir, budget=budget, clock=clock, free_space=lambda: 100 << 30) as outbox:
        for _ in range(40):
            outbox.put(make.snapshot())
        spool_id = outbox.spool_ids()[Lane.SNAPSHOTS]
        sender_to(collector.url).drain_once()
    mark = collector.spools[spool_id]
    arrived = [record for record in collector.records() if record["kind"] == "gap"]
    assert {record["cause"] for record in arrived} == {"budget"}
    assert sum(record["n_records"] for record in arrived) == sum(
        last - first + 1 for first, last in mark.skipped
    )
    assert len(mark.records) + sum(record["n_records"] for record in arrived) == 40
