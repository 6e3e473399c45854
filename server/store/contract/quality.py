"""What a store is asked and told of quality control."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from server.store import rows


class ReadsQuality(ABC):
    """Questions about quality control."""

    @abstractmethod
    def qc_series(self, instrument_id: str) -> list[rows.QcSeriesRow]:
        """Every series of quality-control runs of an instrument with how it stands, last measured first."""

    @abstractmethod
    def qc_runs(
        self,
        instrument_id: str,
        series_key: str | None = None,
        before: rows.Place | None = None,
        limit: int = 50,
    ) -> list[rows.QcRunRow]:
        """Runs of an instrument, or of one series, last measured first."""

    @abstractmethod
    def qc_run(self, run_id: str) -> rows.QcRunRow | None: ...
    @abstractmethod
    def qc_runs_on(self, acquisition_id: str) -> list[rows.QcRunRow]:
        """Runs that measured an acquisition, last measured first."""

    @abstractmethod
    def qc_points(
        self,
        instrument_id: str,
        series_key: str,
        metric: str | None = None,
        since: datetime | None = None,
        newest: int | None = None,
    ) -> list[rows.QcPoint]:
        """Figures of a series, by metric and then oldest first: a trend without decoding one record.

        With `newest`, those of so many last runs (and of others at the very time of the first of these).
        """

    @abstractmethod
    def qc_counts(
        self, since: datetime, until: datetime, among: Sequence[str] | None = None
    ) -> list[rows.QcCount]:
        """How many runs were measured in the period, by instrument, routine and verdict."""


class WritesQuality(ABC):
    """Changes of quality control."""

    @abstractmethod
    def judge_anew(self, instrument_id: str, record_id: str) -> None:
        """Let a series whose standing run was declared invalid stand as its last valid run; ``unknown`` without one."""
