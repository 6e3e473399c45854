"""A store in one SQLite file: write-ahead log, ``synchronous=FULL``, one connection that writes.

The writer's connection is the only one that writes and checkpoints; readers are opened read-only and lent out. Commands
such as ``join-code new`` open the same file from another process while the collector runs: their transactions are one
statement long, and they never checkpoint (SQLite before 3.51.3 can corrupt a file when two connections checkpoint at the
same instant).
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from server.errors import SettingsError, StoreError
from server.store.base import Done, Failed, Job, Outcome, Reads, Store
from server.store.sqlite_reads import SqliteReads
from server.store.sqlite_writes import SqliteWrites

FILE_NAME = "collector.sqlite"
SCHEMA_VERSION = 1
SAFE_SQLITE = (3, 51, 3)
BUSY_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class SqliteStore(Store):
    """Opens, or makes, the store in a folder.

    Parameters
    ----------
    folder : Path
        The collector's data folder; made when missing.
    does_checkpoint : bool
        True for the collector itself, False for a command beside it.
    """

    def __init__(self, folder: Path, *, does_checkpoint: bool = True) -> None:
        self.path = folder / FILE_NAME
        self._free_readers: deque[sqlite3.Connection] = deque()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = _open_writer(self.path, does_checkpoint)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"Cannot open {self.path}: {error}. Check that the folder exists and may be written."
            ) from error
        self._writes = SqliteWrites(self._writer)

    @contextmanager
    def reading(self) -> Iterator[Reads]:
        try:
            connection = self._free_readers.pop()
        except IndexError:
            connection = open_reader(self.path)
        try:
            yield SqliteReads(connection)
        except sqlite3.Error as error:
            raise StoreError(f"Cannot read {self.path}: {error}.") from error
        finally:
            self._free_readers.append(connection)

    def write(self, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(job) for job in jobs]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"Cannot write to {self.path}: {error}. Nothing of it was kept.") from error
        finally:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        return outcomes

    def _attempt(self, job: Job) -> Outcome:
        value = None
        with _Savepoint(self._writer) as savepoint:
            value = job(self._writes)
        return Done(value) if savepoint.error is None else Failed(savepoint.error)

    def close(self) -> None:
        while self._free_readers:
            self._free_readers.pop().close()
        self._writer.close()


class _Savepoint:
    """Undoes one job alone when it fails, and keeps its error for whoever waits for the job."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._connection.execute("SAVEPOINT job")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            self._connection.execute("ROLLBACK TO job")
        self._connection.execute("RELEASE job")
        if isinstance(error, sqlite3.Error):
            self.error = StoreError(f"The store declined: {error}.")
        elif isinstance(error, Exception):
            self.error = error
        return self.error is not None


def _open_writer(path: Path, does_checkpoint: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if does_checkpoint:
            _warn_of_old_sqlite(path)
        else:
            connection.execute("PRAGMA wal_autocheckpoint=0")
        _bring_up_to_date(connection, path)
    except (sqlite3.Error, SettingsError):
        connection.close()
        raise
    return connection


def _warn_of_old_sqlite(path: Path) -> None:
    if sqlite3.sqlite_version_info < SAFE_SQLITE:
        _log.warning(
            "SQLite %s has the WAL-reset bug (fixed in 3.51.3). The collector avoids it by writing through one "
            "connection; do not open %s for writing with other programs while it runs.",
            sqlite3.sqlite_version,
            path.name,
        )


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that can read the file but not change it."""
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _schema().split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")
    if version > SCHEMA_VERSION:
        raise SettingsError(
            f"{path} was written by a newer collector (schema {version}, this one knows {SCHEMA_VERSION}). "
            "Install that version again."
        )


def _schema() -> str:
    return files("server.store").joinpath("schema.sql").read_text(encoding="utf-8")
