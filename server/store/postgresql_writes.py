"""Writing to PostgreSQL: whole groups in few statements, because each is a journey to the server and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

import asyncpg

from agent.records.wire import CHAIN_START
from server.store.appending import BATCH_COLUMNS, Held, Noted, Numbers, Sender, SpoolName
from server.store.base import Outcome
from server.store.filed import KEEP_NEWER, FiledRecords, Part, Ranked
from server.store.packing import PACKED_COLUMNS, USUAL_VERSION, packed
from server.store.partitions import make_for_batches, make_for_records
from server.store.postgresql_connection import PostgresConnection
from server.store.postgresql_reads import PostgresReads
from server.store.rows import Batch
from server.store.tables import Table, loaded
from server.store.writes import SqlWrites

_LATEST = KEEP_NEWER.replace(
    "{rows}",
    """SELECT * FROM unnest(?::bigint[], ?::text[], ?::uuid[], ?::timestamptz[], ?::timestamptz[], ?::text[], ?::bigint[],
                         ?::timestamptz[], ?::bytea[])""",
)


_STANDS = """
    SELECT w.agent, w.spool, spool_key, mark, chain, n_skipped, instrument_key, instrument_id, public_key, revoked_at,
        counters.batch_id, counters.position
    FROM unnest(?::text[], ?::text[]) AS w (agent, spool) CROSS JOIN counters
    LEFT JOIN spools ON spools.agent_id = w.agent AND spools.spool_id = w.spool
    LEFT JOIN (agents JOIN instruments USING (instrument_id)) ON agents.agent_id = w.agent"""
_NOTE = f"""
    WITH added AS (
        INSERT INTO batches ({", ".join(BATCH_COLUMNS)}) SELECT * FROM unnest(
            ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::text[],
            ?::text[], ?::timestamptz[], ?::bytea[])
    ), moved AS (
        UPDATE spools SET mark = w.mark, chain = w.chain, n_skipped = w.n_skipped, last_received_at = w.at
        FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::bigint[], ?::timestamptz[])
            AS w (spool_key, mark, chain, n_skipped, at) WHERE spools.spool_key = w.spool_key
    ), heard AS (
        UPDATE agents SET heard_at = w.at FROM unnest(?::text[], ?::timestamptz[]) AS w (agent_id, at)
        WHERE agents.agent_id = w.agent_id
    ) UPDATE counters SET batch_id = ?, position = ?"""


class PostgresFiledRecords(FiledRecords):
    """Filing of records that nobody has sent before: the index of ids of each partition keeps every record once."""

    def add_records(self, parts: Sequence[Part]) -> Sequence[Part]:
        if ids := _ids_of(parts):
            connection = _postgres(self._connection)
            make_for_records(connection, ids, parts[-1].batch.received_at)
            connection.add_packed("records", PACKED_COLUMNS, packed(parts, self._kinds, self._instruments))
        return parts

    def _kind_key(self, kind: str) -> int:
        known = _postgres(self._connection).kinds
        if kind not in known:
            found = self._connection.one("SELECT kind_key FROM kinds WHERE kind = ?", kind)
            if found is None:
                return super()._kind_key(kind)  # not remembered yet: it may be undone
            known[kind] = int(found[0])
        return known[kind]

    def keep_newer(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        if not ranked:
            return []
        bound = self._connection.bound
        values = [[bound(value) for value in row] for row in self.latest_values(ranked)]
        kept = set(self._connection.fetch(_LATEST, *_columns(values, 9)))
        return [one for one in ranked if one[:2] in kept]


class _AskingFirst(PostgresFiledRecords):
    """Filing of records of which some may be known."""

    def add_records(self, parts: Sequence[Part]) -> Sequence[Part]:
        unknown = self._unknown(parts)
        return super().add_records([part.only(unknown) for part in parts])

    def _unknown(self, parts: Sequence[Part]) -> set[int]:
        """Return the positions of what is not filed yet, each once."""
        # One id after the other: for each only the partition is looked into that may have it.
        sql = """SELECT w.id FROM unnest(?::uuid[]) AS w (id),
            LATERAL (SELECT 1 FROM records WHERE record_id = w.id OFFSET 0) AS there"""
        ids = _ids_of(parts)
        seen = {row[0].int for row in self._connection.fetch(sql, ids)}
        unknown = set()
        for position, record_id in zip(
            chain.from_iterable(part.positions for part in parts), ids, strict=True
        ):
            if record_id.int not in seen:
                seen.add(record_id.int)
                unknown.add(position)
        return unknown


class PostgresWrites(SqlWrites, PostgresReads):
    """Writes to PostgreSQL."""

    filed_records = PostgresFiledRecords

    def append_all(self, batches: Sequence[Batch]) -> list[Outcome]:
        # Hardly ever is a record known already: that is not asked beforehand, but found out.
        connection = _postgres(self._connection)
        connection.soon("SAVEPOINT appending")
        try:
            return super().append_all(batches)
        except asyncpg.UniqueViolationError:
            connection.soon("ROLLBACK TO SAVEPOINT appending")
            self.filed_records = _AskingFirst
            return super().append_all(batches)

    def hold_all(self, names: Collection[SpoolName]) -> Held:
        connection = _postgres(self._connection)
        connection.soon("SELECT FROM counters FOR UPDATE")
        found = connection.fetch(_STANDS, *_columns(list(names), 2))
        numbers = Numbers(*found[0][10:])
        make_for_batches(connection, numbers.batch_id)
        spools = {row[:2]: row[2:6] for row in found if row[2] is not None}
        return Held(numbers, spools, {row[0]: Sender(*row[6:10]) for row in found if row[6] is not None})

    def new_spools(self, began: Mapping[SpoolName, datetime]) -> dict[SpoolName, int]:
        sql = """INSERT INTO spools (agent_id, spool_id, mark, chain, first_received_at, last_received_at)
            SELECT w.agent, w.spool, 0, ?, w.at, w.at FROM unnest(?::text[], ?::text[], ?::timestamptz[]) AS w (agent, spool, at)
            RETURNING agent_id, spool_id, spool_key"""
        found = self._connection.fetch(sql, CHAIN_START, *_columns(list(began), 2), list(began.values()))
        return {(row[0], row[1]): row[2] for row in found}

    def note_all(self, noted: Noted) -> None:
        batches = _columns(noted.batches, len(BATCH_COLUMNS))
        self._connection.do(
            _NOTE, *batches, *_columns(noted.spools, 5), *_columns(noted.heard, 2), *noted.numbers
        )

    # Copies of stores

    def load(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        self._make_partitions(table, values)
        super().load(
            table,
            _without_usual(values, table.columns.index("schema_version"))
            if table.name == "records"
            else values,
        )
        if table.is_numbered:
            (key,) = table.key
            sql = f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key}'), greatest(max({key}), 1)) FROM {table.name}"
            self._connection.fetch(sql)

    def _make_partitions(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        connection = _postgres(self._connection)
        if table.name == "batches":
            column = table.columns.index("batch_id")
            for after in {row[column] - 1 for row in values}:
                make_for_batches(connection, after)
        if table.name == "records":
            column = table.columns.index("record_id")
            ids = [loaded("record_id", row[column]) for row in values]
            ((until,),) = connection.fetch("SELECT max(last_received_at) FROM spools")
            make_for_records(connection, ids, until or datetime.now(UTC))


def _columns(rows: Sequence[Sequence[Any]], n: int) -> list[list[Any]]:
    """Return rows of `n` values as columns, also when there are none."""
    return [[row[number] for row in rows] for number in range(n)]


def _without_usual(values: Sequence[Sequence[Any]], column: int) -> list[list[Any]]:
    return [
        [None if number == column and value == USUAL_VERSION else value for number, value in enumerate(row)]
        for row in values
    ]


def _postgres(connection: Any) -> PostgresConnection:
    assert isinstance(connection, PostgresConnection)
    return connection


def _ids_of(parts: Sequence[Part]) -> list[UUID]:
    return [filed.record_id for part in parts for line in part.lines if (filed := line.filed) is not None]
