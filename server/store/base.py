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
from datetime import datetime
from typing import Any

from server.store import rows
from server.store.tables import Table


class Reads(ABC):
    """Questions to a store. None of them blocks a writer; each answers from committed data (inside a job: also from
    what the job itself has written). Lists are newest first unless said otherwise."""

    @abstractmethod
    def instrument(self, instrument_id: str) -> rows.Instrument | None: ...
    @abstractmethod
    def instruments(self, limit: int | None = None) -> list[rows.Instrument]:
        """All instruments, or the first of them, by name."""

    @abstractmethod
    def agent(self, agent_id: str) -> rows.Agent | None: ...
    @abstractmethod
    def agents(self, instrument_id: str | None = None) -> list[rows.Agent]:
        """All agents, or those of one instrument; last enrolled first."""

    @abstractmethod
    def fleet(self, among: Sequence[str] | None = None) -> list[rows.FleetRow]:
        """All instruments, or some, by name, each at a glance: a few statements, however many there are."""

    @abstractmethod
    def fleet_marks(self) -> list[rows.FleetMark]:
        """All instruments by name in a few words: one statement, without a record decoded."""

    @abstractmethod
    def qc_standing(self, among: Sequence[str]) -> list[rows.QcSeriesRow]:
        """Every series of some instruments with how it stands, by instrument and routine."""

    @abstractmethod
    def join_code(self, code_sha256: str) -> rows.JoinCode | None: ...
    @abstractmethod
    def join_codes(self) -> list[rows.JoinCode]: ...
    @abstractmethod
    def user(self, name: str) -> rows.User | None: ...
    @abstractmethod
    def users(self) -> list[rows.User]: ...
    @abstractmethod
    def grant(self, secret_sha256: str) -> rows.Grant | None:
        """The grant with that hash, expired or not: whether it still counts is the caller's question."""

    @abstractmethod
    def tokens(self) -> list[rows.Grant]:
        """All API tokens by name."""

    @abstractmethod
    def audit(self, limit: int = 100, before: int | None = None, search: str = "") -> list[rows.AuditEntry]:
        """Entries with a `position` below `before` that hold every word of `search`, the last written first."""

    @abstractmethod
    def document(self, kind: str, key: str) -> rows.Document | None: ...
    @abstractmethod
    def documents(self, kind: str) -> list[rows.Document]:
        """All documents of a kind by key."""

    @abstractmethod
    def entries(
        self,
        kind: str | None = None,
        instrument_id: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[rows.Entry]:
        """Entries that match all that is given, those with a `position` below `before`, the last written first."""

    @abstractmethod
    def attachment(self, sha256: str) -> rows.Attachment | None: ...

    @abstractmethod
    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None: ...
    @abstractmethod
    def spools(self) -> list[rows.Spool]: ...
    @abstractmethod
    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        """Chain value after `seq`, or None where none is known (never received, inside a skipped range, or given up)."""

    @abstractmethod
    def record(self, record_id: str) -> rows.RecordRow | None: ...
    @abstractmethod
    def records_named(self, among: Sequence[str]) -> dict[str, rows.RecordRow]:
        """Record id to where it is filed, without those that are not: one question, however many there are."""

    @abstractmethod
    def records(
        self, instrument_id: str | None = None, kind: str | None = None, after: int = 0, limit: int = 100
    ) -> list[rows.RecordRow]:
        """Records in order of arrival, those with a `position` beyond `after`: a tail that never misses one."""

    @abstractmethod
    def last_position(self) -> int:
        """Position of the last record to arrive, 0 when there is none: where a tail begins that wants only what is new."""

    @abstractmethod
    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        """The last records of one kind to arrive, those with a `position` below `before` when it is given."""

    @abstractmethod
    def last_of_kind(self, kind: str) -> dict[str, int]:
        """Instrument to the position of its last record of a kind to arrive: one question, however many there are."""

    @abstractmethod
    def batch(self, batch_id: int) -> rows.StoredBatch | None: ...
    @abstractmethod
    def batches_of(self, among: Sequence[rows.RecordRow | rows.QuarantineRow]) -> dict[int, rows.StoredBatch]:
        """Number to batch of those that rows came in: one question, however many there are."""

    @abstractmethod
    def batches(self, after: int = 0, limit: int = 100) -> list[rows.StoredBatch]:
        """Batches in the order they were taken, numbered from 1 without gaps."""

    @abstractmethod
    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        """Kind to the newest record of it.

        Newest: within one ``boot_id`` by monotonic time; otherwise by wall time, where a time in the future counts as
        the time of receipt, so that a wrong clock cannot hold its place for ever.
        """

    @abstractmethod
    def changes(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeRow]: ...
    @abstractmethod
    def change_marks(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeMark]:
        """The same as `changes`, for going through thousands: an index alone answers."""

    @abstractmethod
    def changes_in_short(self, instrument_id: str, positions: Sequence[int]) -> dict[int, rows.ChangeInShort]:
        """Position to change of some of an instrument."""

    @abstractmethod
    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None: ...
    @abstractmethod
    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]: ...
    @abstractmethod
    def find_acquisitions(
        self, wanted: rows.AcquisitionQuery, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        """Acquisitions of any instrument that have all that is wanted."""

    @abstractmethod
    def datasets(self, among: Sequence[str]) -> dict[str, list[rows.Dataset]]:
        """Acquisition to what it wrote, by path."""

    @abstractmethod
    def search_terms(self, sort: str, limit: int = 200) -> list[str]:
        """Terms of a sort that acquisitions can be looked for by, in their order."""

    @abstractmethod
    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        """Ledger records of an acquisition by first frame."""

    @abstractmethod
    def quarantine(self, before: int | None = None, limit: int = 50) -> list[rows.QuarantineRow]: ...
    @abstractmethod
    def quarantined(self, position: int) -> rows.QuarantineRow | None: ...
    @abstractmethod
    def n_quarantined(self) -> int: ...

    @abstractmethod
    def qc_series(self, instrument_id: str) -> list[rows.QcSeriesRow]:
        """Every series of quality-control runs of an instrument with how it stands, last measured first."""

    @abstractmethod
    def qc_runs(
        self,
        instrument_id: str,
        series_key: str | None = None,
        before: rows.Place | None = None,
        limit: int = 50,
    ) -> list[rows.QcRunRow]:
        """Runs of an instrument, or of one series, last measured first."""

    @abstractmethod
    def qc_run(self, run_id: str) -> rows.QcRunRow | None: ...
    @abstractmethod
    def qc_runs_on(self, acquisition_id: str) -> list[rows.QcRunRow]:
        """Runs that measured an acquisition, last measured first."""

    @abstractmethod
    def qc_points(
        self,
        instrument_id: str,
        series_key: str,
        metric: str | None = None,
        since: datetime | None = None,
        newest: int | None = None,
    ) -> list[rows.QcPoint]:
        """Figures of a series, by metric and then oldest first: a trend without decoding one record.

        With `newest`, those of so many last runs (and of others at the very time of the first of these).
        """

    @abstractmethod
    def usage_sessions(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.SessionRow]:
        """Sessions of use that touch the period from `since` to before `until`, oldest first; of all or some instruments.

        Here and in the two below: what began before `begun` is left out, by default 92 days before the period.
        """

    @abstractmethod
    def acquisition_times(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.AcquisitionTime]:
        """Acquisitions that touch the period and have ended, oldest first."""

    @abstractmethod
    def planned_runs(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.PlannedRunRow]:
        """Planned runs of quality control that touch the period and have ended, oldest first."""

    @abstractmethod
    def days_rolled_up(self, zone: str, among: Sequence[str] | None = None) -> list[rows.RolledUp]:
        """Instruments whose days of use are rolled up by the calendar of a zone; here and below all or some of them."""

    @abstractmethod
    def days_spoiled(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        """Instrument and day of what was rolled up and is not any more as it was, from day to day; both count."""

    @abstractmethod
    def use_by_month(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        """Instrument, month (``2026-05``) and its use on the days rolled up, without those spoiled."""

    @abstractmethod
    def use_by_day(
        self, days: Sequence[str], among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        """Instrument, day and its use on days rolled up, without those spoiled."""

    @abstractmethod
    def use_by_person(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, rows.PersonsUse]]:
        """Instrument and what each person did on the days rolled up, without those spoiled."""

    @abstractmethod
    def first_use(self, instrument_id: str) -> datetime | None:
        """When an instrument was first used as far as is known."""

    @abstractmethod
    def qc_counts(
        self, since: datetime, until: datetime, among: Sequence[str] | None = None
    ) -> list[rows.QcCount]:
        """How many runs were measured in the period, by instrument, routine and verdict."""

    @abstractmethod
    def checkpoints(self, limit: int | None = None) -> list[rows.Checkpoint]:
        """Signed heads of the tree over all batches, the newest first."""

    @abstractmethod
    def old_records(
        self, kind: str, before: datetime, after: int = 0, limit: int = 1000
    ) -> list[rows.OldRecord]:
        """Records of a kind received before a time, in order of arrival, those with a `position` beyond `after`."""

    @abstractmethod
    def dump(
        self, table: Table, after: Sequence[Any] | None = None, limit: int = 1000
    ) -> list[tuple[Any, ...]]:
        """Rows of a table by its key, those beyond the key `after`: times, ids as text, and otherwise plain values."""


class Writes(Reads):
    """What a job may change. Runs on the writer's thread inside a transaction; must not block on anything else."""

    @abstractmethod
    def append(self, batch: rows.Batch) -> rows.Appended:
        """Add one batch, as `Store.write` does with many.

        What is new of a verified batch is added, and the spool's mark and chain move with it.

        A batch at or below the mark adds nothing. A record whose `record_id` is already filed is kept with its batch
        but not filed again. Flagged lines are kept and listed in quarantine.

        Raises
        ------
        RefusedError
            409 ``gap`` or ``fork``, as `server.store.joining.join` decides.
        """

    @abstractmethod
    def prune(self, records: Sequence[rows.OldRecord]) -> int:
        """Give records up, and return how many that were.

        What they were filed under goes. In their batches each line is replaced by its hash, and the whole body is given up
        with its last line, so that chains, signatures and checkpoints can be verified as before. The newest record of
        each kind stays whatever is asked.
        """

    @abstractmethod
    def load(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        """Add rows that `Reads.dump` gave out, to a store that has nothing yet."""

    @abstractmethod
    def add_checkpoint(self, checkpoint: rows.Checkpoint) -> None: ...

    @abstractmethod
    def put_instrument(self, instrument: rows.Instrument) -> None:
        """Add it, or rename the one there is; `added_at` stays."""

    @abstractmethod
    def put_agent(self, agent: rows.Agent) -> None:
        """Add it, or update what it says of itself and to which instrument it is bound."""

    @abstractmethod
    def replace_key(self, agent_id: str, public_key: bytes) -> None: ...
    @abstractmethod
    def revoke_agent(self, agent_id: str, at: datetime) -> None: ...
    @abstractmethod
    def add_join_code(self, code: rows.JoinCode) -> None: ...
    @abstractmethod
    def use_join_code(self, code_sha256: str, agent_id: str, at: datetime) -> None: ...
    @abstractmethod
    def put_user(self, user: rows.User) -> None: ...
    @abstractmethod
    def remove_user(self, name: str) -> bool:
        """Remove the person with all sessions and links; return whether there was one."""

    @abstractmethod
    def remove_tokens(self, name: str) -> int:
        """Remove the API tokens of that name; return how many there were."""

    @abstractmethod
    def add_grant(self, grant: rows.Grant) -> None:
        """Add it, and drop grants that expired before it was made."""

    @abstractmethod
    def remove_grant(self, secret_sha256: str) -> None: ...
    @abstractmethod
    def put_document(
        self, kind: str, key: str, body: str, at: datetime, by: str, replaces: int | None = None
    ) -> rows.Document:
        """Add or replace a document, and return it with its new version.

        Raises
        ------
        RefusedError
            409 ``changed_meanwhile`` when `replaces` is given and is not the version there is (0: none yet).
        """

    @abstractmethod
    def remove_document(self, kind: str, key: str) -> bool:
        """Remove it; return whether there was one."""

    @abstractmethod
    def add_entry(self, entry: rows.Entry) -> int:
        """Add it at the end, unless its `entry_id` is already there; return its position."""

    @abstractmethod
    def hold(self) -> None:
        """Let nobody else append or prune until the job is committed, also on other collectors of the same store."""

    @abstractmethod
    def put_days(self, instrument_id: str, zone: str, days: Sequence[rows.UsageDay]) -> None:
        """Keep days of use as they were rolled up."""

    @abstractmethod
    def forget_days(self, instrument_id: str) -> None:
        """Drop whatever of an instrument was rolled up."""

    @abstractmethod
    def judge_anew(self, instrument_id: str, record_id: str) -> None:
        """Let a series whose standing run was declared invalid stand as its last valid run; ``unknown`` without one."""

    @abstractmethod
    def add_attachment(self, attachment: rows.Attachment) -> None:
        """Keep it, unless its hash is already there."""

    @abstractmethod
    def add_audit(self, entry: rows.AuditEntry) -> None:
        """Add it at the end of the chain (`server.store.audit_chain`), without characters that could forge a line."""


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
