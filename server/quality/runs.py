"""Quality control as it was received: runs decoded on reading, in series of one routine and one light path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.records import QcMetric, QcResult, QcStatus
from server.ingest.evidence import records_of
from server.quality.series import series_key
from server.store.base import Reads
from server.store.rows import Place, QcSeriesRow, RecordRow

KIND = "qc_result"
MOST_RUNS = 300
N_HEADLINES = 4

_WORST_FIRST = {QcStatus.FAIL: 0, QcStatus.WARN: 1, QcStatus.PASS: 2, QcStatus.UNKNOWN: 3}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a routine, and the row it is filed under."""

    row: RecordRow
    result: QcResult

    @property
    def headlines(self) -> tuple[QcMetric, ...]:
        """The few figures to show in short: those that were measured, worst first."""
        measured = [metric for metric in self.result.metrics if metric.measured is not None]
        return tuple(worst_first(measured)[:N_HEADLINES])

    @property
    def n_by_status(self) -> dict[QcStatus, int]:
        """How many figures there are of each status, worst first."""
        counted = Counter(metric.status for metric in self.result.metrics)
        return {status: counted[status] for status in _WORST_FIRST if counted[status]}


@dataclass(frozen=True, slots=True)
class Series:
    """A series of runs of one routine on one light path, and the run that says how it stands."""

    row: QcSeriesRow
    newest: Run


def worst_first(metrics: Iterable[QcMetric]) -> list[QcMetric]:
    """Return figures by status, those that nobody judged last, otherwise in their order."""
    return sorted(metrics, key=lambda metric: _WORST_FIRST[metric.status])


def runs_in(reads: Reads, rows: Sequence[RecordRow]) -> list[Run]:
    """Return the runs in rows, in their order, without those that cannot be read any more."""
    told = zip(rows, records_of(reads, rows), strict=True)
    return [Run(row, record) for row, record in told if isinstance(record, QcResult)]


def runs_named(reads: Reads, record_ids: Iterable[str]) -> list[Run]:
    """Return the runs in records, in their order, without those that are not there or cannot be read any more."""
    wanted = list(record_ids)
    rows = reads.records_named(wanted)
    return runs_in(reads, [rows[name] for name in wanted if name in rows])


def standing_series(reads: Reads, instrument_id: str) -> list[Series]:
    """Return every series of an instrument, those in trouble first, otherwise the last measured first."""
    rows = reads.qc_series(instrument_id)
    return _standing(rows, runs_named(reads, [row.record_id for row in rows]))


def standing_series_and_runs(
    reads: Reads, instrument_id: str, before: Place | None, limit: int
) -> tuple[list[Series], list[Run]]:
    """Return what `standing_series` does, and a page of the instrument's runs, last measured first; their records are
    read together."""
    rows = reads.qc_series(instrument_id)
    newest = [row.record_id for row in rows]
    last = [row.record_id for row in reads.qc_runs(instrument_id, before=before, limit=limit)]
    runs = runs_named(reads, dict.fromkeys([*last, *newest]))
    shown = set(last)
    return _standing(rows, runs), [run for run in runs if run.row.record_id in shown]


def _standing(rows: Iterable[QcSeriesRow], runs: Iterable[Run]) -> list[Series]:
    """Return series with their newest runs, those in trouble first, without those whose run cannot be read any more."""
    known = {run.row.record_id: run for run in runs}
    found = [Series(row, known[row.record_id]) for row in rows if row.record_id in known]
    return sorted(found, key=lambda one: _WORST_FIRST[one.newest.result.status])


def runs_on(reads: Reads, instrument_id: str, acquisition_id: str) -> list[Run]:
    """Return the runs of an instrument that measured an acquisition, last measured first."""
    found = [run for run in reads.qc_runs_on(acquisition_id) if run.instrument_id == instrument_id]
    return runs_named(reads, [one.record_id for one in found])


def key_of(result: QcResult) -> str:
    """Return the name of the series a run belongs to."""
    return series_key(result.routine, result.light_path)


def find_run(reads: Reads, wanted: str) -> Run | None:
    """Return the run with that record id or run id."""
    filed = reads.record(wanted)
    if filed is not None and (runs := runs_in(reads, [filed])):
        return runs[0]
    row = reads.qc_run(wanted)
    return next(iter(runs_named(reads, [row.record_id])), None) if row else None
