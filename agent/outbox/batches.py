"""A run of records as one request."""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

from agent.outbox.cursor import Position
from agent.outbox.reader import Stored
from agent.records.wire import (
    COUNT_HEADER,
    FIRST_SEQ_HEADER,
    PREV_HEADER,
    SKIPPED_FROM_HEADER,
    SPOOL_HEADER,
    chain_next,
    chain_skip,
)

_LEVEL = 3


def compressed(run: Sequence[Stored]) -> bytes:
    """Return the body of a batch: one record a line, zstd."""
    lines = b"".join(stored.record + b"\n" for stored in run)
    # A compressor of its own for every batch: one shared between threads crashes the process.
    return zstandard.ZstdCompressor(level=_LEVEL).compress(lines)


def headers_of(spool_id: str, position: Position, run: Sequence[Stored]) -> dict[str, str]:
    """Return what a batch says of itself, given where the spool stands."""
    first_seq = run[0].seq
    headers = {
        "Content-Type": "application/x-ndjson",
        "Content-Encoding": "zstd",
        SPOOL_HEADER: spool_id,
        FIRST_SEQ_HEADER: str(first_seq),
        COUNT_HEADER: str(len(run)),
        PREV_HEADER: _chain_before(position, first_seq),
    }
    if first_seq > position.acked + 1:
        headers[SKIPPED_FROM_HEADER] = str(position.acked + 1)
    return headers


def after(position: Position, run: Sequence[Stored], acked: int) -> Position:
    """Return where the spool stands once the records of `run` up to `acked` are acknowledged."""
    chain = _chain_before(position, run[0].seq)
    for stored in run:
        if stored.seq > acked:
            break
        chain = chain_next(chain, stored.record)
        position = Position(stored.seq, chain, stored.seq + 1, stored.segment, stored.end)
    return position


def _chain_before(position: Position, first_seq: int) -> str:
    if first_seq > position.acked + 1:
        return chain_skip(position.chain, position.acked + 1, first_seq - 1)
    return position.chain
