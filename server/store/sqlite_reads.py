"""Questions to the SQLite store."""

from __future__ import annotations

import json
from typing import Any

from agent.records import Change
from agent.records.wire import CHAIN_START
from server.store import rows
from server.store.sqlite_desk import SqliteDeskReads
from server.store.sqlite_rows import to_row, to_text

_SPOOL = "SELECT agent_id, spool_id, mark, chain, n_skipped, first_received_at, last_received_at FROM spools"
_RECORD = """
    SELECT r.position, r.record_id, r.kind, r.schema_version, r.instrument_id, r.acquisition_id, r.captured_at,
           r.received_at, s.agent_id, s.spool_id, r.seq, l.batch_id, l.line
    FROM records r JOIN spools s USING (spool_key) JOIN lines l ON l.spool_key = r.spool_key AND l.seq = r.seq"""
_QUARANTINE = """
    SELECT q.position, s.agent_id, s.spool_id, q.seq, l.batch_id, l.line, q.reason, q.message, q.kind, q.record_id,
           q.received_at
    FROM quarantine q JOIN spools s USING (spool_key) JOIN lines l ON l.spool_key = q.spool_key AND l.seq = q.seq"""
_ACQUISITION = """
    SELECT position, acquisition_id, instrument_id, began_at, started_at, finished_at, reason, n_expected, n_seen,
           n_dropped, n_in_ledger, n_files, n_stamped, n_problems, started_record_id, finished_record_id, stamp_record_id
    FROM acquisitions"""
_AGENT = """
    SELECT agent_id, public_key, instrument_id, hostname, platform, version, enrolled_at, heard_at, revoked_at
    FROM agents"""
_JOIN_CODE = """
    SELECT code_sha256, instrument_name, site, instrument_id, made_by, made_at, expires_at, used_by, used_at
    FROM join_codes"""


