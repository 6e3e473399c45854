"""What somebody may see of who used what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedUse(ScopedReads):
    """Without what is out of scope."""

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
