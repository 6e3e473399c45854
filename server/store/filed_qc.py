"""What quality-control records add: a row a run, a row a figure, and how each series stands."""

from __future__ import annotations

import json
from collections.abc import Sequence

from server.store.connection import Connection
from server.store.rows import Filed, QcFacts

Run = tuple[int, int, Filed, QcFacts]
"""Position, key of the instrument, the record and what it says."""

_RUN_COLUMNS = (
    "position", "record_id", "instrument_key", "run_id", "series_key", "routine", "status", "captured_at",
    "acquisition_id",
)  # fmt: skip
_FIGURE_COLUMNS = (
    "instrument_key", "series_key", "metric", "captured_at", "position", "record_id", "status", "unit", "value",
    "uncertainty", "expected", "baseline", "lower_limit", "upper_limit",
)  # fmt: skip


def add_runs(connection: Connection, runs: Sequence[Run]) -> None:
    """Add a group of runs, in their order."""
    bound, run_rows, figure_rows = connection.bound, [], []
    for position, key, filed, qc in runs:
        record_id, at = bound(filed.record_id), bound(filed.captured_at)
        run = (position, record_id, key, bound(qc.run_id), qc.series_key, bound(qc.routine), qc.status, at)
        run_rows.append((*run, bound(filed.acquisition_id)))
        figure_rows += [
            (key, qc.series_key, bound(f.metric), at, position, record_id, f.status, bound(f.unit), f.value,
             f.uncertainty, f.expected, f.baseline, f.lower_limit, f.upper_limit)
            for f in qc.figures
        ]  # fmt: skip
    connection.add("qc_runs", _RUN_COLUMNS, run_rows)
    connection.add("qc_figures", _FIGURE_COLUMNS, figure_rows)
    for _, key, filed, qc in runs:
        _keep_series(connection, (key, qc.series_key), filed, qc)


def _keep_series(connection: Connection, where: tuple[int, str], filed: Filed, qc: QcFacts) -> None:
    newest = (filed.record_id, filed.captured_at, qc.status)
    connection.do(
        "INSERT INTO qc_series (instrument_key, series_key, routine, light_path, n_runs, record_id, captured_at, status) "
        "VALUES (?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT (instrument_key, series_key) DO NOTHING",
        *where,
        qc.routine,
        json.dumps(qc.light_path),
        *newest,
    )
    change = "UPDATE qc_series SET {} WHERE instrument_key = ? AND series_key = ?"
    connection.do(change.format("n_runs = n_runs + 1"), *where)
    connection.do(
        change.format("record_id = ?, captured_at = ?, status = ?") + " AND captured_at <= ?",
        *newest,
        *where,
        filed.captured_at,
    )