class SqliteReads(SqliteDeskReads):
    """Reads through one connection that nobody else uses at the same time."""

    # People and machines

    def instrument(self, instrument_id: str) -> rows.Instrument | None:
        sql = "SELECT instrument_id, name, site, added_at FROM instruments WHERE instrument_id = ?"
        return self._one(rows.Instrument, sql, instrument_id)

    def instruments(self) -> list[rows.Instrument]:
        sql = "SELECT instrument_id, name, site, added_at FROM instruments ORDER BY name, instrument_id"
        return self._all(rows.Instrument, sql)

    def agent(self, agent_id: str) -> rows.Agent | None:
        return self._one(rows.Agent, f"{_AGENT} WHERE agent_id = ?", agent_id)

    def agents(self) -> list[rows.Agent]:
        return self._all(rows.Agent, f"{_AGENT} ORDER BY enrolled_at DESC")

    def join_code(self, code_sha256: str) -> rows.JoinCode | None:
        return self._one(rows.JoinCode, f"{_JOIN_CODE} WHERE code_sha256 = ?", code_sha256)

    def join_codes(self) -> list[rows.JoinCode]:
        return self._all(rows.JoinCode, f"{_JOIN_CODE} ORDER BY made_at DESC LIMIT 100")

    def user(self, name: str) -> rows.User | None:
        return self._one(rows.User, "SELECT name, role, password, added_at FROM users WHERE name = ?", name)

    def users(self) -> list[rows.User]:
        return self._all(rows.User, "SELECT name, role, password, added_at FROM users ORDER BY name")

    def grant(self, secret_sha256: str) -> rows.Grant | None:
        sql = "SELECT secret_sha256, purpose, name, role, made_at, expires_at FROM grants WHERE secret_sha256 = ?"
        return self._one(rows.Grant, sql, secret_sha256)

    def audit(self, limit: int = 100) -> list[rows.AuditEntry]:
        sql = "SELECT at, who, action, outcome, detail, address FROM audit ORDER BY position DESC LIMIT ?"
        return self._all(rows.AuditEntry, sql, limit)

    # Spools and batches

    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None:
        return self._one(rows.Spool, f"{_SPOOL} WHERE agent_id = ? AND spool_id = ?", agent_id, spool_id)

    def spools(self) -> list[rows.Spool]:
        return self._all(rows.Spool, f"{_SPOOL} ORDER BY last_received_at DESC")

    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        spool = self.spool(agent_id, spool_id)
        if seq == 0 or spool is None:
            return CHAIN_START if seq == 0 else None
        if seq == spool.mark:
            return spool.chain
        sql = """
            SELECT k.chain FROM skips k JOIN spools USING (spool_key) WHERE agent_id = ?1 AND spool_id = ?2 AND last_seq = ?3
            UNION ALL
            SELECT lower(hex(l.chain)) FROM lines l JOIN spools USING (spool_key)
            WHERE agent_id = ?1 AND spool_id = ?2 AND seq = ?3"""
        found = self._connection.execute(sql, (agent_id, spool_id, seq)).fetchone()
        return None if found is None else found[0]

    def batch(self, batch_id: int) -> rows.StoredBatch | None:
        sql = """
            SELECT batch_id, agent_id, spool_id, first_seq, n_lines, path, headers, body, received_at
            FROM batches JOIN spools USING (spool_key) WHERE batch_id = ?"""
        found = self._connection.execute(sql, (batch_id,)).fetchone()
        if found is None:
            return None
        headers = json.loads(found[6])
        return to_row(rows.StoredBatch, (*found[:6], headers, *found[7:]))

    # Records

    def record(self, record_id: str) -> rows.RecordRow | None:
        return self._one(rows.RecordRow, f"{_RECORD} WHERE r.record_id = ?", record_id)

    def records(
        self, instrument_id: str | None = None, kind: str | None = None, after: int = 0, limit: int = 100
    ) -> list[rows.RecordRow]:
        wanted = {"r.instrument_id = ?": instrument_id, "r.kind = ?": kind}
        clauses = [clause for clause, value in wanted.items() if value is not None]
        values = [value for value in wanted.values() if value is not None]
        where = " AND ".join(["r.position > ?", *clauses])
        return self._all(
            rows.RecordRow, f"{_RECORD} WHERE {where} ORDER BY r.position LIMIT ?", after, *values, limit
        )

    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        sql = f"""{_RECORD} WHERE r.instrument_id = ? AND r.kind = ? AND r.position < ?
            ORDER BY r.position DESC LIMIT ?"""
        return self._all(rows.RecordRow, sql, instrument_id, kind, 2**62 if before is None else before, limit)

    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        sql = "SELECT kind, record_id, captured_at, received_at, raw FROM latest WHERE instrument_id = ?"
        return {found.kind: found for found in self._all(rows.LatestRecord, sql, instrument_id)}

    def changes(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeRow]:
        where, values = _page("last_at", before)
        if device is not None:
            where, values = f"{where} AND device = ?", [*values, device]
        sql = f"""
            SELECT position, record_id, instrument_id, acquisition_id, change FROM changes
            WHERE instrument_id = ? AND {where} ORDER BY last_at DESC, position DESC LIMIT ?"""
        found = self._connection.execute(sql, (instrument_id, *values, limit))
        return [rows.ChangeRow(*row[:4], Change.model_validate_json(row[4], extra="ignore")) for row in found]

    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None:
        return self._one(rows.AcquisitionRow, f"{_ACQUISITION} WHERE acquisition_id = ?", acquisition_id)

    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        where, values = _page("began_at", before)
        sql = f"{_ACQUISITION} WHERE instrument_id = ? AND {where} ORDER BY began_at DESC, position DESC LIMIT ?"
        return self._all(rows.AcquisitionRow, sql, instrument_id, *values, limit)

    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        sql = """
            SELECT record_id, first_frame, n_frames FROM ledgers WHERE acquisition_id = ?
            ORDER BY first_frame, record_id"""
        return self._all(rows.LedgerRow, sql, acquisition_id)

    def quarantine(self, before: int | None = None, limit: int = 50) -> list[rows.QuarantineRow]:
        sql = f"{_QUARANTINE} WHERE q.position < ? ORDER BY q.position DESC LIMIT ?"
        return self._all(rows.QuarantineRow, sql, 2**62 if before is None else before, limit)

    def quarantined(self, position: int) -> rows.QuarantineRow | None:
        return self._one(rows.QuarantineRow, f"{_QUARANTINE} WHERE q.position = ?", position)

    def n_quarantined(self) -> int:
        return self._connection.execute("SELECT count(*) FROM quarantine").fetchone()[0]


def _page(column: str, before: rows.Place | None) -> tuple[str, list[Any]]:
    if before is None:
        return "TRUE", []
    return f"({column}, position) < (?, ?)", [to_text(before.at), before.position]
