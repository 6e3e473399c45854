"""What a running collector does beside answering: what fails holds up nothing else, and is tried again."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest

import server.chores as module
from server.alerts.round import AlertRound
from server.chores import Chores
from server.errors import StoreError
from server.keeping.checkpoints import Tree, leaf_of, signer_in


@pytest.fixture
def chores(running, tmp_path):
    return Chores(running.collector, signer_in(tmp_path, "a test"))


def n_checkpoints(running) -> int:
    with running.collector.store.reading() as reads:
        return len(reads.checkpoints())


@pytest.mark.parametrize("wrong", [StoreError("no disk"), KeyError("a bug")])
def test_alerts_that_fail_do_not_keep_the_checkpoint_from_being_made(
    running, tools, chores, monkeypatch, caplog, wrong
):
    sender = running.sender()
    sender.send([tools.Scope(sender).heartbeat()])

    def fail(self) -> None:
        raise wrong

    monkeypatch.setattr(AlertRound, "go", fail)
    with caplog.at_level(logging.WARNING):
        chores.do_what_is_due()

    assert n_checkpoints(running) == 1
    assert "Looking for alerts failed" in caplog.text


def test_tree_that_grew_look_by_look_is_that_over_all_batches(running, tools, chores):
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    for number in range(5):
        sender.send([scope.heartbeat()], spool_id=f"of-{number}")
        chores.do_what_is_due()
    running.clock.later(hours=1)
    chores.do_what_is_due()

    with running.collector.store.reading() as reads:
        newest, first = reads.checkpoints()
        anew = Tree()
        for batch in reads.batches():
            anew.add(leaf_of(batch))
    assert (first.n_batches, newest.n_batches) == (1, 5)
    assert newest.root == anew.root.hex()


def test_one_of_several_collectors_does_the_chores_and_another_takes_over(running, tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(AlertRound, "go", lambda self: done.append(self))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = (Chores(running.collector, signer_in(tmp_path / name, name)) for name in ("one", "two"))

    def who_does_it() -> list[bool]:
        done.clear()
        for one in (first, second):
            one.do_what_is_due()
        return [one._alerts in done for one in (first, second)]

    assert who_does_it() == [True, False]
    for _ in range(4):
        running.clock.later(minutes=1)
        assert who_does_it() == [True, False], "it keeps it"
    running.clock.later(minutes=3)  # in which the first was dead
    second.do_what_is_due()
    assert who_does_it() == [False, True]
    second.start()
    second.stop()
    assert who_does_it() == [True, False], "who stops lets another have it at once"
    again = Chores(running.collector, signer_in(tmp_path / "one", "one"))  # after a crash
    done.clear()
    again.do_what_is_due()
    assert again._alerts in done, "and who comes back need not wait"
    running.clock.later(days=-400)
    assert who_does_it()[0] or who_does_it()[1], "a clock that was wrong keeps nobody for a year"


def n_given_up(running) -> int:
    with running.collector.store.reading() as reads:
        return sum(entry.action == "give up" for entry in reads.audit())


def test_long_retention_lets_alerts_be_looked_at_in_between(running, tools, chores, monkeypatch):
    looks = []
    monkeypatch.setattr(AlertRound, "go", lambda self: looks.append(n_given_up(running)))
    sender = running.sender()
    scope = tools.Scope(sender, start_at=running.clock())
    sender.send([scope.heartbeat() for _ in range(3)])
    running.clock.later(days=400)
    monkeypatch.setattr(module, "_RETENTION_S", -1.0)  # the time is over before it begins
    chores.do_what_is_due()
    chores.do_what_is_due()
    monkeypatch.undo()
    chores.do_what_is_due()
    assert looks == [0, 0] and n_given_up(running) == 1


def test_collector_that_stops_does_not_wait_for_long_work(chores, monkeypatch):
    began, was_survived = threading.Event(), threading.Event()

    def go_on_for_ever(self) -> None:
        began.set()
        while True:
            chores._rest()

    monkeypatch.setattr(module, "_LOOK_S", 0.0)
    monkeypatch.setattr(AlertRound, "go", go_on_for_ever)
    monkeypatch.setattr(chores, "grow", was_survived.set)
    chores.start()
    assert began.wait(10)
    chores.stop()
    assert not was_survived.is_set()


def test_what_failed_is_done_at_the_next_look_and_then_when_it_is_due(running, tools, chores, monkeypatch):
    made = []

    def checkpoint() -> None:
        made.append(running.clock())
        if len(made) == 1:
            raise StoreError("no disk")

    monkeypatch.setattr(chores, "checkpoint", checkpoint)
    for _ in range(3):
        chores.do_what_is_due()
    assert len(made) == 2
    running.clock.later(hours=1)
    chores.do_what_is_due()
    assert made[-1] - made[-2] == timedelta(hours=1)
