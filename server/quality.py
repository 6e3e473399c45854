"""Quality control as it was received: runs decoded on reading, in series of one routine and one light path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agent.records import QcMetric, QcResult, QcStatus
from server.ingest.evidence import record_of
from server.quality_series import series_key
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


def run_of(reads: Reads, row: RecordRow | None) -> Run | None:
    """Return the run in a row, None when there is none or it cannot be read any more."""
    record = record_of(reads, row)
    return Run(row, record) if row is not None and isinstance(record, QcResult) else None


def series_of(reads: Reads, rows: Iterable[QcSeriesRow]) -> list[Series]:
    """Return series with their newest runs, without those whose run cannot be read any more."""
    told = ((row, run_of(reads, reads.record(row.record_id))) for row in rows)
    return [Series(row, run) for row, run in told if run is not None]


def standing_series(reads: Reads, instrument_id: str) -> list[Series]:
    """Return every series of an instrument, those in trouble first, otherwise the last measured first."""
    found = series_of(reads, reads.qc_series(instrument_id))
    return sorted(found, key=lambda one: _WORST_FIRST[one.newest.result.status])


def last_runs(reads: Reads, instrument_id: str, before: Place | None, limit: int) -> list[Run]:
    """Return the runs of an instrument, last measured first."""
    rows = reads.qc_runs(instrument_id, before=before, limit=limit)
    return [run for row in rows if (run := run_of(reads, reads.record(row.record_id))) is not None]


def runs_on(reads: Reads, instrument_id: str, acquisition_id: str) -> list[Run]:
    """Return the runs of an instrument that measured an acquisition, last measured first."""
    found = [run for run in reads.qc_runs_on(acquisition_id) if run.instrument_id == instrument_id]
    return [run for one in found if (run := run_of(reads, reads.record(one.record_id))) is not None]


def runs_in(reads: Reads, rows: Iterable[RecordRow]) -> list[Run]:
    """Return the runs in rows, in their order, without those that cannot be read any more."""
    return [run for row in rows if (run := run_of(reads, row)) is not None]


def key_of(result: QcResult) -> str:
    """Return the name of the series a run belongs to."""
    return series_key(result.routine, result.light_path)


def find_run(reads: Reads, wanted: str) -> Run | None:
    """Return the run with that record id or run id."""
    if (run := run_of(reads, reads.record(wanted))) is not None:
        return run
    found = reads.qc_run(wanted)
    return run_of(reads, reads.record(found.record_id)) if found else None
