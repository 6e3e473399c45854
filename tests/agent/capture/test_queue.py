from __future__ import annotations

import threading
import time

import pytest

from agent.capture.queue import GATHER_S, VITAL_RESERVE, EventQueue, Lost
from drivers import FrameSeen, LiveToggled, Moment

FRAME = FrameSeen(Moment(0, 0), lambda: None, None)  # type: ignore[arg-type, return-value]
OTHER = LiveToggled(Moment(0, 0), True)


def drain(queue: EventQueue) -> list[object]:
    events = []
    while taken := queue.take(0):
        events += taken
    return events


def test_queue_gives_back_in_order() -> None:
    queue = EventQueue(10)
    events = [FRAME, OTHER, FRAME]
    assert all(map(queue.put, events))
    assert drain(queue) == events
    assert queue.take(0) == []


def test_frames_that_do_not_fit_are_counted_in_their_place() -> None:
    queue = EventQueue(2)
    assert [queue.put(FRAME) for _ in range(5)] == [True, True, False, False, False]
    assert queue.put(OTHER)
    assert drain(queue) == [FRAME, FRAME, Lost(3), OTHER]
    assert queue.n_lost == 3


def test_other_events_still_fit_when_frames_do_not() -> None:
    queue = EventQueue(1)
    taken = sum(queue.put(OTHER) for _ in range(VITAL_RESERVE + 5))
    assert taken == VITAL_RESERVE + 1
    assert not queue.put(FRAME)
    assert queue.n_lost == 5


def test_loss_with_nothing_behind_it_is_told_when_the_queue_is_empty() -> None:
    queue = EventQueue(1)
    assert [queue.put(FRAME), queue.put(FRAME)] == [True, False]
    assert queue.take(0) == [FRAME]
    assert queue.take(0) == [Lost(1)]
    assert queue.take(0) == []


def test_our_own_messages_always_fit() -> None:
    queue = EventQueue(0)
    queue.put_always("stop")
    assert queue.take(0) == ["stop"]


@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_nothing_is_lost_without_being_counted(size: int) -> None:
    queue = EventQueue(size)
    threads = [threading.Thread(target=lambda: [queue.put(FRAME) for _ in range(2000)]) for _ in range(4)]
    got: list[object] = []
    done = threading.Event()

    def take() -> None:
        while not done.is_set() or len(queue):
            got.extend(queue.take(0.001))

    taker = threading.Thread(target=take)
    for thread in (*threads, taker):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    taker.join()
    got += drain(queue)
    n_marked = sum(event.n_events for event in got if isinstance(event, Lost))
    assert got.count(FRAME) + n_marked == 8000
    assert n_marked == queue.n_lost


def test_other_events_do_not_wait_for_frames_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.capture.queue.GATHER_S", 3600.0)  # waiting would outlast the test's own limit
    queue = EventQueue(100)
    queue.put(FRAME)
    assert queue.take(10) == [FRAME]
    queue.put(FRAME)
    queue.put(OTHER)
    assert queue.take(10) == [FRAME, OTHER]


def test_frames_gather_before_they_are_taken() -> None:
    queue = EventQueue(100)
    queue.put(FRAME)
    assert queue.take(10) == [FRAME]
    began = time.monotonic()
    queue.put(FRAME)
    assert queue.take(10) == [FRAME]
    assert time.monotonic() - began >= GATHER_S
