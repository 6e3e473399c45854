"""What becomes of records when a process, the power, the disk or single bits fail.

`SCOPESTAMP_FAULT_TRIALS` sets how many kills and power cuts are tried; the few of every run keep the tests short.
"""

from __future__ import annotations

import os
import random
import tracemalloc
from collections import Counter

import pytest

from agent.errors import SpoolFullError
from agent.outbox import DiskBudget, Lane, Outbox
from agent.outbox.folders import all_spools

pytestmark = pytest.mark.faults
N_TRIALS = int(os.environ.get("SCOPESTAMP_FAULT_TRIALS", "5"))
N_BACKLOG = int(os.environ.get("SCOPESTAMP_FAULT_BACKLOG", "20000"))
_ANY_SPACE = DiskBudget(max_bytes=1 << 40, min_free_bytes=0, floor_bytes=0)


@pytest.mark.parametrize("trial", range(N_TRIALS))
def test_a_killed_writer_loses_nothing_it_promised(trial, tmp_path, start_writer, read_numbers):
    chance = random.Random(trial)
    with start_writer(tmp_path, chance.choice([1, 7, 64])) as writer:
        writer.read_until(chance.randrange(1, 200))
        writer.kill_and_read_on()
    found = read_numbers(tmp_path)
    assert set(range(1, writer.promised + 1)) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("trial", range(N_TRIALS))
def test_a_power_cut_loses_nothing_that_was_promised(trial, volume, start_writer, read_numbers):
    chance = random.Random(1000 + trial)
    data_dir = volume.root / "data"
    with start_writer(data_dir, chance.choice([1, 7, 64])) as writer:
        # Only promises read before the cut count: a sync in flight may still report success during it.
        writer.read_until(chance.randrange(1, 150))
        volume.cut_power()
        writer.kill()
    volume.unmount()
    volume.mount()
    found = read_numbers(data_dir)
    assert set(range(1, writer.promised + 1)) <= set(found)
    assert len(found) == len(set(found))


def test_after_a_power_cut_recording_and_sending_go_on(volume, start_writer, collector, bench_in):
    data_dir = volume.root / "data"
    with start_writer(data_dir, 16) as writer:
        writer.read_until(20)
        volume.cut_power()
        writer.kill()
    volume.unmount()
    volume.mount()
    bench = bench_in(data_dir, budget=_ANY_SPACE)
    bench.outbox.put(bench.event(-1))
    assert bench.sender.drain_once().n_waiting == 0
    assert {-1, *range(1, writer.promised + 1)} <= set(numbers_at(collector))


def test_on_a_full_disk_reading_deleting_and_recording_go_on(volume, collector, bench_in):
    data_dir = volume.root / "data"
    bench = bench_in(data_dir, budget=_ANY_SPACE)
    noise = random.Random(1)
    n_put = 0
    for _ in range(100):
        bench.outbox.put(*[bench.event(n_put + n, noise.randbytes(400).hex()) for n in range(64)])
        n_put += 64
    volume.fill()
    n_before = n_put
    with pytest.raises(SpoolFullError):
        for _ in range(100_000):
            bench.outbox.put(bench.event(n_put, noise.randbytes(20_000).hex()))
            n_put += 1
    assert n_put > n_before, "the ballast should have taken some records"
    assert not (data_dir / "ballast").exists()
    # The disk is full to the last block now: everything recorded is read, sent and deleted all the same.
    assert bench.sender.drain_once().n_sent >= n_put
    bench.outbox.put(bench.event(n_put))
    bench.sender.drain_once()
    assert numbers_at(collector) == list(range(n_put + 1))
    assert all(mark.skipped == [] for mark in collector.spools.values())


@pytest.mark.parametrize("trial", range(20))
def test_a_flipped_bit_is_noticed_costs_at_most_one_record_and_is_reported(
    trial, tmp_path, collector, bench_in
):
    bench = bench_in(tmp_path)
    with Outbox.open(tmp_path, clock=bench.clock) as other:
        for n in range(1, 101):
            other.put(bench.event(n, f"record {n} " * (n % 9)))
        spool_id = other.spool_ids()[Lane.EVENTS]
    (spool,) = [spool for spool in all_spools(tmp_path) if spool.spool_id == spool_id]
    path = spool.segments()[0][1]
    data = bytearray(path.read_bytes())
    at = random.Random(trial).randrange(len(data) * 8)
    data[at // 8] ^= 1 << at % 8
    path.write_bytes(data)
    bench.sender.drain_once()
    records = collector.records()
    numbers = {record["details"]["n"] for record in records if record.get("event") == "counted"}
    lost = set(range(1, 101)) - numbers
    assert any(record.get("event") == "segment_damaged" for record in records)
    assert len(lost) <= 1
    gaps = [record for record in records if record["kind"] == "gap"]
    assert {gap["first_seq"] for gap in gaps} == lost
    assert len(gaps) == len(lost)


def test_two_writers_and_one_drainer_at_the_same_time(tmp_path, collector, bench_in, start_writer):
    bench = bench_in(tmp_path, budget=_ANY_SPACE)
    with start_writer(tmp_path, 1) as first, start_writer(tmp_path, 3) as second:
        for _ in range(8):
            first.read_until(3)
            second.read_until(3)
            bench.sender.drain_once()
        first.kill_and_read_on()
        second.kill_and_read_on()
    assert bench.sender.drain_once().n_waiting == 0
    promised = [*range(1, first.promised + 1), *range(1, second.promised + 1)]
    assert not Counter(promised) - Counter(numbers_at(collector))
    assert all(mark.skipped == [] for mark in collector.spools.values())
    assert all(sorted(mark.records) == list(range(1, mark.acked + 1)) for mark in collector.spools.values())
    left = {spool.session for spool in all_spools(tmp_path)}
    assert len(left) <= 1, "the sessions of both dead writers are gone"


def test_a_long_backlog_drains_with_flat_memory(tmp_path, collector, bench_in):
    """Memory of the drainer, with a backlog of one size and of four times that size."""
    peaks = []
    for n_records in (N_BACKLOG // 4, N_BACKLOG):
        data_dir = tmp_path / str(n_records)
        bench = bench_in(data_dir, budget=_ANY_SPACE)
        for start in range(0, n_records, 500):
            bench.outbox.put(*[bench.event(start + n, f"{n:032x}" * 20) for n in range(500)])
        collector.answer = _count_only(collector)
        tracemalloc.start()
        report = bench.sender.drain_once()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (report.n_sent, report.n_waiting) == (n_records, 0)
    assert peaks[1] < 1.5 * peaks[0] + (4 << 20)
    assert peaks[1] < 64 << 20


def numbers_at(collector):
    """Return the numbers of all records that arrived, leaving out what the drainer itself had to tell."""
    told = [record for record in collector.records() if record.get("event") != "segment_damaged"]
    counted = [record for record in told if record.get("cause") != "corrupt_segment"]
    return sorted(r["n_records"] if r["kind"] == "gap" else r["details"]["n"] for r in counted)


def _count_only(collector):
    """Acknowledge without keeping, so that only the drainer's memory is measured."""

    def answer(method, path, headers, body):
        last = int(headers["scopestamp-first-seq"]) + int(headers["scopestamp-count"]) - 1
        return {"acked": last, "n_added": int(headers["scopestamp-count"]), "time": collector._time()}

    return answer
