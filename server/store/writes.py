"""Changes to a store: people, machines and what they may do, in the SQL that the engines share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agent.records.wire import CHAIN_START
from server.store import rows
from server.store.appending import SqlAppends
from server.store.audit_chain import audit_chain, one_line
from server.store.base import Failed, Writes
from server.store.connection import plain, to_uuid
from server.store.desk import DeskWrites
from server.store.pruning import SqlPruning
from server.store.tables import Table, loaded
from server.store.using_days import DayWrites


class SqlWrites(SqlAppends, SqlPruning, DayWrites, DeskWrites, Writes):
    """Writes through the one connection that may; every method runs inside the writer's transaction."""

    def append(self, batch: rows.Batch) -> rows.Appended:
        (outcome,) = self.append_all([batch])
        if isinstance(outcome, Failed):
            raise outcome.error
        appended: rows.Appended = outcome.value
        return appended

    def load(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        bound = self._connection.bound
        rows_bound = [
            tuple(bound(loaded(*one)) for one in zip(table.columns, row, strict=True)) for row in values
        ]
        if table.name == "counters":
            self._do("DELETE FROM counters")
        self._connection.add(table.name, table.columns, rows_bound)

    def add_checkpoint(self, checkpoint: rows.Checkpoint) -> None:
        self._do(
            "INSERT INTO checkpoints (n_batches, root, edge, note, made_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (n_batches) DO NOTHING",
            checkpoint.n_batches,
            checkpoint.root,
            checkpoint.edge,
            checkpoint.note,
            checkpoint.made_at,
        )

    def judge_anew(self, instrument_id: str, record_id: str) -> None:
        of_it = "instrument_key = (SELECT instrument_key FROM instruments WHERE instrument_id = ?)"
        sql = f"SELECT instrument_key, series_key FROM qc_series WHERE {of_it} AND record_id = ?"
        if (series := self._connection.one(sql, instrument_id, to_uuid(record_id))) is None:
            return  # the series stands as a newer run says
        sql = "SELECT subject FROM entries WHERE instrument_id = ? AND kind = 'invalidation'"
        invalid = {subject for (subject,) in self._connection.fetch(sql, instrument_id)}
        where = "WHERE instrument_key = ? AND series_key = ?"
        newest_first = f"SELECT record_id, captured_at, status FROM qc_runs {where} ORDER BY captured_at DESC, position DESC"
        runs = self._connection.fetch(newest_first, *series)
        valid = next((run for run in runs if plain("record_id", run[0]) not in invalid), None)
        if valid is None:
            self._do(f"UPDATE qc_series SET status = 'unknown' {where}", *series)
        else:
            self._do(
                f"UPDATE qc_series SET record_id = ?, captured_at = ?, status = ? {where}", *valid, *series
            )

    def put_instrument(self, instrument: rows.Instrument) -> None:
        self._do(
            "INSERT INTO instruments (instrument_id, name, site, added_at) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (instrument_id) DO UPDATE SET name = excluded.name, site = excluded.site",
            instrument.instrument_id,
            instrument.name,
            instrument.site,
            instrument.added_at,
        )

    def put_agent(self, agent: rows.Agent) -> None:
        self._do(
            "INSERT INTO agents (agent_id, public_key, instrument_id, hostname, platform, version, enrolled_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (agent_id) DO UPDATE SET "
            "instrument_id = excluded.instrument_id, hostname = excluded.hostname, platform = excluded.platform, "
            "version = excluded.version",
            agent.agent_id,
            agent.public_key,
            agent.instrument_id,
            agent.hostname,
            agent.platform,
            agent.version,
            agent.enrolled_at,
        )

    def replace_key(self, agent_id: str, public_key: bytes) -> None:
        self._do("UPDATE agents SET public_key = ? WHERE agent_id = ?", public_key, agent_id)

    def revoke_agent(self, agent_id: str, at: datetime) -> None:
        self._do("UPDATE agents SET revoked_at = coalesce(revoked_at, ?) WHERE agent_id = ?", at, agent_id)

    def add_join_code(self, code: rows.JoinCode) -> None:
        self._do(
            "INSERT INTO join_codes (code_sha256, instrument_name, site, instrument_id, made_by, made_at, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            code.code_sha256,
            code.instrument_name,
            code.site,
            code.instrument_id,
            code.made_by,
            code.made_at,
            code.expires_at,
        )

    def use_join_code(self, code_sha256: str, agent_id: str, at: datetime) -> None:
        self._do(
            "UPDATE join_codes SET used_by = ?, used_at = ? WHERE code_sha256 = ?", agent_id, at, code_sha256
        )

    def put_user(self, user: rows.User) -> None:
        self._do(
            "INSERT INTO users (name, role, password, added_at, scope, ends_at, subject) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password, "
            "scope = excluded.scope, ends_at = excluded.ends_at, subject = excluded.subject",
            user.name,
            user.role,
            user.password,
            user.added_at,
            user.scope,
            user.ends_at,
            user.subject,
        )

    def remove_user(self, name: str) -> bool:
        self._do("DELETE FROM grants WHERE name = ? AND purpose != 'token'", name)
        return self._do("DELETE FROM users WHERE name = ?", name) == 1

    def remove_tokens(self, name: str) -> int:
        return self._do("DELETE FROM grants WHERE name = ? AND purpose = 'token'", name)

    def add_grant(self, grant: rows.Grant) -> None:
        self._do("DELETE FROM grants WHERE expires_at < ?", grant.made_at)
        self._do(
            "INSERT INTO grants (secret_sha256, purpose, name, role, made_at, expires_at, scope) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            grant.secret_sha256,
            grant.purpose,
            grant.name,
            grant.role,
            grant.made_at,
            grant.expires_at,
            grant.scope,
        )

    def remove_grant(self, secret_sha256: str) -> None:
        self._do("DELETE FROM grants WHERE secret_sha256 = ?", secret_sha256)

    def add_audit(self, entry: rows.AuditEntry) -> None:
        # Whoever holds the row of `counters` is the only one who writes, also among several collectors: one chain.
        self._do("UPDATE counters SET batch_id = batch_id")
        head = self._connection.one("SELECT chain FROM audit ORDER BY position DESC LIMIT 1")
        told = (
            entry.at,
            *map(one_line, (entry.who, entry.action, entry.outcome, entry.detail, entry.address)),
        )
        self._do(
            "INSERT INTO audit (at, who, action, outcome, detail, address, chain) VALUES (?, ?, ?, ?, ?, ?, ?)",
            *told,
            audit_chain(head[0] if head else CHAIN_START, *told),
        )
