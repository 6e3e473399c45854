"""A store in PostgreSQL, for many instruments or several collectors.

Appending takes the row of `counters` first: collectors that share a database append one after the other, and everything
before that (signatures, decoding) they do at once. Rows go in by COPY.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files

import asyncpg

from server.errors import StoreError
from server.store.base import Job, Outcome, Reads, Store
from server.store.jobs import run_jobs
from server.store.postgresql_connection import PostgresConnection
from server.store.postgresql_reads import PostgresReads
from server.store.postgresql_writes import PostgresWrites
from server.store.versions import SCHEMA_VERSION, check_version

SCHEMA_LOCK = 0x5C09E57A
"""Advisory lock under which one collector at a time makes the schema."""
_DECLINED = (asyncpg.PostgresError, asyncpg.InterfaceError)
FAILED = (*_DECLINED, OSError, TimeoutError)
_SPARE_READERS = 8

_log = logging.getLogger(__name__)


class PostgresStore(Store):
    """Opens a database; makes the schema in an empty one.

    Parameters
    ----------
    dsn : str
        Address as ``postgresql://user:password@host/database``.
    reading_dsn : str, optional
        Address of a replica to read from; what was just written may be missing there for a moment. While it cannot be
        reached, the database itself is read.
    """

    def __init__(self, dsn: str, reading_dsn: str | None = None) -> None:
        self._dsn = dsn
        self._free_readers: dict[str, deque[PostgresConnection]] = {
            one: deque() for one in (reading_dsn or dsn, dsn)
        }
        self._writer: PostgresConnection | None = self._open(dsn)
        try:
            _bring_up_to_date(self._writer)
        except FAILED as error:
            self.close()
            raise StoreError(
                f"Cannot open the database: {error}. Is `scopestamp-server migrate` at work on it?"
            ) from error
        except BaseException:
            self.close()
            raise

    def _open(self, dsn: str, *, is_reading: bool = False) -> PostgresConnection:
        try:
            return PostgresConnection(dsn, is_reading=is_reading)
        except (*FAILED, ValueError) as error:
            raise StoreError(
                f"Cannot reach PostgreSQL: {error}. Check the server and [store] postgresql."
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Reads]:
        with self._lent(self._reader()) as connection:
            yield PostgresReads(connection)

    @contextmanager
    def reading_newest(self) -> Iterator[Reads]:
        with self._lent(self._reader(self._dsn)) as connection:
            yield PostgresReads(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        with self._lent(self._reader()) as connection:
            connection.do("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield PostgresReads(connection)
            finally:
                if not connection.is_lost:
                    connection.do("ROLLBACK")

    def _reader(self, only: str | None = None) -> tuple[str, PostgresConnection]:
        """Return an address and a connection to it: of the replica if there is one, of the database when it is away."""
        *others, last = (only,) if only else self._free_readers
        for dsn in others:
            try:
                return dsn, self._spare_or_new(dsn)
            except StoreError as error:
                _log.warning("The replica is away, the database itself is read. %s", error)
        return last, self._spare_or_new(last)

    def _spare_or_new(self, dsn: str) -> PostgresConnection:
        free = self._free_readers[dsn]
        while free:
            connection = free.pop()
            if not connection.is_lost:
                return connection
            connection.close()
        return self._open(dsn, is_reading=True)

    @contextmanager
    def _lent(self, reader: tuple[str, PostgresConnection]) -> Iterator[PostgresConnection]:
        dsn, connection = reader
        free = self._free_readers[dsn]
        try:
            yield connection
        except FAILED as error:
            raise StoreError(f"Cannot read from PostgreSQL: {error}.") from error
        finally:
            free.append(connection)
            if connection.is_lost:  # then so are the others, which do not know it yet
                _close_all(free)
            elif len(free) > _SPARE_READERS:
                free.pop().close()

    def write(self, jobs: Sequence[Job]) -> list[Outcome]:
        if self._writer is None or self._writer.is_lost:
            self._writer = self._open(self._dsn)
        writer = self._writer
        try:
            writer.soon("BEGIN ISOLATION LEVEL READ COMMITTED")
            outcomes = run_jobs(jobs, PostgresWrites(writer), writer.soon, _DECLINED)
            writer.do("COMMIT")
        except FAILED as error:
            self._give_up(writer)
            raise StoreError(f"Cannot write to PostgreSQL: {error}. Nothing of it was kept.") from error
        except BaseException:
            self._give_up(writer)
            raise
        return outcomes

    def _give_up(self, writer: PostgresConnection) -> None:
        """Close the connection, which undoes its transaction; the next write opens another."""
        self._writer = None
        writer.close()

    def close(self) -> None:
        for free in self._free_readers.values():
            _close_all(free)
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _close_all(connections: deque[PostgresConnection]) -> None:
    while connections:
        connections.pop().close()


def _bring_up_to_date(connection: PostgresConnection) -> None:
    connection.do("BEGIN")
    connection.do(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
    if not connection.fetch("SELECT to_regclass('schema_version') IS NOT NULL")[0][0]:
        connection.do(files("server.store").joinpath("schema_postgresql.sql").read_text(encoding="utf-8"))
        connection.do("INSERT INTO schema_version VALUES (?)", SCHEMA_VERSION)
    (version,) = connection.fetch("SELECT version FROM schema_version")[0]
    connection.do("COMMIT")
    check_version(version, "The database")
