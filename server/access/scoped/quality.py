"""What somebody may see of quality control."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedQuality(ScopedReads):
    """Without what is out of scope."""

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

    def qc_counts(
        self, since: datetime, until: datetime, among: Sequence[str] | None = None
    ) -> list[rows.QcCount]:
        return self._reads.qc_counts(since, until, self._among(among))
