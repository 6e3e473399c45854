"""What a running collector does beside answering: what fails holds up nothing else, and is tried again."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

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
