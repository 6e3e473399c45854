from __future__ import annotations

from agent.outbox import Survey
from agent.outbox.cursor import Cursor, Position
from agent.outbox.folders import all_spools
from agent.outbox.limit import bytes_on_disk


def test_an_empty_folder_holds_nothing(tmp_path):
    backlog = Survey(tmp_path).take()
    assert (backlog.n_waiting, backlog.bytes_on_disk, backlog.oldest_waiting_at) == (0, 0, None)


def test_all_lanes_are_counted_and_the_oldest_record_tells_since_when(outbox, make, clock, data_dir):
    survey = Survey(data_dir)
    first = make.critical(1)
    outbox.put(first)
    clock.move(5)
    outbox.put(make.event(1), make.event(2))
    backlog = survey.take()
    assert (backlog.n_waiting, backlog.oldest_waiting_at) == (3, first.captured.wall_at)
    assert backlog.bytes_on_disk == bytes_on_disk(data_dir)


def test_what_is_acknowledged_no_longer_waits(outbox, make, clock, data_dir):
    survey = Survey(data_dir)
    outbox.put(make.event(1))
    clock.move(5)
    outbox.put(make.event(2))
    (spool,) = all_spools(data_dir)
    assert survey.take().n_waiting == 2
    Cursor(spool.path).save(Position(acked=1, next_seq=2))
    backlog = survey.take()
    assert (backlog.n_waiting, backlog.oldest_waiting_at) == (1, clock.at)


def test_a_segment_is_read_again_only_when_it_has_grown(outbox, make, data_dir, monkeypatch):
    survey = Survey(data_dir)
    outbox.put(make.event(1))
    survey.take()
    monkeypatch.setattr("agent.outbox.survey.last_seq_of", lambda _: 1 / 0)
    assert survey.take().n_waiting == 1


def test_a_spool_that_vanishes_meanwhile_is_no_error(outbox, make, data_dir, monkeypatch):
    outbox.put(make.event(1))

    def gone(_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("agent.outbox.survey.last_seq_of", gone)
    assert Survey(data_dir).take().n_waiting == 0
