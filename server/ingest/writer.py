"""The one thread that writes.

Requests hand it jobs; whatever has gathered while it was committing is committed next, together. That is all there is to
group commit: the slower the disk, the larger the groups. On a fast disk groups would be of two or three, and each would write
the same pages again; so while many send, commits begin twice as far apart as one takes, within the bounds of `PACE_S`. Whoever
writes alone never waits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from server.errors import RefusedError, StoreError, survived
from server.store.base import Failed, Job, Outcome, Store
from server.store.rows import Batch

MAX_WAITING = 1000
"""Jobs that may wait; more would be memory spent on clients that have given up."""
MAX_WAITING_BYTES = 32 << 20
"""Records that may wait, in bytes as they came."""
PACE_S = (0.008, 0.015)
"""Measured in SQLite with 900 agents that send ten records a second each: commits 6 ms apart take a third less CPU than commits at once."""


_Told = list[tuple["asyncio.Future[Any]", Outcome]]


class LoopAnswer:
    """An answer that a coroutine waits for: a small part of what `asyncio.wrap_future` costs."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def take_error(self, work: Future[Any]) -> None:
        """Give the error of work that was to lead to this answer, if it ended in one."""
        if (error := work.exception()) is not None:
            _tell(self.loop, [(self.future, Failed(error))])


Answer = Future[Any] | LoopAnswer
"""Where the outcome of a job goes."""


class GroupWriter:
    """Runs jobs on its own thread, many to a commit.

    Parameters
    ----------
    store : Store
        Nobody else in this process may call its `write`.
    max_waiting : int
        Jobs that may wait before new ones are refused with 503.
    wait, now : callable
        Wait so many seconds; return the seconds of a clock that never goes back.
    """

    def __init__(
        self,
        store: Store,
        max_waiting: int = MAX_WAITING,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Job, Answer, int]] = deque()
        self._n_bytes = 0
        self._is_called = False
        self._wait, self._now = wait, now
        self._next_at = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="collector-writer")

    def submit(self, job: Job) -> Future[Any]:
        """Return a future of the job's value; it is given only when the value is durable.

        Raises
        ------
        RefusedError
            503 ``busy`` when too many wait already.
        """
        future: Future[Any] = Future()
        self.submit_for(future, job)
        return future

    def submit_for(self, answer: Answer, job: Job) -> None:
        """Do as `submit` for an answer that there is already."""
        n_bytes = job.n_bytes if isinstance(job, Batch) else 0
        with self._lock:
            if len(self._waiting) >= self._max_waiting or self._n_bytes >= MAX_WAITING_BYTES:
                raise RefusedError(
                    503, "busy", "The disk cannot keep up; send again a little later.", retry_after_s=2
                )
            self._waiting.append((job, answer, n_bytes))
            self._n_bytes += n_bytes
            is_called, self._is_called = self._is_called, True
        if not is_called:
            self._thread.submit(survived, self._commit_waiting, "Committing")

    def do(self, job: Job) -> Any:
        """Run a job, wait, and return its value or raise its error."""
        return self.submit(job).result()

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self._thread.shutdown(wait=True)

    def _commit_waiting(self) -> None:
        began = max(self._now(), self._next_at)
        if (early_s := began - self._now()) > 0:
            self._wait(early_s)
        group = self._take_all()
        self._next_at = 0.0
        if not group:  # whoever asked has gone
            return
        outcomes: list[Outcome] = []
        try:
            outcomes = self._store.write([job for job, _ in group])
        except StoreError as error:
            outcomes = [Failed(error)] * len(group)
        finally:
            if len(group) > 1:
                shortest, longest = PACE_S
                self._next_at = began + min(max(2 * (self._now() - began), shortest), longest)
            _answer(group, outcomes)

    def _take_all(self) -> list[tuple[Job, Answer]]:
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
            self._n_bytes, self._is_called = 0, False
        return [(job, answer) for job, answer, _ in waiting if _is_awaited(answer)]


def _is_awaited(answer: Answer) -> bool:
    if isinstance(answer, LoopAnswer):
        return not answer.future.cancelled()
    return answer.set_running_or_notify_cancel()


def _answer(group: list[tuple[Job, Answer]], outcomes: list[Outcome]) -> None:
    outcomes = outcomes or [Failed(StoreError("The writer failed; see the log of the collector."))] * len(
        group
    )
    told: dict[asyncio.AbstractEventLoop, _Told] = defaultdict(list)
    for (_, answer), outcome in zip(group, outcomes, strict=True):
        if isinstance(answer, LoopAnswer):
            told[answer.loop].append((answer.future, outcome))
        else:
            _settle(answer, outcome)
    for loop, answers in told.items():  # each loop is woken once
        _tell(loop, answers)


def _tell(loop: asyncio.AbstractEventLoop, answers: _Told) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_settle_all, answers)


def _settle_all(answers: _Told) -> None:
    for future, outcome in answers:
        if not future.done():
            _settle(future, outcome)


def _settle(future: Future[Any] | asyncio.Future[Any], outcome: Outcome) -> None:
    if isinstance(outcome, Failed):
        future.set_exception(outcome.error)
    else:
        future.set_result(outcome.value)
