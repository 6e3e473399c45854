from __future__ import annotations

import json

import pytest

from agent.outbox import Lane, Outbox
from agent.outbox import spool as spool_module
from agent.outbox.cursor import Position
from agent.outbox.folders import all_spools
from agent.outbox.frames import MAGIC
from agent.outbox.reader import Feed, SpoolReader, Stored


@pytest.fixture
def spool(outbox, make, data_dir, monkeypatch):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 3000)
    for n in range(1, 31):
        outbox.put(make.event(n))
    (found,) = all_spools(data_dir)
    assert len(found.segments()) >= 3
    return found


def read(spool, position=None, *, is_live=True):
    reader = SpoolReader(spool, position or Position(), is_live=is_live)
    return [item.seq for item in reader], reader.unreadable


@pytest.mark.parametrize("start", [1, 2, 15, 30, 31])
def test_reading_begins_anywhere(spool, start):
    assert read(spool, Position(acked=start - 1, next_seq=start)) == (list(range(start, 31)), [])


def test_a_hint_leads_to_the_place_and_a_wrong_one_does_no_harm(spool):
    tenth = list(SpoolReader(spool, Position(), is_live=True))[9]
    good = Position(10, "0" * 64, 11, tenth.segment, tenth.end)
    assert read(spool, good) == (list(range(11, 31)), [])
    beyond = Position(10, "0" * 64, 11, tenth.segment, 10**9)
    assert read(spool, beyond) == (list(range(11, 31)), [])
    assert read(spool, Position(10, "0" * 64, 11, 999, 50))[0] == list(range(11, 31))


def test_the_tail_of_a_live_writer_is_not_yet_written(spool):
    path = spool.segments()[-1][1]
    path.write_bytes(path.read_bytes()[:-5])
    assert read(spool, is_live=True) == (list(range(1, 30)), [])


def test_the_tail_of_a_dead_writer_is_unreadable(spool):
    path = spool.segments()[-1][1]
    path.write_bytes(path.read_bytes()[:-5])
    seqs, (damage,) = read(spool, is_live=False)
    assert seqs == list(range(1, 30)) and (damage.after_seq, damage.is_tail) == (29, True)


@pytest.mark.parametrize("is_live", [True, False])
def test_damage_in_the_middle_is_damage_even_while_the_writer_lives(spool, outbox, make, is_live):
    outbox.put(*[make.event(n) for n in range(31, 35)])  # one append, so all in the newest segment
    path = spool.segments()[-1][1]
    data = bytearray(path.read_bytes())
    data[data.index(MAGIC, len(data) // 2) - 3] ^= 4
    path.write_bytes(data)
    seqs, (damage,) = read(spool, is_live=is_live)
    assert len(seqs) == 33 and not damage.is_tail and damage.after_seq + 1 not in seqs


def test_a_segment_that_is_gone_shows_by_its_numbers(spool):
    (first, path), (following, _) = spool.segments()[1:3]
    path.unlink()
    assert read(spool)[0] == [n for n in range(1, 31) if not first <= n < following]


def test_files_that_are_no_segments_are_left_alone(spool):
    (spool.path / "notes.txt").write_text("hello")
    (spool.path / "copy of 1.seg").write_bytes(b"x")
    assert read(spool)[0] == list(range(1, 31))


def feed(*seqs):
    return Feed(iter(Stored(seq, b"x" * 9, 1, 0) for seq in seqs))


def test_a_run_ends_where_a_number_is_missing():
    source = feed(1, 2, 4, 5)
    assert [item.seq for item in source.take(10, 1000)] == [1, 2]
    assert [item.seq for item in source.take(10, 1000)] == [4, 5]
    assert source.take(10, 1000) == []


def test_a_run_ends_at_the_number_and_the_size_wanted():
    assert len(feed(1, 2, 3).take(2, 1000)) == 2
    assert len(feed(1, 2, 3).take(10, 20)) == 2
    assert len(feed(1, 2, 3).take(10, 1)) == 1


def test_what_is_given_back_comes_again():
    source = feed(1, 2, 3)
    run = source.take(3, 1000)
    source.give_back(run[1:])
    assert [item.seq for item in source.take(3, 1000)] == [2, 3]


def numbers(collector):
    return sorted(
        record["details"]["n"] for record in collector.records() if record.get("event") == "counted"
    )


def test_rot_is_skipped_upstream_reported_and_kept(
    data_dir, collector, sender, make, clock, outbox, monkeypatch
):
    with Outbox.open(data_dir, clock=clock) as other:
        other.put(*[make.event(n) for n in range(1, 21)])
        spool_id = other.spool_ids()[Lane.EVENTS]
    (spool,) = [spool for spool in all_spools(data_dir) if spool.spool_id == spool_id]
    tenth = list(SpoolReader(spool, Position(), is_live=False))[9]
    path = spool.segments()[0][1]
    data = bytearray(path.read_bytes())
    data[tenth.end - 3] ^= 1
    path.write_bytes(data)
    sender.drain_once()
    assert numbers(collector) == [n for n in range(1, 21) if n != 10]
    assert collector.spools[spool_id].skipped == [(10, 10)]
    told = collector.records()
    (gap,) = [record for record in told if record["kind"] == "gap"]
    assert (gap["cause"], gap["spool_id"], gap["first_seq"], gap["last_seq"], gap["n_records"]) == (
        "corrupt_segment",
        spool_id,
        10,
        10,
        1,
    )
    assert sum(record.get("event") == "segment_damaged" for record in told) == 1
    (kept,) = (data_dir / "bad").iterdir()
    assert kept.read_bytes() == bytes(data)
    assert not spool.path.exists()


def test_a_torn_end_is_reported_with_an_unknown_number(data_dir, collector, sender, make, clock):
    with Outbox.open(data_dir, clock=clock) as other:
        other.put(make.event(1), make.event(2))
    (spool,) = all_spools(data_dir)
    path = spool.segments()[0][1]
    path.write_bytes(path.read_bytes()[:-1])
    sender.drain_once()
    (gap,) = [record for record in collector.records() if record["kind"] == "gap"]
    assert gap["first_seq"] == 2 and "last_seq" not in gap and "n_records" not in gap
    assert numbers(collector) == [1]


def test_inspect_prints_records_and_damage(spool, capsys):
    from agent.outbox import inspect

    path = spool.segments()[0][1]
    assert inspect.main([str(path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["header"]["spool_id"] == spool.spool_id
    assert lines[1]["seq"] == 1 and lines[1]["record"]["details"] == {"n": 1}
    path.write_bytes(path.read_bytes()[:-1])
    assert inspect.main([str(path), str(path) + "x"]) == 1
    captured = capsys.readouterr()
    assert '"is_tail": true' in captured.out and "No such file" in captured.err
