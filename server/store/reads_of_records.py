"""Records, the newest of each kind, and the quarantine, in the SQL that the engines share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from server.store import rows
from server.store.base import Reads
from server.store.connection import SqlRows, marks, plain, to_uuid
from server.store.finding import KEY, LAST
from server.store.tables import Table, loaded

_QUARANTINE = """
    SELECT q.position, s.agent_id, s.spool_id, q.seq, q.batch_id, q.line, q.reason, q.message, q.kind, q.name, q.received_at
    FROM quarantine q JOIN batches b USING (batch_id) JOIN spools s USING (spool_key)"""
_LATEST = "SELECT kind, record_id, captured_at, received_at, raw FROM latest"


class RecordReads(SqlRows, Reads):
    """The part of the reads that looks there."""

    version_of_record: ClassVar[str] = "r.schema_version"

    def _beyond(self, sign: str, position: int) -> tuple[str, list[Any]]:
        """Return the condition that the position of a record `r` is less or greater than that, and its values."""
        return f"r.position {sign} ?", [position]

    def _by_position(self, way: str = "ASC") -> str:
        """Return the order of records `r` by position, as an index has it."""
        return f"r.position {way}"

    def _records(self, where: str, *values: Any, order: str = "r.position") -> list[rows.RecordRow]:
        """Return records that satisfy a condition, which may end in an order and a limit.

        They are chosen before anything is joined: a planner that may choose otherwise does so with ten million.
        """
        chosen = f"(SELECT * FROM records r WHERE {where})"
        return self._all(rows.RecordRow, f"{self._record_of(chosen)} ORDER BY {order}", *values)

    def _record_of(self, chosen: str) -> str:
        return f"""
            SELECT r.position, r.record_id, k.kind, {self.version_of_record}, i.instrument_id, r.acquisition_id, r.captured_at,
                   b.received_at, s.agent_id, s.spool_id, b.first_seq + r.line, r.batch_id, r.line
            FROM {chosen} r JOIN batches b USING (batch_id) JOIN spools s USING (spool_key) JOIN kinds k USING (kind_key)
            JOIN instruments i ON i.instrument_key = r.instrument_key"""

    def record(self, record_id: str) -> rows.RecordRow | None:
        return next(iter(self.records_named([record_id]).values()), None)

    def records_named(self, among: Sequence[str]) -> dict[str, rows.RecordRow]:
        wanted = [one for one in map(to_uuid, among) if one is not None]
        found = self._records(f"r.record_id IN ({marks(wanted)})", *wanted) if wanted else []
        return {row.record_id: row for row in found}

    def records(
        self, instrument_id: str | None = None, kind: str | None = None, after: int = 0, limit: int = 100
    ) -> list[rows.RecordRow]:
        wanted = {
            f"r.instrument_key = {KEY}": instrument_id,
            "r.kind_key = (SELECT kind_key FROM kinds WHERE kind = ?)": kind,
        }
        clauses = [clause for clause, value in wanted.items() if value is not None]
        values = [value for value in wanted.values() if value is not None]
        beyond, place = self._beyond(">", after)
        where = " AND ".join([*clauses, beyond])
        return self._records(f"{where} ORDER BY {self._by_position()} LIMIT ?", *values, *place, limit)

    def last_position(self) -> int:
        sql = f"SELECT r.position FROM records r ORDER BY {self._by_position('DESC')} LIMIT 1"
        found = self._connection.one(sql)
        return found[0] if found else 0

    def last_of_kind(self, kind: str) -> dict[str, int]:
        sql = f"""
            SELECT i.instrument_id, (SELECT r.position FROM records r
                WHERE r.instrument_key = i.instrument_key AND r.kind_key = k.kind_key
                ORDER BY {self._by_position("DESC")} LIMIT 1)
            FROM kinds k CROSS JOIN instruments i WHERE k.kind = ?"""
        found = self._connection.fetch(sql, kind)
        return {instrument_id: position for instrument_id, position in found if position is not None}

    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        beyond, place = self._beyond("<", LAST if before is None else before)
        where = f"""r.instrument_key = {KEY} AND r.kind_key = (SELECT kind_key FROM kinds WHERE kind = ?)
            AND {beyond} ORDER BY {self._by_position("DESC")} LIMIT ?"""
        return self._records(where, instrument_id, kind, *place, limit, order="r.position DESC")

    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        found = self._all(rows.LatestRecord, f"{_LATEST} WHERE instrument_key = {KEY}", instrument_id)
        return {one.kind: one for one in found}

    def instruments_with(self, kind: str, since: datetime) -> set[str]:
        sql = """SELECT instrument_id FROM latest JOIN instruments USING (instrument_key)
            WHERE kind = ? AND received_at >= ?"""
        return {instrument_id for (instrument_id,) in self._connection.fetch(sql, kind, since)}

    def quarantine(self, before: int | None = None, limit: int = 50) -> list[rows.QuarantineRow]:
        sql = f"{_QUARANTINE} WHERE q.position < ? ORDER BY q.position DESC LIMIT ?"
        return self._all(rows.QuarantineRow, sql, LAST if before is None else before, limit)

    def quarantined(self, position: int) -> rows.QuarantineRow | None:
        return self._one(rows.QuarantineRow, f"{_QUARANTINE} WHERE q.position = ?", position)

    def n_quarantined(self) -> int:
        return int(self._connection.fetch("SELECT count(*) FROM quarantine")[0][0])

    def last_received_before(self, moment: datetime) -> int:
        beyond, _ = self._beyond(">", 0)
        sql = f"""SELECT chosen.position, b.received_at FROM (SELECT position, batch_id FROM records r
            WHERE {beyond} ORDER BY {self._by_position()} LIMIT 1) AS chosen JOIN batches b USING (batch_id)"""
        first, last = 0, self.last_position()
        while first < last:  # halved: there may be a thousand million
            middle = (first + last) // 2
            found = self._connection.one(sql, *self._beyond(">", middle)[1])
            if found is not None and plain("at", found[1]) < moment:
                first = found[0]
            else:  # or it was given up a moment ago
                last = middle
        return first

    def old_records(
        self, kind: str, before: datetime, after: int = 0, limit: int = 1000, until: int = LAST
    ) -> list[rows.OldRecord]:
        (beyond, place), (within, end) = self._beyond(">", after), self._beyond("<", until + 1)
        sql = f"""
            SELECT r.position, r.record_id, i.instrument_id, r.captured_at, r.batch_id, r.line
            FROM records r JOIN batches b USING (batch_id) JOIN instruments i ON i.instrument_key = r.instrument_key
            WHERE r.kind_key = (SELECT kind_key FROM kinds WHERE kind = ?) AND {beyond} AND {within} AND b.received_at < ?
            ORDER BY {self._by_position()} LIMIT ?"""
        return self._all(rows.OldRecord, sql, kind, *place, *end, before, limit)

    def dump(
        self, table: Table, after: Sequence[Any] | None = None, limit: int = 1000
    ) -> list[tuple[Any, ...]]:
        columns: Sequence[str] = table.columns
        order = ", ".join(table.key)
        beyond = "TRUE" if after is None else f"({order}) > ({marks(table.key)})"
        values = [] if after is None else [loaded(*one) for one in zip(table.key, after, strict=True)]
        if table.name == "records":
            order = self._by_position()
            beyond, values = self._beyond(">", after[0] if after else 0)
            columns = [self.version_of_record if one == "schema_version" else one for one in columns]
        sql = f"SELECT {', '.join(columns)} FROM {table.name} r WHERE {beyond} ORDER BY {order} LIMIT ?"
        found = self._connection.fetch(sql, *values, limit)
        return [tuple(plain(*one) for one in zip(table.columns, row, strict=True)) for row in found]
