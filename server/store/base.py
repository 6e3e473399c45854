"""The contract of a store.

A store is read through `Reads` and changed through `Writes`, and `Writes` exists only inside a transaction. Jobs of many
requests are committed together (`Store.write`), because a disk that must flush a hundred times is a hundred times
slower than one that must flush once.

What every store must keep, whatever engine is beneath, is held by ``tests/server/test_store_contract.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from server.store import rows
from server.store.contract.acquisitions import ReadsAcquisitions
from server.store.contract.batches import ReadsBatches, WritesBatches
from server.store.contract.care import ReadsCare, WritesCare
from server.store.contract.desk import ReadsDesk, WritesDesk
from server.store.contract.fleet import ReadsFleet, WritesFleet
from server.store.contract.people import ReadsPeople, WritesPeople
from server.store.contract.quality import ReadsQuality, WritesQuality
from server.store.contract.records import ReadsRecords
from server.store.contract.use import ReadsUse, WritesUse


class Reads(
    ReadsFleet,
    ReadsPeople,
    ReadsDesk,
    ReadsBatches,
    ReadsRecords,
    ReadsAcquisitions,
    ReadsQuality,
    ReadsUse,
    ReadsCare,
):
    """Questions to a store. None of them blocks a writer; each answers from committed data (inside a job: also from
    what the job itself has written). Lists are newest first unless said otherwise."""


class Writes(
    Reads, WritesFleet, WritesPeople, WritesDesk, WritesBatches, WritesQuality, WritesUse, WritesCare
):
    """What a job may change. Runs on the writer's thread inside a transaction; must not block on anything else."""


Job = Callable[[Writes], Any] | rows.Batch
"""One request's change; a batch stands for appending it, and batches that stand together are appended together."""


@dataclass(frozen=True, slots=True)
class Done:
    """A job's value, now durable."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """A job's error; nothing of the job remains."""

    error: Exception


Outcome = Done | Failed


class Readable(ABC):
    """Hands out `Reads`: a store, or what somebody may see of it."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reads]:
        """Return something to read with, from any thread; give it back by leaving the ``with``."""

    def reading_newest(self) -> AbstractContextManager[Reads]:
        """Return something to read with that knows every commit, where `reading` may ask a replica that is behind.

        Who may come in, and where a spool stands, is asked so.
        """
        return self.reading()

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Reads]:
        """Return something to read with, whose every answer is of one moment; hold it no longer than need be."""


class Store(Readable):
    """Opens on a place, is read, and commits jobs."""

    @abstractmethod
    def write(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run the jobs in order and commit them together.

        Called on one thread at a time. Each job is undone alone when it raises, and its neighbours are not touched. Other
        processes may write to the same store, as its engine allows.
        When this returns, everything done is on the disk.

        Raises
        ------
        StoreError
            The commit itself failed: no job has had any effect.
        """

    @abstractmethod
    def close(self) -> None:
        """Give everything back; reading or writing afterwards is a bug of the caller."""
