"""Lines of a batch to what the tables need of them.

Nothing is bounced: a line that cannot be understood is flagged, kept and acknowledged, because the agent could do nothing
better with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agent.records import (
    KINDS,
    AcquisitionFinished,
    AcquisitionStarted,
    DatasetStamp,
    Envelope,
    FrameLedger,
    QcMetric,
    QcResult,
    Quantity,
    Record,
    RecordError,
    StateChange,
    decode_tolerant,
)
from agent.records.wire import Flagged
from server.errors import RefusedError
from server.ingest.glance import glance_all
from server.ingest.searching import model_of, search_of
from server.ingest.using import use_of
from server.quality.series import series_key
from server.store.chains import split_lines
from server.store.rows import (
    QC_RANKS,
    AcquisitionFacts,
    Agent,
    Filed,
    FiledChange,
    FlagReason,
    Line,
    PlannedRunFacts,
    QcFacts,
    QcFigure,
    SessionFacts,
)

_INT64 = range(-(2**63), 2**63)


def file_lines(body: bytes, first_seq: int, n_records: int, prev: str, agent: Agent) -> tuple[Line, ...]:
    """Return the lines of an expanded body, each filed or flagged, with the chain value after it."""
    raw_lines = split_lines(body, most=n_records)
    if len(raw_lines) != n_records:
        n_lines = body.count(b"\n") + (not body.endswith(b"\n"))
        raise RefusedError(
            400,
            "malformed_batch",
            f"Scopestamp-Count says {n_records} records, the body has {n_lines if body else 0} lines. Send it again.",
        )
    return tuple(_chained(body, raw_lines, first_seq, prev, agent))


def _chained(body: bytes, raw_lines: list[bytes], first_seq: int, prev: str, agent: Agent) -> Iterator[Line]:
    """Yield the lines; the chain is `agent.records.wire.chain_next` without the way through hexadecimal."""
    sha256 = hashlib.sha256
    chain = bytes.fromhex(prev)
    glances = glance_all(body, raw_lines, agent)
    for seq, (raw, filed) in enumerate(zip(raw_lines, glances, strict=True), start=first_seq):
        chain = sha256(chain + sha256(raw).digest()).digest()
        if filed is not None:
            yield Line(seq, raw, chain.hex(), filed)
        else:
            yield file_line(seq, raw, chain.hex(), agent)


def file_line(seq: int, raw: bytes, chain: str, agent: Agent) -> Line:
    """Return one line, filed when it is a record this agent may send, flagged when not."""
    try:
        envelope = Envelope.model_validate_json(raw)
    except ValidationError:
        return _flagged(seq, raw, chain, None, "malformed", "This is no JSON object with record_id and kind.")
    if (why := _not_understood(envelope)) is not None:
        return _flagged(seq, raw, chain, envelope, *why)
    try:
        record = decode_tolerant(raw)
    except (RecordError, OverflowError) as error:  # of a time at the edge of the calendar
        return _flagged(seq, raw, chain, envelope, "malformed", str(error))
    if (message := _not_theirs(record, agent)) is not None:
        return _flagged(seq, raw, chain, envelope, "foreign_agent", message)
    try:
        return Line(seq, raw, chain, filed_of(record))
    except OverflowError as error:
        return _flagged(seq, raw, chain, envelope, "malformed", str(error))


def _not_understood(envelope: Envelope) -> tuple[FlagReason, str] | None:
    model = KINDS.get(envelope.kind)
    if model is None:
        return (
            "unknown_kind",
            f"Kind {envelope.kind[:64]!r} is not known here; a newer collector may know it.",
        )
    ours = str(model.model_fields["schema_version"].default)
    theirs = envelope.schema_version[:16]
    major = theirs.partition(".")[0]
    if major.isascii() and major.isdigit() and int(major) > int(ours.partition(".")[0]):
        return (
            "newer_version",
            f"{envelope.kind} {theirs} is newer than {ours}; upgrade the collector to read it.",
        )
    return None


def _not_theirs(record: Record, agent: Agent) -> str | None:
    if record.producer.agent_id != agent.agent_id:
        return f"Made by {record.producer.agent_id[:64]}, sent by {agent.agent_id}."
    if record.instrument_id != agent.instrument_id:
        return f"Speaks of instrument {record.instrument_id[:64]}; this agent is enrolled for {agent.instrument_id}."
    return None


def _flagged(
    seq: int, raw: bytes, chain: str, envelope: Envelope | None, reason: FlagReason, message: str
) -> Line:
    return Line(
        seq=seq,
        raw=raw,
        chain=chain,
        flag=Flagged(seq=seq, reason=reason, message=message),
        kind=envelope.kind[:64] if envelope else None,
        record_id=envelope.record_id[:64] if envelope else None,
    )


def filed_of(record: Record) -> Filed:
    """Return under what a record is filed; OverflowError when a number in it fits no column."""
    acquisition_id: UUID | None = getattr(record, "acquisition_id", None)
    filed = Filed(
        record_id=record.record_id,
        kind=record.kind,  # type: ignore[attr-defined]  # every published kind has one
        schema_version=record.schema_version,
        instrument_id=record.instrument_id,
        captured_at=record.captured.wall_at,
        boot_id=record.captured.boot_id,
        monotonic_ns=record.captured.monotonic_ns,
        acquisition_id=acquisition_id,
        changes=_changes(record),
        facts=_facts(record),
        qc=_qc(record) if isinstance(record, QcResult) else None,
        search=search_of(record),
        model=model_of(record),
        use=use_of(record),
    )
    for number in (filed.monotonic_ns, *(filed.facts.numbers() if filed.facts else ()), *_counts(filed.use)):
        if number not in _INT64:
            raise OverflowError("A number in it does not fit 64 bits.")
    return filed


def _changes(record: Record) -> tuple[FiledChange, ...]:
    if not isinstance(record, StateChange):
        return ()
    return tuple(
        FiledChange(one.device, one.property, one.last_at.wall_at, one.model_dump_json(exclude_none=True))
        for one in record.changes
    )


def _facts(record: Record) -> AcquisitionFacts | None:
    match record:
        case AcquisitionStarted():
            return AcquisitionFacts(
                acquisition_id=record.acquisition_id,
                started_at=record.started.wall_at,
                n_expected=record.plan.n_frames_expected,
            )
        case FrameLedger():
            return AcquisitionFacts(
                acquisition_id=record.acquisition_id,
                first_frame=record.first_frame,
                n_frames=len(record.columns.frame),
            )
        case AcquisitionFinished():
            return _facts_of_end(record, record.started.wall_at, record.finished.wall_at)
        case DatasetStamp() if record.acquisition_id is not None:
            n_stamped = sum(file.is_stamped_inside or file.sidecar is not None for file in record.files)
            return AcquisitionFacts(acquisition_id=record.acquisition_id, n_stamped=n_stamped)
    return None


def _facts_of_end(
    record: AcquisitionFinished, started_at: datetime, finished_at: datetime
) -> AcquisitionFacts:
    return AcquisitionFacts(
        acquisition_id=record.acquisition_id,
        started_at=started_at,
        finished_at=finished_at,
        reason=record.reason.value,
        n_expected=record.frames.expected,
        n_seen=record.frames.seen,
        n_dropped=record.frames.dropped,
        n_files=len(record.files),
        n_problems=len(record.problems),
        size_bytes=sum(file.size_bytes or 0 for file in record.files),
    )


def _counts(use: SessionFacts | PlannedRunFacts | None) -> tuple[int, ...]:
    return (use.n_acquisitions, use.n_frames) if isinstance(use, SessionFacts) else ()


def _qc(result: QcResult) -> QcFacts:
    return QcFacts(
        run_id=result.run_id,
        series_key=series_key(result.routine, result.light_path),
        routine=result.routine,
        light_path=result.light_path,
        status=result.status.value,
        figures=_figures(result.metrics),
    )


def _figures(metrics: Iterable[QcMetric]) -> tuple[QcFigure, ...]:
    judged: dict[str, list[QcMetric]] = {}
    for metric in metrics:
        judged.setdefault(metric.metric, []).append(metric)
    return tuple(map(_figure, judged.values()))


def _figure(judged: Sequence[QcMetric]) -> QcFigure:
    """Return one figure as all rules together judge it: the worst verdict, the narrowest limits."""
    worst = max(judged, key=lambda metric: QC_RANKS.index(metric.status.value))
    lower = [limit for metric in judged if (limit := _drawable(metric.lower_limit)) is not None]
    upper = [limit for metric in judged if (limit := _drawable(metric.upper_limit)) is not None]
    expected, baseline = (
        next((number for metric in judged if (number := number_in(getattr(metric, name))) is not None), None)
        for name in ("expected", "baseline")
    )
    return QcFigure(
        metric=worst.metric,
        status=worst.status.value,
        unit=worst.measured.unit if worst.measured else None,
        value=number_in(worst.measured),
        uncertainty=number_in(worst.uncertainty),
        expected=expected,
        baseline=baseline,
        lower_limit=max(lower, default=None),
        upper_limit=min(upper, default=None),
    )


def number_in(quantity: Quantity | None) -> float | None:
    """Return the number in a quantity, None when it is absent or no number that can be drawn."""
    return _drawable(quantity.value if quantity else None)


def _drawable(value: Any) -> float | None:
    if value is None or isinstance(value, bool | str):
        return None
    return float(value) if abs(value) < 1e300 else None
