"""People and machines: who may come in, in the SQL that the engines share."""

from __future__ import annotations

from server.store import rows
from server.store.base import Reads
from server.store.connection import SqlRows
from server.store.finding import LAST

_AGENT = """
    SELECT agent_id, public_key, instrument_id, hostname, platform, version, enrolled_at, heard_at, revoked_at
    FROM agents"""
_JOIN_CODE = """
    SELECT code_sha256, instrument_name, site, instrument_id, made_by, made_at, expires_at, used_by, used_at
    FROM join_codes"""
_USER = "SELECT name, role, password, added_at, scope, ends_at, subject FROM users"
_GRANT = "SELECT secret_sha256, purpose, name, role, made_at, expires_at, scope FROM grants"
_AUDIT = "SELECT at, who, action, outcome, detail, address, chain, position FROM audit"


class PeopleReads(SqlRows, Reads):
    """The part of the reads that looks there."""

    def instrument(self, instrument_id: str) -> rows.Instrument | None:
        sql = "SELECT instrument_id, name, site, added_at, model FROM instruments WHERE instrument_id = ?"
        return self._one(rows.Instrument, sql, instrument_id)

    def instruments(self, limit: int | None = None) -> list[rows.Instrument]:
        sql = """SELECT instrument_id, name, site, added_at, model FROM instruments
            ORDER BY name, instrument_id LIMIT ?"""
        return self._all(rows.Instrument, sql, LAST if limit is None else limit)

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
        where, values = "position < ?", [LAST if before is None else before]
        for word in search.lower().split():
            where += " AND lower(who || ' ' || action || ' ' || outcome || ' ' || detail || ' ' || address) LIKE ? ESCAPE '!'"
            values.append(f"%{word.replace('!', '!!').replace('%', '!%').replace('_', '!_')}%")
        return self._all(
            rows.AuditEntry, f"{_AUDIT} WHERE {where} ORDER BY position DESC LIMIT ?", *values, limit
        )
