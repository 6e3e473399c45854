"""Frame rows to frame ledger records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import uuid5

from agent.capture.journal import FrameRow
from agent.records import AcquisitionStarted, FrameColumns, FrameLedger, FrameState, How, Instant

BATCH_FRAMES = 1000

States = Mapping[int, Mapping[str, Mapping[str, str]]]


def ledger_record(started: AcquisitionStarted, rows: Sequence[FrameRow], states: States) -> FrameLedger:
    """Return one batch of the ledger, captured when its last frame was seen.

    All of it follows from the start of the acquisition and the rows, so that a batch made again after a crash is the
    same record, byte by byte.
    """
    first = rows[0].frame
    used = sorted({row.state for row in rows})
    number_of = {state: position for position, state in enumerate(used)}
    return FrameLedger(
        record_id=uuid5(started.acquisition_id, f"frame_ledger {first}"),
        captured=seen_at(started.started, rows[-1]),
        instrument_id=started.instrument_id,
        producer=started.producer,
        acquisition_id=started.acquisition_id,
        first_frame=first,
        columns=_columns(rows, number_of),
        states=tuple(_states(rows, used, states)),
    )


def seen_at(start: Instant, row: FrameRow) -> Instant:
    """Return when a frame was seen: by the monotonic clock since the start, so that no jump of the other is in it."""
    since_us = (row.seen_monotonic_ns - start.monotonic_ns) // 1000
    return Instant(
        wall_at=start.wall_at + timedelta(microseconds=since_us),
        monotonic_ns=row.seen_monotonic_ns,
        boot_id=start.boot_id,
    )


def batches(rows: Sequence[FrameRow], ends: Iterable[int]) -> Iterable[Sequence[FrameRow]]:
    """Yield the rows in batches: those that were made before, by where they ended, then new ones.

    >>> [len(batch) for batch in batches([None] * 1250, [30, 200])]
    [30, 170, 1000, 50]
    """
    start = 0
    for end in _batch_ends(len(rows), ends):
        yield rows[start:end]
        start = end


def _batch_ends(n_rows: int, ends: Iterable[int]) -> Iterable[int]:
    last = 0
    for end in ends:
        if last < end <= n_rows:
            yield end
            last = end
    while last < n_rows:
        last = min(last + BATCH_FRAMES, n_rows)
        yield last


def _columns(rows: Sequence[FrameRow], number_of: Mapping[int, int]) -> FrameColumns:
    columns = dict(zip(FrameRow._fields, zip(*rows, strict=True), strict=True))
    columns["state"] = tuple(number_of[state] for state in columns["state"])
    return FrameColumns(**columns)


def _states(rows: Sequence[FrameRow], used: Sequence[int], states: States) -> Iterable[FrameState]:
    held: dict[str, dict[str, str]] = {}
    done = 0
    for position, number in enumerate(used):
        differing: dict[str, dict[str, str]] = held if position == 0 else {}
        for step in range(done + 1, number + 1):
            for device, values in states.get(step, {}).items():
                differing.setdefault(device, {}).update(values)
        done = number
        from_frame = next(row.frame for row in rows if row.state == number)
        yield FrameState(from_frame=from_frame, how=How.CACHE, values=differing)
