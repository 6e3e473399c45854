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

from server.errors import SettingsError, StoreError
from server.store.base import Job, Outcome, Reads, Store
from server.store.jobs import run_jobs
from server.store.reads import SqlReads
from server.store.sqlite_connection import SqliteConnection
from server.store.sqlite_writes import SqliteWrites
from server.store.versions import SCHEMA_VERSION, check_version

FILE_NAME = "collector.sqlite"
SAFE_SQLITE = (3, 51, 3)
BUSY_TIMEOUT_S = 10.0
_CHECKPOINT_PAGES = 8_000
_CACHE_KIB = 64 << 10
"""Pages the writer keeps: the index of record ids is written all over."""

_log = logging.getLogger(__name__)


class SqliteStore(Store):
    """Opens, or makes, the store in a folder.

    Parameters
    ----------
    folder : Path
        The collector's data folder; made when missing.
    does_checkpoint : bool
        True for the collector itself, False for a command beside it.
    file_name : str
        Another name than usual, as a backup has.
    """

    def __init__(self, folder: Path, *, does_checkpoint: bool = True, file_name: str = FILE_NAME) -> None:
        self.path = folder / file_name
        self._free_readers: deque[sqlite3.Connection] = deque()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = _open_writer(self.path, does_checkpoint)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"Cannot open {self.path}: {error}. Check that the folder exists and may be written."
            ) from error
        self._writes = SqliteWrites(SqliteConnection(self._writer))

    @contextmanager
    def reading(self) -> Iterator[Reads]:
        with self._lent() as connection:
            yield SqlReads(SqliteConnection(connection))

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        with self._lent() as connection:
            connection.execute("BEGIN")
            try:
                yield SqlReads(SqliteConnection(connection))
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._free_reader()
            try:
                yield connection
            finally:
                self._free_readers.append(connection)
        except sqlite3.Error as error:
            raise StoreError(f"Cannot read {self.path}: {error}.") from error

    def _free_reader(self) -> sqlite3.Connection:
        try:
            return self._free_readers.pop()
        except IndexError:
            return open_reader(self.path)

    def write(self, jobs: Sequence[Job]) -> list[Outcome]:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = run_jobs(jobs, self._writes, self._run, sqlite3.Error)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"Cannot write to {self.path}: {error}. Nothing of it was kept.") from error
        finally:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        return outcomes

    def _run(self, statement: str) -> None:
        self._writer.execute(statement)

    def close(self) -> None:
        while self._free_readers:
            self._free_readers.pop().close()
        self._writer.close()


def _open_writer(path: Path, does_checkpoint: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        if does_checkpoint:
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
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
    check_version(version or SCHEMA_VERSION, str(path))


def _schema() -> str:
    return files("server.store").joinpath("schema_sqlite.sql").read_text(encoding="utf-8")
