"""The frames of an acquisition, a page at a time, and how regularly they came."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from agent.records import FrameLedger, RecordError, decode_tolerant
from server.ingest.evidence import raw_line
from server.store.base import Reads
from server.store.rows import LedgerRow

PAGE = 100
WIDTH, HEIGHT = 720, 120


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as its ledger stamped it."""

    number: int
    index: str
    channel: str | None
    camera: str | None
    exposure_ms: float | None
    x_um: float | None
    y_um: float | None
    z_um: float | None
    position_how: str | None
    runner_time_ms: float | None
    seen_monotonic_ns: int
    interval_ms: float | None


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals between frames as an SVG line: coordinates, and what they mean."""

    points: str
    median_ms: float
    longest_ms: float
    n_intervals: int


def frames_from(reads: Reads, ledgers: list[LedgerRow], first: int) -> list[Frame]:
    """Return up to a page of frames, by number, from `first` on."""
    wanted = [
        row
        for row in ledgers
        if row.first_frame < first + PAGE and row.first_frame + row.n_frames > first - 1
    ]
    stamps = [stamp for row in wanted for stamp in _stamps(reads, row)]
    stamps.sort(key=lambda stamp: stamp["frame"])
    frames: list[Frame] = []
    before: int | None = None
    for stamp in stamps:
        if first <= stamp["frame"] < first + PAGE:
            frames.append(_frame(stamp, before))
        before = stamp["seen_monotonic_ns"]
    return frames


def intervals_of(frames: list[Frame]) -> Intervals | None:
    """Return the intervals of a page of frames as a line, None when there are too few to draw."""
    values = [frame.interval_ms for frame in frames if frame.interval_ms is not None]
    if len(values) < 3:
        return None
    longest = max(*values, 1e-9)
    step = WIDTH / (len(values) - 1)
    points = " ".join(
        f"{i * step:.1f},{HEIGHT - max(v, 0) / longest * HEIGHT:.1f}" for i, v in enumerate(values)
    )
    return Intervals(points, median(values), longest, len(values))


def _stamps(reads: Reads, row: LedgerRow) -> list[dict[str, Any]]:
    filed = reads.record(row.record_id)
    try:
        record = decode_tolerant(raw_line(reads, filed)) if filed else None
    except RecordError:
        return []
    if not isinstance(record, FrameLedger):
        return []
    columns = record.columns
    names = list(type(columns).model_fields)
    return [
        dict(zip(names, stamp, strict=True))
        for stamp in zip(*(getattr(columns, name) for name in names), strict=True)
    ]


def _frame(stamp: dict[str, Any], before: int | None) -> Frame:
    seen = stamp["seen_monotonic_ns"]
    return Frame(
        number=stamp["frame"],
        index=" ".join(f"{axis}={i}" for axis, i in stamp["index"].items()),
        channel=stamp["channel"],
        camera=stamp["camera"],
        exposure_ms=stamp["exposure_ms"],
        x_um=stamp["x_um"],
        y_um=stamp["y_um"],
        z_um=stamp["z_um"],
        position_how=stamp["position_how"],
        runner_time_ms=stamp["runner_time_ms"],
        seen_monotonic_ns=seen,
        interval_ms=None if before is None else (seen - before) / 1e6,
    )
