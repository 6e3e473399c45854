"""A store as one person may see it: what is out of scope is not there.

Every page and every answer of the API reads through this when the person's scope is limited, so no route can forget to ask.
Lists are searched on until they are full, so paging works as it does for everybody. What belongs to no instrument (routes of
alerts, other people, the audit log) is hidden; what everybody may know (rules) is named in `_FOR_ALL`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from server.access.scope import Scope
from server.errors import RefusedError
from server.store import rows
from server.store.base import Readable, Reads
from server.store.tables import Table

T = TypeVar("T")

_LAST = 2**62
_AT_ONCE = 500
_FOR_ALL = frozenset({"alert_rule"})
"""Kinds of documents that say nothing of an instrument."""


class StoreInScope(Readable):
    """Reads what is in scope; there is nothing to write or close with."""

    def __init__(self, store: Readable, scope: Scope) -> None:
        self._store = store
        self._scope = scope

    @contextmanager
    def reading(self) -> Iterator[Reads]:
        with self._store.reading() as reads:
            yield ReadsInScope(reads, self._scope)

    @contextmanager
    def reading_newest(self) -> Iterator[Reads]:
        with self._store.reading_newest() as reads:
            yield ReadsInScope(reads, self._scope)

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        with self._store.snapshot() as reads:
            yield ReadsInScope(reads, self._scope)


class ReadsInScope(Reads):
    """Answers of `reads`, without what is out of `scope`."""

    def __init__(self, reads: Reads, scope: Scope) -> None:
        self._reads = reads
        self._scope = scope

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(one.instrument_id for one in self._reads.instruments() if self._scope.has(one))

    def _has(self, instrument_id: str | None) -> bool:
        return instrument_id in self._ids

    def _mine(self, row: T | None) -> T | None:
        return row if row is not None and self._has(row.instrument_id) else None  # type: ignore[attr-defined]

    def _has_agent(self, agent_id: str) -> bool:
        return self.agent(agent_id) is not None

    # Instruments and agents

    def instrument(self, instrument_id: str) -> rows.Instrument | None:
        return self._mine(self._reads.instrument(instrument_id))

    def instruments(self, limit: int | None = None) -> list[rows.Instrument]:
        return [one for one in self._reads.instruments() if self._has(one.instrument_id)][:limit]

    def agent(self, agent_id: str) -> rows.Agent | None:
        return self._mine(self._reads.agent(agent_id))

    def agents(self, instrument_id: str | None = None) -> list[rows.Agent]:
        return [one for one in self._reads.agents(instrument_id) if self._has(one.instrument_id)]

    def fleet(self, among: Sequence[str] | None = None) -> list[rows.FleetRow]:
        return self._reads.fleet(self._among(among))

    def fleet_marks(self) -> list[rows.FleetMark]:
        return [one for one in self._reads.fleet_marks() if self._has(one.instrument_id)]

    def qc_standing(self, among: Sequence[str]) -> list[rows.QcSeriesRow]:
        return self._reads.qc_standing(self._among(among))

    def _among(self, among: Sequence[str] | None) -> list[str]:
        return sorted(self._ids) if among is None else [one for one in among if self._has(one)]

    # People

    def join_code(self, code_sha256: str) -> rows.JoinCode | None:
        code = self._reads.join_code(code_sha256)
        return code if code is not None and self._scope.has_site(code.site) else None

    def join_codes(self) -> list[rows.JoinCode]:
        return [one for one in self._reads.join_codes() if self._scope.has_site(one.site)]

    def user(self, name: str) -> rows.User | None:
        user = self._reads.user(name)
        return user if user is not None and self._scope.covers(Scope.kept(user.scope)) else None

    def users(self) -> list[rows.User]:
        return [one for one in self._reads.users() if self._scope.covers(Scope.kept(one.scope))]

    def grant(self, secret_sha256: str) -> rows.Grant | None:
        grant = self._reads.grant(secret_sha256)
        return grant if grant is not None and self._scope.covers(Scope.kept(grant.scope)) else None

    def tokens(self) -> list[rows.Grant]:
        return [one for one in self._reads.tokens() if self._scope.covers(Scope.kept(one.scope))]

    def audit(self, limit: int = 100, before: int | None = None, search: str = "") -> list[rows.AuditEntry]:
        return []

    # What people put down

    def document(self, kind: str, key: str) -> rows.Document | None:
        document = self._reads.document(kind, key)
        return self._part(document) if document else None

    def documents(self, kind: str) -> list[rows.Document]:
        parts = (self._part(one) for one in self._reads.documents(kind))
        return [part for part in parts if part is not None]

    def _part(self, document: rows.Document) -> rows.Document | None:
        """Return what of a document is in scope: one that names instruments names only those of the scope."""
        if document.kind in _FOR_ALL:
            return document
        if document.kind == "instrument_facts":
            return document if self._has(document.key) else None
        told = json.loads(document.body)
        if document.kind == "instrument_group":
            kept: Any = [one for one in told if self._has(one)]
            return replace(document, body=json.dumps(kept)) if kept else None
        if document.kind == "qc_schedule":
            return self._part_of_schedule(document, told)
        if document.kind == "alert_silence":
            named = [*told.get("instruments", ()), *told.get("sites", ())]
            sites = {one.site for one in self.instruments()}
            return document if not named or any(self._has(one) or one in sites for one in named) else None
        return document if isinstance(told, dict) and self._has(told.get("instrument_id")) else None

    def _part_of_schedule(self, document: rows.Document, told: dict[str, Any]) -> rows.Document | None:
        groups = {one.key for one in self.documents("instrument_group")}
        told["instruments"] = [one for one in told.get("instruments", ()) if self._has(one)]
        told["groups"] = [one for one in told.get("groups", ()) if one in groups]
        is_mine = told["instruments"] or told["groups"]
        return replace(document, body=json.dumps(told)) if is_mine else None

    def entries(
        self,
        kind: str | None = None,
        instrument_id: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[rows.Entry]:
        def page(at: int | None, n: int) -> list[rows.Entry]:
            return self._reads.entries(kind, instrument_id, subject, at, n)

        return self._filled(page, lambda one: one.position, before, limit)

    def attachment(self, sha256: str) -> rows.Attachment | None:
        attachment = self._reads.attachment(sha256)
        if attachment is None or not any(self._is_attached(one, sha256) for one in self._ids):
            return None
        return attachment

    def _is_attached(self, instrument_id: str, sha256: str) -> bool:
        before: int | None = None
        while page := self._reads.entries(None, instrument_id, None, before, _AT_ONCE):
            if any(f'"{sha256}"' in one.body for one in page):
                return True
            before = page[-1].position
        return False

    # Spools and batches

    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None:
        return self._reads.spool(agent_id, spool_id) if self._has_agent(agent_id) else None

    def spools(self) -> list[rows.Spool]:
        mine = {one.agent_id for one in self.agents()}
        return [one for one in self._reads.spools() if one.agent_id in mine]

    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        return self._reads.chain_at(agent_id, spool_id, seq) if self._has_agent(agent_id) else None

    def batch(self, batch_id: int) -> rows.StoredBatch | None:
        batch = self._reads.batch(batch_id)
        return batch if batch is not None and self._has_agent(batch.agent_id) else None

    def batches_of(self, among: Sequence[rows.RecordRow | rows.QuarantineRow]) -> dict[int, rows.StoredBatch]:
        mine = {agent_id for agent_id in {row.agent_id for row in among} if self._has_agent(agent_id)}
        return self._reads.batches_of([row for row in among if row.agent_id in mine])

    def batches(self, after: int = 0, limit: int = 100) -> list[rows.StoredBatch]:
        mine = {one.agent_id for one in self.agents()}
        return self._filled_up(
            self._reads.batches, lambda one: one.batch_id, after, limit, lambda one: one.agent_id in mine
        )

    def checkpoints(self, limit: int | None = None) -> list[rows.Checkpoint]:
        return []

    # Records

    def record(self, record_id: str) -> rows.RecordRow | None:
        return self._mine(self._reads.record(record_id))

    def records_named(self, among: Sequence[str]) -> dict[str, rows.RecordRow]:
        found = self._reads.records_named(among)
        return {name: row for name, row in found.items() if self._has(row.instrument_id)}

    def records(
        self, instrument_id: str | None = None, kind: str | None = None, after: int = 0, limit: int = 100
    ) -> list[rows.RecordRow]:
        def page(at: int, n: int) -> list[rows.RecordRow]:
            return self._reads.records(instrument_id, kind, at, n)

        if instrument_id is not None:
            return page(after, limit) if self._has(instrument_id) else []
        return self._filled_up(
            page, lambda one: one.position, after, limit, lambda one: self._has(one.instrument_id)
        )

    def last_position(self) -> int:
        return self._reads.last_position()

    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        return self._reads.recent(instrument_id, kind, limit, before) if self._has(instrument_id) else []

    def last_of_kind(self, kind: str) -> dict[str, int]:
        return {one: at for one, at in self._reads.last_of_kind(kind).items() if self._has(one)}

    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        return self._reads.latest(instrument_id) if self._has(instrument_id) else {}

    def changes(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeRow]:
        return self._reads.changes(instrument_id, before, limit, device) if self._has(instrument_id) else []

    def change_marks(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeMark]:
        has = self._has(instrument_id)
        return self._reads.change_marks(instrument_id, before, limit, device) if has else []

    def changes_in_short(self, instrument_id: str, positions: Sequence[int]) -> dict[int, rows.ChangeInShort]:
        return self._reads.changes_in_short(instrument_id, positions) if self._has(instrument_id) else {}

    def quarantine(self, before: int | None = None, limit: int = 50) -> list[rows.QuarantineRow]:
        mine = {one.agent_id for one in self.agents()}
        return self._filled(
            self._reads.quarantine,
            lambda one: one.position,
            before,
            limit,
            lambda one: one.agent_id in mine,
        )

    def quarantined(self, position: int) -> rows.QuarantineRow | None:
        row = self._reads.quarantined(position)
        return row if row is not None and self._has_agent(row.agent_id) else None

    def n_quarantined(self) -> int:
        return len(self.quarantine(limit=10_000))

    # Acquisitions

    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None:
        return self._mine(self._reads.acquisition(acquisition_id))

    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        return self._reads.acquisitions(instrument_id, before, limit) if self._has(instrument_id) else []

    def find_acquisitions(
        self, wanted: rows.AcquisitionQuery, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        if wanted.instrument_id is not None and not self._has(wanted.instrument_id):
            return []

        def page(at: rows.Place | None, n: int) -> list[rows.AcquisitionRow]:
            return self._reads.find_acquisitions(wanted, at, n)

        return self._filled(page, _place_of, before, limit)

    def datasets(self, among: Sequence[str]) -> dict[str, list[rows.Dataset]]:
        return self._reads.datasets([one for one in among if self.acquisition(one) is not None])

    def search_terms(self, sort: str, limit: int = 200) -> list[str]:
        return []  # terms are shared by all instruments: what others write would be suggested

    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        return self._reads.ledgers(acquisition_id) if self.acquisition(acquisition_id) else []

    # Quality control

    def qc_series(self, instrument_id: str) -> list[rows.QcSeriesRow]:
        return self._reads.qc_series(instrument_id) if self._has(instrument_id) else []

    def qc_runs(
        self,
        instrument_id: str,
        series_key: str | None = None,
        before: rows.Place | None = None,
        limit: int = 50,
    ) -> list[rows.QcRunRow]:
        return (
            self._reads.qc_runs(instrument_id, series_key, before, limit) if self._has(instrument_id) else []
        )

    def qc_run(self, run_id: str) -> rows.QcRunRow | None:
        return self._mine(self._reads.qc_run(run_id))

    def qc_runs_on(self, acquisition_id: str) -> list[rows.QcRunRow]:
        return [one for one in self._reads.qc_runs_on(acquisition_id) if self._has(one.instrument_id)]

    def qc_points(
        self,
        instrument_id: str,
        series_key: str,
        metric: str | None = None,
        since: datetime | None = None,
        newest: int | None = None,
    ) -> list[rows.QcPoint]:
        has = self._has(instrument_id)
        return self._reads.qc_points(instrument_id, series_key, metric, since, newest) if has else []

    # Use

    def usage_sessions(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.SessionRow]:
        return self._reads.usage_sessions(since, until, self._among(among), begun)

    def acquisition_times(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.AcquisitionTime]:
        return self._reads.acquisition_times(since, until, self._among(among), begun)

    def planned_runs(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.PlannedRunRow]:
        return self._reads.planned_runs(since, until, self._among(among), begun)

    def days_rolled_up(self, zone: str, among: Sequence[str] | None = None) -> list[rows.RolledUp]:
        return self._reads.days_rolled_up(zone, self._among(among))

    def days_spoiled(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        return self._reads.days_spoiled(first, last, self._among(among))

    def use_by_month(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        return self._reads.use_by_month(first, last, self._among(among))

    def use_by_day(
        self, days: Sequence[str], among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        return self._reads.use_by_day(days, self._among(among))

    def use_by_person(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, rows.PersonsUse]]:
        return self._reads.use_by_person(first, last, self._among(among))

    def first_use(self, instrument_id: str) -> datetime | None:
        return self._reads.first_use(instrument_id) if self._has(instrument_id) else None

    def qc_counts(
        self, since: datetime, until: datetime, among: Sequence[str] | None = None
    ) -> list[rows.QcCount]:
        return self._reads.qc_counts(since, until, self._among(among))

    # Looking after the store

    def old_records(
        self, kind: str, before: datetime, after: int = 0, limit: int = 1000
    ) -> list[rows.OldRecord]:
        return []

    def dump(
        self, table: Table, after: Sequence[Any] | None = None, limit: int = 1000
    ) -> list[tuple[Any, ...]]:
        raise RefusedError(403, "not_allowed", "Whole tables are for those who may see everything.")

    # Pages

    def _filled(
        self,
        page: Callable[[Any, int], list[T]],
        place_of: Callable[[T], Any],
        before: Any,
        limit: int,
        is_mine: Callable[[T], bool] | None = None,
    ) -> list[T]:
        """Return `limit` rows in scope, asking on from the last place until there are no more."""
        is_mine = is_mine or (lambda one: self._has(one.instrument_id))  # type: ignore[attr-defined]
        found: list[T] = []
        n_asked = max(limit, _AT_ONCE)
        while len(found) < limit:
            some = page(before, n_asked)
            found += [one for one in some if is_mine(one)]
            if len(some) < n_asked:
                break
            before = place_of(some[-1])
        return found[:limit]

    def _filled_up(
        self,
        page: Callable[[int, int], list[T]],
        place_of: Callable[[T], int],
        after: int,
        limit: int,
        is_mine: Callable[[T], bool],
    ) -> list[T]:
        return self._filled(page, place_of, after, limit, is_mine)


def check_whole(writes: Reads, scope: Scope, kind: str, key: str) -> None:
    """Refuse to change a document that also concerns what is out of scope, with 404 when all of it does."""
    document = writes.document(kind, key)
    if not scope.is_limited or document is None:
        return
    part = ReadsInScope(writes, scope).document(kind, key)
    if part is None:
        raise RefusedError(404, "not_found", f"There is no {kind.replace('_', ' ')} {key[:64]}.")
    if json.loads(part.body) != json.loads(document.body):
        raise RefusedError(
            403, "not_allowed", f"{key[:64]} also concerns instruments that are not yours; ask their staff."
        )


def _place_of(row: rows.AcquisitionRow) -> rows.Place:
    return rows.Place(row.began_at, row.position)
