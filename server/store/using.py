"""What was used when, in the SQL that the engines share: sessions, acquisitions and planned runs that touch a period."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from server.store import rows
from server.store.connection import plain
from server.store.finding import FindingReads, among_these

LONGEST = timedelta(days=92)
"""What began longer than this before a period is not looked at: it keeps a question about last month from reading years."""

_PERIOD = "{table}.began_at >= ? AND {table}.began_at < ? AND ({table}.{ended} > ? OR {table}.{ended} IS NOT NULL AND {table}.began_at >= ?)"
_SESSION = """
    SELECT i.instrument_id, s.began_at, s.ended_at, s.person, s.person_how, s.acquiring_s, s.live_s,
           s.shutter_open_s, s.n_acquisitions, s.n_frames
    FROM usage_sessions s JOIN instruments i USING (instrument_key)"""
_ACQUISITION = """
    SELECT i.instrument_id, a.began_at, a.finished_at, a.n_seen, a.n_files, a.size_bytes,
           CASE WHEN EXISTS (SELECT 1 FROM qc_runs q WHERE q.acquisition_id = a.acquisition_id
               AND q.instrument_key = a.instrument_key) THEN 1 ELSE 0 END
    FROM acquisitions a JOIN instruments i USING (instrument_key)"""
_PLANNED = """
    SELECT i.instrument_id, p.began_at, p.ended_at, p.routine, p.state
    FROM planned_runs p JOIN instruments i USING (instrument_key)"""
_QC_COUNT = """
    SELECT i.instrument_id, q.routine, q.status, count(*) FROM qc_runs q JOIN instruments i USING (instrument_key)
    WHERE q.captured_at >= ? AND q.captured_at < ?"""


class UsingReads(FindingReads):
    """The part of the reads that tells what instruments were used for."""

    def usage_sessions(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.SessionRow]:
        return self._touching(rows.SessionRow, _SESSION, "s", "ended_at", since, until, among, begun)

    def acquisition_times(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.AcquisitionTime]:
        return self._touching(
            rows.AcquisitionTime, _ACQUISITION, "a", "finished_at", since, until, among, begun
        )

    def planned_runs(
        self,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None = None,
        begun: datetime | None = None,
    ) -> list[rows.PlannedRunRow]:
        return self._touching(rows.PlannedRunRow, _PLANNED, "p", "ended_at", since, until, among, begun)

    def qc_counts(
        self, since: datetime, until: datetime, among: Sequence[str] | None = None
    ) -> list[rows.QcCount]:
        some, ids = among_these(among)
        sql = f"{_QC_COUNT} AND {some} GROUP BY i.instrument_id, q.routine, q.status ORDER BY 1, 2, 3"
        return [rows.QcCount(*found) for found in self._connection.fetch(sql, since, until, *ids)]

    def _touching(
        self,
        row_type: type,
        sql: str,
        table: str,
        ended: str,
        since: datetime,
        until: datetime,
        among: Sequence[str] | None,
        begun: datetime | None,
    ) -> list[Any]:
        some, ids = among_these(among)
        period = _PERIOD.format(table=table, ended=ended)
        told = f"{sql} WHERE {period} AND {some} ORDER BY {table}.began_at, i.instrument_id"
        found = self._connection.fetch(told, begun or since - LONGEST, until, since, since, *ids)
        # By hand: a year of a facility is some hundred thousand rows, and only two of the columns are times.
        return [row_type(row[0], plain("at", row[1]), plain("at", row[2]), *row[3:]) for row in found]
