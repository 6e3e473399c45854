"""Whole tables for analysis: quality-control figures, acquisitions and changes as CSV, JSON lines or Parquet.

CSV and JSON lines are written as they are read, so a table of years needs no memory. Parquet needs the extra
``scopestamp[parquet]``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from agent.records.wire import Refusal
from server.access.roles import Permission
from server.dependencies import TheCollector, allowed, found
from server.errors import RefusedError
from server.places import place_of
from server.store.base import Reads, Store

PAGE = 500
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")

router = APIRouter(
    prefix="/v1",
    tags=["tables"],
    dependencies=[Depends(allowed(Permission.VIEW))],
    responses={status: {"model": Refusal} for status in (400, 401, 403, 404, 501)},
)

Form = Annotated[
    Literal["csv", "jsonl", "parquet"], Query(alias="format", description="csv, jsonl or parquet.")
]
InstrumentId = Annotated[str, Path(description="As the agent was enrolled with.")]
Row = Mapping[str, Any]

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}

FIGURES = (
    "instrument_id", "routine", "light_path", "metric", "captured_at", "status", "unit", "value", "uncertainty",
    "expected", "baseline", "lower_limit", "upper_limit", "record_id",
)  # fmt: skip
ACQUISITIONS = (
    "acquisition_id", "instrument_id", "began_at", "finished_at", "reason", "n_expected", "n_seen", "n_dropped",
    "n_files", "n_stamped", "n_problems",
)  # fmt: skip
CHANGES = (
    "at", "device", "property", "before", "after", "unit", "cause", "n_changes", "acquisition_id", "record_id",
)  # fmt: skip


@router.get("/instruments/{instrument_id}/qc/figures", response_class=Response)
def figures(
    instrument_id: InstrumentId,
    collector: TheCollector,
    form: Form = "csv",
    since: Annotated[datetime | None, Query(description="Only runs from then on; with its zone.")] = None,
) -> Response:
    """Every figure of every quality-control run, one row each."""
    since = _aware(since)

    def rows(reads: Reads) -> Iterator[Row]:
        for series in reads.qc_series(instrument_id):
            path = json.dumps(series.light_path, sort_keys=True, ensure_ascii=False)
            for point in reads.qc_points(instrument_id, series.series_key, since=since):
                told = {name: getattr(point, name) for name in FIGURES[3:]}
                yield {
                    "instrument_id": instrument_id, "routine": series.routine, "light_path": path, **told,
                }  # fmt: skip

    return _table(collector.store, instrument_id, f"{instrument_id}-qc", FIGURES, rows, form)


@router.get("/instruments/{instrument_id}/acquisitions/table", response_class=Response)
def acquisitions(instrument_id: InstrumentId, collector: TheCollector, form: Form = "csv") -> Response:
    """Every acquisition, newest first, one row each."""

    def rows(reads: Reads) -> Iterator[Row]:
        before = None
        while page := reads.acquisitions(instrument_id, before, PAGE):
            yield from ({name: getattr(row, name) for name in ACQUISITIONS} for row in page)
            before = place_of(page[-1])

    return _table(collector.store, instrument_id, f"{instrument_id}-acquisitions", ACQUISITIONS, rows, form)


@router.get("/instruments/{instrument_id}/changes/table", response_class=Response)
def changes(instrument_id: InstrumentId, collector: TheCollector, form: Form = "csv") -> Response:
    """The change log, newest first, one row each."""

    def rows(reads: Reads) -> Iterator[Row]:
        before = None
        while page := reads.changes(instrument_id, before, PAGE):
            for row in page:
                change = row.change
                yield {
                    "at": change.last_at.wall_at,
                    "device": change.device,
                    "property": change.property,
                    "before": _text(change.before.value if change.before else None),
                    "after": _text(change.after.value),
                    "unit": change.after.unit,
                    "cause": change.cause.value,
                    "n_changes": change.n_changes,
                    "acquisition_id": row.acquisition_id,
                    "record_id": row.record_id,
                }
            before = place_of(page[-1])

    return _table(collector.store, instrument_id, f"{instrument_id}-changes", CHANGES, rows, form)


def _table(
    store: Store,
    instrument_id: str,
    name: str,
    columns: tuple[str, ...],
    rows: Callable[[Reads], Iterator[Row]],
    form: str,
) -> Response:
    with store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
    if form == "parquet":
        with store.reading() as reads:
            return whole_table(name, columns, rows(reads), form)

    def lines() -> Iterator[bytes]:
        with store.reading() as reads:
            yield from (csv_of(columns, rows(reads)) if form == "csv" else _jsonl(rows(reads)))

    return StreamingResponse(lines(), media_type=MEDIA_TYPES[form], headers=as_download(name, form))


def whole_table(name: str, columns: tuple[str, ...], rows: Iterable[Row], form: str) -> Response:
    """Return a table that is small enough to be sent in one piece."""
    if form == "parquet":
        content = _parquet(columns, rows)
    else:
        content = b"".join(csv_of(columns, rows) if form == "csv" else _jsonl(rows))
    return Response(content, media_type=MEDIA_TYPES[form], headers=as_download(name, form))


def as_download(name: str, suffix: str) -> dict[str, str]:
    """Return the header that makes a browser save an answer under a name, with what is safe of it."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return {"Content-Disposition": f'attachment; filename="{safe}.{suffix}"'}


def csv_of(columns: tuple[str, ...], rows: Iterable[Row]) -> Iterator[bytes]:
    """Yield a table as CSV with its header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row[name]) for name in columns})
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def _jsonl(rows: Iterable[Row]) -> Iterator[bytes]:
    for row in rows:
        told = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()
        }
        yield json.dumps(told, ensure_ascii=False).encode() + b"\n"


def _parquet(columns: tuple[str, ...], rows: Iterable[Row]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise RefusedError(
            501,
            "no_parquet",
            "This collector cannot write Parquet: install scopestamp[parquet] on it, or ask for csv or jsonl.",
        ) from error
    table = pyarrow.Table.from_pylist([dict(row) for row in rows], schema=_schema(pyarrow, columns))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _schema(pyarrow: Any, columns: tuple[str, ...]) -> Any:
    numbers = {"value", "uncertainty", "expected", "baseline", "lower_limit", "upper_limit"}

    def kind(name: str) -> Any:
        if name == "at" or name.endswith("_at"):
            return pyarrow.timestamp("us", tz="UTC")
        if name in numbers:
            return pyarrow.float64()
        if name.startswith("hours_"):
            return pyarrow.float64()
        return pyarrow.int64() if name.startswith("n_") else pyarrow.string()

    return pyarrow.schema([(name, kind(name)) for name in columns])


def _cell(value: Any) -> Any:
    """Return a value for a CSV cell; text that a spreadsheet would take for a formula is quoted (ASVS 5.0 1.2.10).

    >>> _cell("=1+1"), _cell("-cmd"), _cell("-12.5")
    ("'=1+1", "'-cmd", '-12.5')
    """
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value[:1] in _BEGINS_A_FORMULA and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _aware(moment: datetime | None) -> datetime | None:
    if moment is not None and moment.tzinfo is None:
        raise RefusedError(
            400, "malformed_request", "`since` needs its zone, as in 2026-05-04T00:00:00Z: clocks differ."
        )
    return moment
