"""Quality control, in the SQL that the engines share."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from server.store import rows
from server.store.base import Reads
from server.store.connection import SqlRows, plain, row_of, to_uuid
from server.store.finding import KEY, page

_QC_RUN = """
    SELECT position, record_id, i.instrument_id, run_id, series_key, routine, status, captured_at, acquisition_id
    FROM qc_runs JOIN instruments i USING (instrument_key)"""
_QC_POINT = """
    SELECT metric, captured_at, position, record_id, status, unit, value, uncertainty, expected, baseline, lower_limit,
           upper_limit
    FROM qc_figures"""


class QualityReads(SqlRows, Reads):
    """The part of the reads that looks there."""

    def qc_series(self, instrument_id: str) -> list[rows.QcSeriesRow]:
        sql = f"""
            SELECT i.instrument_id, series_key, routine, light_path, n_runs, record_id, captured_at, status
            FROM qc_series JOIN instruments i USING (instrument_key) WHERE instrument_key = {KEY}
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
        sql = f"{_QC_RUN} WHERE instrument_key = {KEY} AND {where} ORDER BY captured_at DESC, position DESC LIMIT ?"
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
        where, values = f"instrument_key = {KEY} AND series_key = ?", [instrument_id, series_key]
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
        sql = f"""SELECT captured_at FROM qc_runs WHERE instrument_key = {KEY} AND series_key = ?
            ORDER BY captured_at DESC, position DESC LIMIT 1 OFFSET ?"""
        found = self._connection.one(sql, instrument_id, series_key, n - 1)
        return found[0] if found else None
