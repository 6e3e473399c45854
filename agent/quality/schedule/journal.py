"""What was decided of which occurrence, on disk: a crash at any moment decides nothing twice and forgets nothing.

An occurrence is named by its schedule and its planned time. Together with every change of it, in one transaction, goes
the record that tells of the change; records are put into the outbox afterwards, as often as it takes, and the collector
files a record once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from agent.errors import SpoolError
from agent.outbox.disk import move_file
from agent.records import ScheduleRun, ScheduleState, decode, encode

FILE_NAME = "journal.sqlite"
KEPT_DAYS = 400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS horizons (schedule_id TEXT PRIMARY KEY, until_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS occurrences (
    run_id      TEXT PRIMARY KEY,
    schedule_id TEXT NOT NULL,
    planned_at  TEXT NOT NULL,
    state       TEXT NOT NULL,
    reason      TEXT NOT NULL,
    was_due     INTEGER NOT NULL,
    confirmed_by TEXT,
    record_id   TEXT,
    supersedes  TEXT,
    UNIQUE (schedule_id, planned_at)
);
CREATE INDEX IF NOT EXISTS by_state ON occurrences (state);
CREATE TABLE IF NOT EXISTS untold (position INTEGER PRIMARY KEY, record BLOB NOT NULL);
"""
_ENDS = tuple(state.value for state in ScheduleState if state.is_end)
_MARKS = ", ".join("?" * len(_ENDS))


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One planned run of a schedule.

    Attributes
    ----------
    run_id : UUID
        Names it.
    schedule_id : str
        What planned it.
    planned_at : datetime
        When it falls due.
    state : ScheduleState
        How far it has come.
    reason : str
        Why it is so.
    was_due : bool
        Whether the agent was there while it was due.
    confirmed_by : str or None
        Who said that the slide is in place.
    record_id : UUID or None
        The last record that tells of it.
    supersedes : UUID or None
        An end that was told under a wrong clock.
    """

    run_id: UUID
    schedule_id: str
    planned_at: datetime
    state: ScheduleState = ScheduleState.WAITING
    reason: str = ""
    was_due: bool = False
    confirmed_by: str | None = None
    record_id: UUID | None = None
    supersedes: UUID | None = None


def run_id_of(instrument_id: str, schedule_id: str, planned_at: datetime) -> UUID:
    """Return the name of an occurrence: the same whoever works it out, and whenever."""
    return uuid5(NAMESPACE_URL, f"scopestamp:schedule:{instrument_id}:{schedule_id}:{planned_at.isoformat()}")


class Journal:
    """The occurrences of one agent; used by one thread.

    Parameters
    ----------
    folder : Path
        Where the file lies. One that cannot be read is set aside, and `was_damaged` tells.

    Raises
    ------
    SpoolError
        The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.was_damaged = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened()
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(
                f"The journal of schedules {self.path} cannot be used ({error}). Give the account that runs the agent "
                "full access to this folder, and look at the disk."
            ) from error

    def _opened(self) -> sqlite3.Connection:
        try:
            return _open(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # the disk, not the file
            self.was_damaged = True
            for end in ("", "-wal", "-shm"):
                damaged = self.path.with_name(self.path.name + end)
                if damaged.exists():
                    move_file(damaged, damaged.with_name(damaged.name + ".bad"))
            return _open(self.path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # -- what is planned

    def horizon(self, schedule_id: str) -> datetime | None:
        """Return until when a schedule's occurrences are entered; None for one never seen."""
        sql = "SELECT until_at FROM horizons WHERE schedule_id = ?"
        row = self._connection.execute(sql, (schedule_id,)).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def enter(self, schedule_id: str, until_at: datetime, new: Iterable[Occurrence] = ()) -> None:
        """Enter occurrences up to a horizon; those that are there already stay as they are."""
        with self._changing():
            for one in new:
                self._connection.execute(
                    "INSERT OR IGNORE INTO occurrences (run_id, schedule_id, planned_at, state, reason, was_due) "
                    "VALUES (?, ?, ?, ?, ?, 0)",
                    (
                        str(one.run_id),
                        schedule_id,
                        one.planned_at.isoformat(),
                        ScheduleState.WAITING.value,
                        one.reason,
                    ),
                )
            self._connection.execute(
                "INSERT INTO horizons VALUES (?, ?) ON CONFLICT DO UPDATE SET until_at = excluded.until_at",
                (schedule_id, until_at.isoformat()),
            )

    def open_runs(self) -> list[Occurrence]:
        """Return the occurrences that have not ended, oldest first."""
        sql = f"WHERE state NOT IN ({_MARKS}) ORDER BY planned_at, schedule_id"
        return self._occurrences(sql, *_ENDS)

    def never_run_after(self, schedule_id: str, at: datetime) -> list[Occurrence]:
        """Return occurrences planned after `at` that have ended although nothing was run."""
        unrun = (ScheduleState.MISSED.value, ScheduleState.SKIPPED.value)
        sql = "WHERE schedule_id = ? AND planned_at > ? AND state IN (?, ?) ORDER BY planned_at"
        return self._occurrences(sql, schedule_id, at.isoformat(), *unrun)

    def past(self, most: int) -> list[Occurrence]:
        """Return the last occurrences that have ended, newest first."""
        return self._occurrences(f"WHERE state IN ({_MARKS}) ORDER BY planned_at DESC LIMIT ?", *_ENDS, most)

    def find(self, run_id: UUID) -> Occurrence | None:
        """Return an occurrence."""
        found = self._occurrences("WHERE run_id = ?", str(run_id))
        return found[0] if found else None

    def note(self, one: Occurrence, record: ScheduleRun | None = None) -> Occurrence:
        """Keep what became of an occurrence, and the record that tells of it; return it as it is kept."""
        if record is not None:
            one = replace(one, record_id=record.record_id)
        with self._changing():
            self._connection.execute(
                "UPDATE occurrences SET state = ?, reason = ?, was_due = ?, confirmed_by = ?, record_id = ?, "
                "supersedes = ? WHERE run_id = ?",
                (one.state.value, one.reason, one.was_due, one.confirmed_by, _text(one.record_id),
                 _text(one.supersedes), str(one.run_id)),
            )  # fmt: skip
            if record is not None:
                self._connection.execute("INSERT INTO untold (record) VALUES (?)", (encode(record),))
        return one

    # -- what is to be told

    def untold(self) -> list[tuple[int, ScheduleRun]]:
        """Return the records that may not be in the outbox yet, in order."""
        found = self._connection.execute("SELECT position, record FROM untold ORDER BY position LIMIT 500")
        records = ((position, decode(bytes(record))) for position, record in found.fetchall())
        return [(position, record) for position, record in records if isinstance(record, ScheduleRun)]

    def told(self, position: int) -> None:
        """Forget a record that is in the outbox."""
        with self._changing():
            self._connection.execute("DELETE FROM untold WHERE position = ?", (position,))

    def forget_before(self, at: datetime) -> None:
        """Forget occurrences that ended long ago."""
        with self._changing():
            self._connection.execute(
                f"DELETE FROM occurrences WHERE planned_at < ? AND state IN ({_MARKS})",
                (at.isoformat(), *_ENDS),
            )

    # -- SQLite

    def _occurrences(self, where: str, *values: object) -> list[Occurrence]:
        columns = (
            "run_id, schedule_id, planned_at, state, reason, was_due, confirmed_by, record_id, supersedes"
        )
        rows = self._connection.execute(f"SELECT {columns} FROM occurrences {where}", values)
        return [
            Occurrence(UUID(run_id), schedule_id, datetime.fromisoformat(planned), ScheduleState(state), reason,
                       bool(was_due), by, _uuid(record_id), _uuid(supersedes))
            for run_id, schedule_id, planned, state, reason, was_due, by, record_id, supersedes in rows
        ]  # fmt: skip

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise SpoolError(f"The journal of schedules {self.path} cannot be written ({error}).") from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        (sound,) = connection.execute("PRAGMA quick_check").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
        connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
