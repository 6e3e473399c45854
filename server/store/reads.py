"""Questions to a store, in the SQL that its engines share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from pydantic import ValidationError

from agent.records import Change, ReadingStatus
from agent.records.wire import CHAIN_START
from server.store import rows
from server.store.chains import chain_within
from server.store.connection import plain, row_of, times_of, to_uuid
from server.store.finding import ACQUISITION, marks, page
from server.store.tables import Table, loaded
from server.store.using_days import DayReads

_LAST = 2**62
_AT_ONCE = 500
_SPOOL = "SELECT agent_id, spool_id, mark, chain, n_skipped, first_received_at, last_received_at FROM spools"
_BATCH = """
    SELECT batch_id, agent_id, spool_id, first_seq, last_seq - first_seq + 1, n_known, prev, b.chain, path, headers, body,
           body_sha256, received_at
    FROM batches b JOIN spools USING (spool_key)"""
_QUARANTINE = """
    SELECT q.position, s.agent_id, s.spool_id, q.seq, q.batch_id, q.line, q.reason, q.message, q.kind, q.name, q.received_at
    FROM quarantine q JOIN batches b USING (batch_id) JOIN spools s USING (spool_key)"""
_AGENT = """
    SELECT agent_id, public_key, instrument_id, hostname, platform, version, enrolled_at, heard_at, revoked_at
    FROM agents"""
_JOIN_CODE = """
    SELECT code_sha256, instrument_name, site, instrument_id, made_by, made_at, expires_at, used_by, used_at
    FROM join_codes"""
_USER = "SELECT name, role, password, added_at, scope, ends_at, subject FROM users"
_GRANT = "SELECT secret_sha256, purpose, name, role, made_at, expires_at, scope FROM grants"
_AUDIT = "SELECT at, who, action, outcome, detail, address, chain, position FROM audit"
_LATEST = "SELECT kind, record_id, captured_at, received_at, raw FROM latest"
_KEY = "(SELECT instrument_key FROM instruments WHERE instrument_id = ?)"
_QC_RUN = """
    SELECT position, record_id, i.instrument_id, run_id, series_key, routine, status, captured_at, acquisition_id
    FROM qc_runs JOIN instruments i USING (instrument_key)"""
_QC_POINT = """
    SELECT metric, captured_at, position, record_id, status, unit, value, uncertainty, expected, baseline, lower_limit,
           upper_limit
    FROM qc_figures"""


class SqlReads(DayReads):
    """Reads through one connection that nobody else uses at the same time."""

    version_of_record: ClassVar[str] = "r.schema_version"

    def _beyond(self, sign: str, position: int) -> tuple[str, list[Any]]:
        """Return the condition that the position of a record `r` is less or greater than that, and its values."""
        return f"r.position {sign} ?", [position]

    def _by_position(self, way: str = "ASC") -> str:
        """Return the order of records `r` by position, as an index has it."""
        return f"r.position {way}"

    # People and machines

    def instrument(self, instrument_id: str) -> rows.Instrument | None:
        sql = "SELECT instrument_id, name, site, added_at, model FROM instruments WHERE instrument_id = ?"
        return self._one(rows.Instrument, sql, instrument_id)

    def instruments(self, limit: int | None = None) -> list[rows.Instrument]:
        sql = """SELECT instrument_id, name, site, added_at, model FROM instruments
            ORDER BY name, instrument_id LIMIT ?"""
        return self._all(rows.Instrument, sql, _LAST if limit is None else limit)

    def agent(self, agent_id: str) -> rows.Agent | None:
        return self._one(rows.Agent, f"{_AGENT} WHERE agent_id = ?", agent_id)

    def agents(self, instrument_id: str | None = None) -> list[rows.Agent]:
        if instrument_id is None:
            return self._all(rows.Agent, f"{_AGENT} ORDER BY enrolled_at DESC")
        return self._all(
            rows.Agent, f"{_AGENT} WHERE instrument_id = ? ORDER BY enrolled_at DESC", instrument_id
        )

    def join_code(self, code_sha256: str) -> rows.JoinCode | None:
        return self._one(rows.JoinCode, f"{_JOIN_CODE} WHERE code_sha256 = ?", code_sha256)

    def join_codes(self) -> list[rows.JoinCode]:
        return self._all(rows.JoinCode, f"{_JOIN_CODE} ORDER BY made_at DESC LIMIT 100")

    def user(self, name: str) -> rows.User | None:
        return self._one(rows.User, f"{_USER} WHERE name = ?", name)

    def users(self) -> list[rows.User]:
        return self._all(rows.User, f"{_USER} ORDER BY name")

    def grant(self, secret_sha256: str) -> rows.Grant | None:
        return self._one(rows.Grant, f"{_GRANT} WHERE secret_sha256 = ?", secret_sha256)

    def tokens(self) -> list[rows.Grant]:
        return self._all(rows.Grant, f"{_GRANT} WHERE purpose = 'token' ORDER BY name, made_at DESC")

    def audit(self, limit: int = 100, before: int | None = None, search: str = "") -> list[rows.AuditEntry]:
        where, values = "position < ?", [_LAST if before is None else before]
        for word in search.lower().split():
            where += " AND lower(who || ' ' || action || ' ' || outcome || ' ' || detail || ' ' || address) LIKE ? ESCAPE '!'"
            values.append(f"%{word.replace('!', '!!').replace('%', '!%').replace('_', '!_')}%")
        return self._all(
            rows.AuditEntry, f"{_AUDIT} WHERE {where} ORDER BY position DESC LIMIT ?", *values, limit
        )

    # Spools and batches

    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None:
        return self._one(rows.Spool, f"{_SPOOL} WHERE agent_id = ? AND spool_id = ?", agent_id, spool_id)

    def spools(self) -> list[rows.Spool]:
        return self._all(rows.Spool, f"{_SPOOL} ORDER BY last_received_at DESC")

    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        spool = self.spool(agent_id, spool_id)
        if seq == 0 or spool is None or seq > spool.mark:
            return CHAIN_START if seq == 0 else None
        if seq == spool.mark:
            return spool.chain
        sql = "SELECT k.chain FROM skips k JOIN spools USING (spool_key) WHERE agent_id = ? AND spool_id = ? AND last_seq = ?"
        found = self._connection.one(sql, agent_id, spool_id, seq)
        return found[0] if found else self._chain_inside(agent_id, spool_id, seq)

    def _chain_inside(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        sql = f"{_BATCH} WHERE agent_id = ? AND spool_id = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"
        found = self._connection.one(sql, agent_id, spool_id, seq)
        return chain_within(_batch(found), seq) if found else None

    def batch(self, batch_id: int) -> rows.StoredBatch | None:
        found = self._connection.one(f"{_BATCH} WHERE batch_id = ?", batch_id)
        return _batch(found) if found else None

    def batches_of(self, among: Sequence[rows.RecordRow | rows.QuarantineRow]) -> dict[int, rows.StoredBatch]:
        ids = {row.batch_id for row in among}
        sql = f"{_BATCH} WHERE batch_id IN ({marks(ids)})"
        found = self._connection.fetch(sql, *sorted(ids)) if among else []
        return {batch.batch_id: batch for batch in map(_batch, found)}

    def batches(self, after: int = 0, limit: int = 100) -> list[rows.StoredBatch]:
        sql = f"{_BATCH} WHERE batch_id > ? ORDER BY batch_id LIMIT ?"
        return [_batch(found) for found in self._connection.fetch(sql, after, limit)]

    # Records

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
            f"r.instrument_key = {_KEY}": instrument_id,
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

    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        beyond, place = self._beyond("<", _LAST if before is None else before)
        where = f"""r.instrument_key = {_KEY} AND r.kind_key = (SELECT kind_key FROM kinds WHERE kind = ?)
            AND {beyond} ORDER BY {self._by_position("DESC")} LIMIT ?"""
        return self._records(where, instrument_id, kind, *place, limit, order="r.position DESC")

    def last_of_kind(self, kind: str) -> dict[str, int]:
        sql = f"""
            SELECT i.instrument_id, (SELECT r.position FROM records r
                WHERE r.instrument_key = i.instrument_key AND r.kind_key = k.kind_key
                ORDER BY {self._by_position("DESC")} LIMIT 1)
            FROM kinds k CROSS JOIN instruments i WHERE k.kind = ?"""
        found = self._connection.fetch(sql, kind)
        return {instrument_id: position for instrument_id, position in found if position is not None}

    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        found = self._all(rows.LatestRecord, f"{_LATEST} WHERE instrument_key = {_KEY}", instrument_id)
        return {one.kind: one for one in found}

    def changes(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeRow]:
        sql = """SELECT position, record_id, i.instrument_id, acquisition_id, change FROM changes
            JOIN instruments i USING (instrument_key)"""
        found = self._changes(sql, instrument_id, before, limit, device)
        return [row for row in map(_with_change, found) if row is not None]

    def change_marks(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeMark]:
        sql = "SELECT position, device, property, last_at FROM changes"
        found = self._changes(sql, instrument_id, before, limit, device)
        times = times_of(row[3] for row in found)
        return [rows.ChangeMark(row[0], row[1], row[2], at) for row, at in zip(found, times, strict=True)]

    def changes_in_short(self, instrument_id: str, positions: Sequence[int]) -> dict[int, rows.ChangeInShort]:
        found: dict[int, rows.ChangeInShort] = {}
        for start in range(0, len(positions), _AT_ONCE):
            some = positions[start : start + _AT_ONCE]
            sql = f"""SELECT position, record_id, device, last_at, change FROM changes
                WHERE position IN ({marks(some)}) AND instrument_key = {_KEY}"""
            found |= {row[0]: _in_short(row) for row in self._connection.fetch(sql, *some, instrument_id)}
        return found

    def _changes(
        self, sql: str, instrument_id: str, before: rows.Place | None, limit: int, device: str | None
    ) -> list[tuple[Any, ...]]:
        where, values = page("last_at", before)
        if device is not None:
            where, values = f"device = ? AND {where}", [device, *values]
        whole = (
            f"{sql} WHERE instrument_key = {_KEY} AND {where} ORDER BY last_at DESC, position DESC LIMIT ?"
        )
        return self._connection.fetch(whole, instrument_id, *values, limit)

    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None:
        wanted = to_uuid(acquisition_id)
        return (
            self._one(rows.AcquisitionRow, f"{ACQUISITION} WHERE acquisition_id = ?", wanted)
            if wanted
            else None
        )

    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        where, values = page("began_at", before)
        sql = f"{ACQUISITION} WHERE instrument_key = {_KEY} AND {where} ORDER BY began_at DESC, position DESC LIMIT ?"
        return self._all(rows.AcquisitionRow, sql, instrument_id, *values, limit)

    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        wanted = to_uuid(acquisition_id)
        sql = """
            SELECT record_id, first_frame, n_frames FROM ledgers WHERE acquisition_id = ?
            ORDER BY first_frame, record_id"""
        return self._all(rows.LedgerRow, sql, wanted) if wanted else []

    def quarantine(self, before: int | None = None, limit: int = 50) -> list[rows.QuarantineRow]:
        sql = f"{_QUARANTINE} WHERE q.position < ? ORDER BY q.position DESC LIMIT ?"
        return self._all(rows.QuarantineRow, sql, _LAST if before is None else before, limit)

    def quarantined(self, position: int) -> rows.QuarantineRow | None:
        return self._one(rows.QuarantineRow, f"{_QUARANTINE} WHERE q.position = ?", position)

    def n_quarantined(self) -> int:
        return int(self._connection.fetch("SELECT count(*) FROM quarantine")[0][0])

    # Quality control

    def qc_series(self, instrument_id: str) -> list[rows.QcSeriesRow]:
        sql = f"""
            SELECT i.instrument_id, series_key, routine, light_path, n_runs, record_id, captured_at, status
            FROM qc_series JOIN instruments i USING (instrument_key) WHERE instrument_key = {_KEY}
            ORDER BY captured_at DESC, series_key"""
        found = self._connection.fetch(sql, instrument_id)
        return [row_of(rows.QcSeriesRow, (*row[:3], json.loads(row[3]), *row[4:])) for row in found]

    def qc_runs(
        self,
        instrument_id: str,
        series_key: str | None = None,
        before: rows.Place | None = None,
        limit: int = 50,
    ) -> list[rows.QcRunRow]:
        where, values = page("captured_at", before)
        if series_key is not None:
            where, values = f"series_key = ? AND {where}", [series_key, *values]
        sql = f"{_QC_RUN} WHERE instrument_key = {_KEY} AND {where} ORDER BY captured_at DESC, position DESC LIMIT ?"
        return self._all(rows.QcRunRow, sql, instrument_id, *values, limit)

    def qc_run(self, run_id: str) -> rows.QcRunRow | None:
        wanted = to_uuid(run_id)
        return (
            self._one(rows.QcRunRow, f"{_QC_RUN} WHERE run_id = ? ORDER BY position DESC LIMIT 1", wanted)
            if wanted
            else None
        )

    def qc_runs_on(self, acquisition_id: str) -> list[rows.QcRunRow]:
        wanted = to_uuid(acquisition_id)
        sql = f"{_QC_RUN} WHERE acquisition_id = ? ORDER BY captured_at DESC, position DESC"
        return self._all(rows.QcRunRow, sql, wanted) if wanted else []

    def qc_points(
        self,
        instrument_id: str,
        series_key: str,
        metric: str | None = None,
        since: datetime | None = None,
        newest: int | None = None,
    ) -> list[rows.QcPoint]:
        where, values = f"instrument_key = {_KEY} AND series_key = ?", [instrument_id, series_key]
        if metric is not None:
            where, values = f"{where} AND metric = ?", [*values, metric]
        if since is not None:
            where, values = f"{where} AND captured_at >= ?", [*values, since]
        if newest is not None and (first := self._nth_newest_run(instrument_id, series_key, newest)):
            where, values = f"{where} AND captured_at >= ?", [*values, first]
        found = self._connection.fetch(
            f"{_QC_POINT} WHERE {where} ORDER BY metric, captured_at, position", *values
        )
        # By hand: years of a series are thousands of figures, and those of one run share its time and its record.
        times = {raw: plain("at", raw) for raw in {row[1] for row in found}}
        ids = {raw: plain("record_id", raw) for raw in {row[3] for row in found}}
        return [rows.QcPoint(row[0], times[row[1]], row[2], ids[row[3]], *row[4:]) for row in found]

    def _nth_newest_run(self, instrument_id: str, series_key: str, n: int) -> Any:
        """Return when the run was that has n - 1 after it, as the engine holds it; None when there are fewer."""
        sql = f"""SELECT captured_at FROM qc_runs WHERE instrument_key = {_KEY} AND series_key = ?
            ORDER BY captured_at DESC, position DESC LIMIT 1 OFFSET ?"""
        found = self._connection.one(sql, instrument_id, series_key, n - 1)
        return found[0] if found else None

    # Checkpoints

    def checkpoints(self, limit: int | None = None) -> list[rows.Checkpoint]:
        sql = "SELECT n_batches, root, edge, note, made_at FROM checkpoints ORDER BY n_batches DESC LIMIT ?"
        return self._all(rows.Checkpoint, sql, _LAST if limit is None else limit)

    # Looking after the store

    def old_records(
        self, kind: str, before: datetime, after: int = 0, limit: int = 1000
    ) -> list[rows.OldRecord]:
        beyond, place = self._beyond(">", after)
        sql = f"""
            SELECT r.position, r.record_id, i.instrument_id, r.captured_at, r.batch_id, r.line
            FROM records r JOIN batches b USING (batch_id) JOIN instruments i ON i.instrument_key = r.instrument_key
            WHERE r.kind_key = (SELECT kind_key FROM kinds WHERE kind = ?) AND {beyond} AND b.received_at < ?
            ORDER BY {self._by_position()} LIMIT ?"""
        return self._all(rows.OldRecord, sql, kind, *place, before, limit)

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


def _batch(found: Sequence[Any]) -> rows.StoredBatch:
    return row_of(rows.StoredBatch, (*found[:9], json.loads(found[9]), *found[10:]))


def _with_change(found: Sequence[Any]) -> rows.ChangeRow | None:
    try:
        change = Change.model_validate_json(found[4], extra="ignore")
    except ValidationError:  # filed under rules that have changed since
        return None
    return row_of(rows.ChangeRow, (*found[:4], change))


class _Read(msgspec.Struct):
    status: str
    value: Any = None
    unit: str | None = None

    @property
    def said(self) -> object:
        return self.value if self.status == ReadingStatus.OK else None


class _Change(msgspec.Struct):
    property: str
    after: _Read
    before: _Read | None = None


_decode_change = msgspec.json.Decoder(_Change).decode


def _in_short(found: Sequence[Any]) -> rows.ChangeInShort:
    position, record_id, device, at, text = found
    try:
        told = _decode_change(text)
    except msgspec.ValidationError:  # as in `_with_change`; that the device changed is known all the same
        told = _Change("", _Read(ReadingStatus.FAILED))
    before = told.before.said if told.before else None
    return rows.ChangeInShort(
        position,
        plain("record_id", record_id),
        device,
        told.property,
        plain("at", at),
        before,
        told.after.said,
        told.after.unit,
    )
