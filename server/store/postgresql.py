"""A store in PostgreSQL, for many instruments or several collectors.

Batches and records lie in a partition for each month of receipt. Appending takes the row of `counters` first: collectors
that share a database append one after the other, and everything before that (signatures, decoding) they do at once.
Rows go in by COPY, after what is known already was left out.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import asyncpg

from server.errors import StoreError
from server.store.appending import SENDERS, Sender
from server.store.base import Job, Outcome, Reads, Store
from server.store.connection import to_uuid
from server.store.filed import RECORD_COLUMNS, FiledRecords, Numbered, Rank
from server.store.jobs import run_jobs
from server.store.postgresql_connection import PostgresConnection
from server.store.reads import SqlReads
from server.store.rows import OldRecord, RecordRow
from server.store.tables import Table, loaded
from server.store.versions import SCHEMA_VERSION, check_version
from server.store.writes import SqlWrites

PARTITIONED = ("batches", "records")
_SCHEMA_LOCK = 0x5C09E57A
"""Advisory lock under which one collector at a time makes the schema or a partition."""
_DECLINED = (asyncpg.PostgresError, asyncpg.InterfaceError)
_FAILED = (*_DECLINED, OSError, TimeoutError)
_SPARE_READERS = 8

_log = logging.getLogger(__name__)


class PostgresReads(SqlReads):
    """Reads where records lie in partitions."""

    batch_of_record = "batches b ON b.batch_id = r.batch_id AND b.received_at = r.received_at"

    def records_named(self, among: Sequence[str]) -> dict[str, RecordRow]:
        wanted = [one for one in map(to_uuid, among) if one is not None]
        sql = "SELECT position, received_at FROM record_ids WHERE record_id = ANY(?)"
        found = self._records_at(self._connection.fetch(sql, wanted)) if wanted else []
        return {row.record_id: row for row in found}

    def _records(self, where: str, *values: Any, order: str = "r.position") -> list[RecordRow]:
        sql = f"SELECT r.position, r.received_at FROM records r WHERE {where}"
        return self._records_at(self._connection.fetch(sql, *values), order)

    def _records_at(self, places: Sequence[tuple[Any, ...]], order: str = "r.position") -> list[RecordRow]:
        """Return the records at positions and times of receipt.

        Asked with values, not with a join: only then are the partitions known before the question is planned, and to plan
        for all of them costs more than to answer.
        """
        if not places:
            return []
        positions, times = [one[0] for one in places], sorted({one[1] for one in places})
        sql = f"""{self._record_of("records")} WHERE r.position = ANY(?) AND r.received_at = ANY(?) AND b.received_at = ANY(?)
            ORDER BY {order}"""
        return self._all(RecordRow, sql, positions, times, times)


class PostgresFiledRecords(FiledRecords):
    """Filing where `record_ids` keeps every record once, whatever partition it is in."""

    def add_records(self, numbered: list[Numbered]) -> list[Numbered]:
        seen = self._known([one[1][2].filed.record_id for one in numbered if one[1][2].filed is not None])
        new = []
        for one in numbered:
            filed = one[1][2].filed
            assert filed is not None
            if filed.record_id not in seen:
                seen.add(filed.record_id)
                new.append(one)
        values = [
            (*row, one[1][1].received_at) for row, one in zip(self.record_values(new), new, strict=True)
        ]
        self._connection.add("records", (*RECORD_COLUMNS, "received_at"), values)
        ids = [(row[1], row[4], row[-1], row[0]) for row in values]
        self._connection.add("record_ids", ("record_id", "instrument_key", "received_at", "position"), ids)
        return new

    def held(self, keys: Sequence[tuple[int, str]]) -> dict[tuple[int, str], Rank]:
        sql = """SELECT l.instrument_key, l.kind, l.counts_at, l.boot_id, l.monotonic_ns FROM latest l
            JOIN unnest(?::bigint[], ?::text[]) AS w (key, kind) ON l.instrument_key = w.key AND l.kind = w.kind"""
        found = self._connection.fetch(sql, [key for key, _ in keys], [kind for _, kind in keys])
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in found}

    def _known(self, record_ids: list[UUID]) -> set[UUID]:
        found = self._connection.fetch(
            "SELECT record_id FROM record_ids WHERE record_id = ANY(?)", record_ids
        )
        return {UUID(int=row[0].int) for row in found}


class PostgresWrites(SqlWrites, PostgresReads):
    """Writes to PostgreSQL."""

    filed_records = PostgresFiledRecords

    def _forget(self, given_up: Sequence[OldRecord]) -> None:
        super()._forget(given_up)
        ids = [UUID(one.record_id) for one in given_up]
        self._connection.do("DELETE FROM record_ids WHERE record_id = ANY(?)", ids)

    def load(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        if table.name == "batches":
            for month in {_month(row[table.columns.index("received_at")]) for row in values}:
                make_partitions(self._connection, month)
        if table.name == "records":
            self._load_records(table, values)
        else:
            super().load(table, values)
        if table.is_numbered:
            (key,) = table.key
            sql = f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key}'), greatest(max({key}), 1)) FROM {table.name}"
            self._connection.fetch(sql)

    def _load_records(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        """Records also say when they were received here, because that is where their partition is found by."""
        of = {name: number for number, name in enumerate(table.columns)}
        sql = "SELECT batch_id, received_at FROM batches WHERE batch_id = ANY(?)"
        received = dict(self._connection.fetch(sql, list({row[of["batch_id"]] for row in values})))
        whole = [
            (*(loaded(*one) for one in zip(table.columns, row, strict=True)), received[row[of["batch_id"]]])
            for row in values
        ]
        self._connection.add("records", (*table.columns, "received_at"), whole)
        wanted = ("record_id", "instrument_key", "received_at", "position")
        ids = [
            (row[of["record_id"]], row[of["instrument_key"]], row[-1], row[of["position"]]) for row in whole
        ]
        self._connection.add("record_ids", wanted, ids)

    # One question for a whole group: each would be a journey to the server and back.

    def standings(self, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[Any, ...]]:
        sql = """SELECT agent_id, spool_id, spool_key, mark, chain, n_skipped FROM spools
            JOIN unnest(?::text[], ?::text[]) AS w (agent, spool) ON agent_id = w.agent AND spool_id = w.spool"""
        found = self._connection.fetch(sql, [agent for agent, _ in names], [spool for _, spool in names])
        return {(row[0], row[1]): row[2:] for row in found}

    def senders(self, agent_ids: Sequence[str]) -> dict[str, Sender]:
        found = self._connection.fetch(f"{SENDERS} WHERE agent_id = ANY(?)", list(agent_ids))
        return {row[0]: Sender(*row[1:]) for row in found}

    def append_all(self, batches: Sequence[Any]) -> list[Outcome]:
        for month in {_month(batch.received_at) for batch in batches}:
            make_partitions(self._connection, month)
        return super().append_all(batches)


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
        except BaseException:
            self.close()
            raise

    def _open(self, dsn: str, *, is_reading: bool = False) -> PostgresConnection:
        try:
            return PostgresConnection(dsn, is_reading=is_reading)
        except (*_FAILED, ValueError) as error:
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
        except _FAILED as error:
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
            writer.do("BEGIN")
            outcomes = run_jobs(jobs, PostgresWrites(writer), writer.do, _DECLINED)
            writer.do("COMMIT")
        except _FAILED as error:
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


def _month(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def make_partitions(connection: Any, month: datetime) -> None:
    """Make the partitions of a month, unless they are there."""
    suffix = f"{month:%Y_%m}"
    if connection.fetch("SELECT to_regclass(?) IS NOT NULL", f"records_{suffix}")[0][0]:
        return
    after = _month(datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC))
    connection.do(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
    for table in PARTITIONED:
        connection.do(
            f"CREATE TABLE IF NOT EXISTS {table}_{suffix} PARTITION OF {table} "
            f"FOR VALUES FROM ('{month.isoformat()}') TO ('{after.isoformat()}')"
        )


def migrate(dsn: str, steps: Callable[[int], list[str]]) -> tuple[int, int]:
    """Bring the schema of a database forward in one transaction; return the versions before and after."""
    try:
        connection = PostgresConnection(dsn)
        with closing(connection):
            connection.do("BEGIN")
            connection.do(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
            (version,) = connection.fetch("SELECT version FROM schema_version FOR UPDATE")[0]
            for step in steps(version):
                connection.do(step)
            connection.do("UPDATE schema_version SET version = ?", SCHEMA_VERSION)
            connection.do("COMMIT")
    except _FAILED as error:
        raise StoreError(f"Cannot migrate the database: {error}. Nothing was changed.") from error
    return version, SCHEMA_VERSION


def _bring_up_to_date(connection: PostgresConnection) -> None:
    connection.do("BEGIN")
    connection.do(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
    if not connection.fetch("SELECT to_regclass('schema_version') IS NOT NULL")[0][0]:
        connection.do(files("server.store").joinpath("schema_postgresql.sql").read_text(encoding="utf-8"))
        connection.do("INSERT INTO schema_version VALUES (?)", SCHEMA_VERSION)
    (version,) = connection.fetch("SELECT version FROM schema_version")[0]
    connection.do("COMMIT")
    check_version(version, "The database")
