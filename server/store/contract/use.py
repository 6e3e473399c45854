"""What a store is asked and told of who used an instrument, when and for what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from server.store import rows


class ReadsUse(ABC):
    """Questions about who used an instrument, when and for what."""

    @abstractmethod
    def usage_sessions(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.SessionRow]:
        """Sessions of use that touch the period from `since` to before `until`, oldest first; of all or some instruments.

        Here and in the two below: what began before `begun` is left out, by default 92 days before the period.
        """

    @abstractmethod
    def acquisition_times(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.AcquisitionTime]:
        """Acquisitions that touch the period and have ended, oldest first."""

    @abstractmethod
    def planned_runs(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.PlannedRunRow]:
        """Planned runs of quality control that touch the period and have ended, oldest first."""

    @abstractmethod
    def days_rolled_up(self, zone: str, among: Sequence[str] | None = None) -> list[rows.RolledUp]:
        """Instruments whose days of use are rolled up by the calendar of a zone; here and below all or some of them."""

    @abstractmethod
    def days_spoiled(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        """Instrument and day of what was rolled up and is not any more as it was, from day to day; both count."""

    @abstractmethod
    def use_by_month(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        """Instrument, month (``2026-05``) and its use on the days rolled up, without those spoiled."""

    @abstractmethod
    def use_by_day(
        self, days: Sequence[str], among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        """Instrument, day and its use on days rolled up, without those spoiled."""

    @abstractmethod
    def use_by_person(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, rows.PersonsUse]]:
        """Instrument and what each person did on the days rolled up, without those spoiled."""

    @abstractmethod
    def first_use(self, instrument_id: str) -> datetime | None:
        """When an instrument was first used as far as is known."""


class WritesUse(ABC):
    """Changes of who used an instrument, when and for what."""

    @abstractmethod
    def put_days(self, instrument_id: str, zone: str, days: Sequence[rows.UsageDay]) -> None:
        """Keep days of use as they were rolled up."""

    @abstractmethod
    def forget_days(self, instrument_id: str) -> None:
        """Drop whatever of an instrument was rolled up."""
