from __future__ import annotations

import threading
from typing import Any

import pytest

from agent.capture import publish
from agent.capture.publish import Publisher
from agent.records import AcquisitionFinished, AgentEvent, Severity


@pytest.fixture
def event(mint: Any) -> Any:
    return lambda n: mint.make(AgentEvent, severity=Severity.INFO, event="counted", message=str(n))


def messages(shelf: Any) -> list[int]:
    return [int(record.message) for record in shelf.records]


def test_records_are_held_while_the_spool_is_full_and_go_out_in_order(shelf: Any, event: Any) -> None:
    publisher = Publisher(shelf)
    assert publisher.publish(event(0))
    shelf.is_full = True
    assert [publisher.publish(event(n)) for n in (1, 2, 3)] == [False] * 3
    publisher.retry()
    assert (publisher.n_held, publisher.last_error, messages(shelf)) == (3, "no space left", [0])
    shelf.is_full = False
    publisher.retry()
    assert publisher.publish(event(4), event(5))
    assert messages(shelf) == [0, 1, 2, 3, 4, 5]
    assert (publisher.n_held, publisher.last_error, publisher.n_given_up) == (0, None, 0)


def test_full_spool_is_not_tried_with_every_record(shelf: Any, event: Any) -> None:
    publisher = Publisher(shelf)
    tries = []
    real = shelf.put
    shelf.put = lambda *records: (tries.append(len(records)), real(*records))
    shelf.is_full = True
    for n in range(500):
        publisher.publish(event(n))
    publisher.retry()
    assert tries == [1, publish.MOST_AT_ONCE]
    shelf.is_full = False
    publisher.retry()
    assert messages(shelf) == list(range(500))


def test_oldest_are_given_up_and_counted_when_memory_is_full(
    shelf: Any, event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "MOST_HELD", 3)
    publisher = Publisher(shelf)
    shelf.is_full = True
    for n in range(5):
        publisher.publish(event(n))
    shelf.is_full = False
    publisher.retry()
    assert messages(shelf) == [2, 3, 4]
    assert publisher.n_given_up == 2


def test_threads_publish_without_loss(shelf: Any, event: Any) -> None:
    publisher = Publisher(shelf)
    threads = [
        threading.Thread(target=lambda at=start: [publisher.publish(event(n)) for n in range(at, at + 100)])
        for start in (0, 100, 200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(messages(shelf)) == list(range(300))


def test_run_on_a_full_disk_is_published_once_there_is_space(
    core: Any, make_capture: Any, shelf: Any
) -> None:
    from useq import MDASequence

    capture = make_capture(core)
    shelf.clear()
    shelf.is_full = True
    core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 4}))
    assert capture.settle(20)
    assert shelf.records == [] and capture.publisher.n_held > 0
    shelf.is_full = False
    shelf.wait_for(lambda record: isinstance(record, AcquisitionFinished))
    assert capture.settle(20)
    kinds = [record.kind for record in shelf.records]
    assert kinds == ["acquisition_started", "frame_ledger", "acquisition_finished"]
