"""Running the jobs of one transaction: each alone in a savepoint, batches that stand together in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from types import TracebackType
from typing import Any, Self

from server.errors import StoreError
from server.store.base import Done, Failed, Job, Outcome
from server.store.rows import Batch
from server.store.writes import SqlWrites

Run = Callable[[str], None]
"""Runs one statement that yields nothing."""
Declined = type[Exception]
"""What the engine's driver raises for a statement it does not take."""


def run_jobs(jobs: Sequence[Job], writes: SqlWrites, run: Run, declined: Declined) -> list[Outcome]:
    """Return the outcome of each job, in order; the transaction is the caller's."""
    outcomes: list[Outcome] = []
    for is_batch, together in groupby(jobs, key=lambda job: isinstance(job, Batch)):
        do = _append if is_batch else _call
        outcomes += do(list(together), writes, run, declined)  # type: ignore[operator]
    return outcomes


def _call(
    jobs: list[Callable[[SqlWrites], Any]], writes: SqlWrites, run: Run, declined: Declined
) -> list[Outcome]:
    return [_attempt(lambda job=job: job(writes), run, declined) for job in jobs]  # type: ignore[misc]


def _append(batches: list[Batch], writes: SqlWrites, run: Run, declined: Declined) -> list[Outcome]:
    """Append together; where that fails, one by one, so that a batch no store can take harms nobody else."""
    together = _attempt(lambda: writes.append_all(batches), run, declined)
    if isinstance(together, Done):
        outcomes: list[Outcome] = together.value
        return outcomes
    if len(batches) == 1:
        return [together]
    return [outcome for batch in batches for outcome in _append([batch], writes, run, declined)]


def _attempt(work: Callable[[], Any], run: Run, declined: Declined) -> Outcome:
    value = None
    with _Savepoint(run, declined) as savepoint:
        value = work()
    return Done(value) if savepoint.error is None else Failed(savepoint.error)


class _Savepoint:
    """Undoes one piece of work alone when it fails, and keeps its error for whoever waits for it."""

    def __init__(self, run: Run, declined: Declined) -> None:
        self._run = run
        self._declined = declined
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._run("SAVEPOINT job")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._run("ROLLBACK TO SAVEPOINT job")
        self._run("RELEASE SAVEPOINT job")
        if isinstance(error, self._declined):
            self.error = StoreError(f"The store declined: {error}.")
        elif isinstance(error, Exception):
            self.error = error
        return self.error is not None
