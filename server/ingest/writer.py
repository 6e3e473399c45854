"""The one thread that writes.

Requests hand it jobs; whatever has gathered while it was committing is committed next, together. That is all there is to
group commit: the slower the disk, the larger the groups.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from server.errors import RefusedError, StoreError
from server.store.base import Failed, Job, Outcome, Store
from server.store.rows import Batch

MAX_WAITING = 1000
"""Jobs that may wait; more would be memory spent on clients that have given up."""
MAX_WAITING_BYTES = 32 << 20
"""Records that may wait, in bytes as they came."""


class GroupWriter:
    """Runs jobs on its own thread, many to a commit.

    Parameters
    ----------
    store : Store
        Nobody else in this process may call its `write`.
    max_waiting : int
        Jobs that may wait before new ones are refused with 503.
    """

    def __init__(self, store: Store, max_waiting: int = MAX_WAITING) -> None:
        self._store = store
        self._max_waiting = max_waiting
        self._n_bytes = 0
        self._counting = threading.Lock()
        self._waiting: deque[tuple[Job, Future[Any], int]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="collector-writer")

    def submit(self, job: Job) -> Future[Any]:
        """Return a future of the job's value; it is given only when the value is durable.

        Raises
        ------
        RefusedError
            503 ``busy`` when too many wait already.
        """
        if len(self._waiting) >= self._max_waiting or self._n_bytes >= MAX_WAITING_BYTES:
            raise RefusedError(
                503, "busy", "The disk cannot keep up; send again a little later.", retry_after_s=2
            )
        future: Future[Any] = Future()
        n_bytes = job.n_bytes if isinstance(job, Batch) else 0
        self._waiting.append((job, future, n_bytes))
        self._count(n_bytes)
        self._thread.submit(self._commit_waiting)
        return future

    def do(self, job: Job) -> Any:
        """Run a job, wait, and return its value or raise its error."""
        return self.submit(job).result()

    def close(self) -> None:
        """Commit what waits and end the thread."""
        self._thread.shutdown(wait=True)

    def _commit_waiting(self) -> None:
        group = self._take_all()
        if not group:  # an earlier turn took them along
            return
        outcomes: list[Outcome] = []
        try:
            outcomes = self._store.write([job for job, _ in group])
        except StoreError as error:
            outcomes = [Failed(error)] * len(group)
        finally:
            _answer(group, outcomes)

    def _count(self, n_bytes: int) -> None:
        with self._counting:
            self._n_bytes += n_bytes

    def _take_all(self) -> list[tuple[Job, Future[Any]]]:
        group = []
        while self._waiting:
            job, future, n_bytes = self._waiting.popleft()
            self._count(-n_bytes)
            if future.set_running_or_notify_cancel():
                group.append((job, future))
        return group


def _answer(group: list[tuple[Job, Future[Any]]], outcomes: list[Outcome]) -> None:
    outcomes = outcomes or [Failed(StoreError("The writer failed; see the log of the collector."))] * len(
        group
    )
    for (_, future), outcome in zip(group, outcomes, strict=True):
        if isinstance(outcome, Failed):
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome.value)
