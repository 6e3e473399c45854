"""What somebody may see of records, the change log and the quarantine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedRecords(ScopedReads):
    """Without what is out of scope."""

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
        return self._filled(page, lambda one: one.position, after, limit, self._is_mine)

    def last_position(self) -> int:
        return self._reads.last_position()

    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        return self._reads.recent(instrument_id, kind, limit, before) if self._has(instrument_id) else []

    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        return self._reads.latest(instrument_id) if self._has(instrument_id) else {}

    def instruments_with(self, kind: str, since: datetime) -> set[str]:
        return {one for one in self._reads.instruments_with(kind, since) if self._has(one)}

    def last_of_kind(self, kind: str) -> dict[str, int]:
        return {one: at for one, at in self._reads.last_of_kind(kind).items() if self._has(one)}

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
