"""Back from a row to the bytes that were received, and to the signature over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from agent.records import Record, RecordError, decode_tolerant
from server.access.rotation import keys_for_evidence
from server.errors import StoreError
from server.expand import expand
from server.ingest.signature import is_signed_by
from server.store.base import Reads
from server.store.chains import split_lines
from server.store.rows import QuarantineRow, RecordRow, StoredBatch

_ANY_SIZE_BYTES = 512 << 20  # it was within the limit when it was taken; the setting may have shrunk since
_CACHED_BATCHES = 8
_BATCHES_AT_ONCE = 50


def raw_line(reads: Reads, row: RecordRow | QuarantineRow) -> bytes:
    """Return the bytes of one line exactly as they were received."""
    return _lines_of(batch_of(reads, row))[row.line]


def record_of(reads: Reads, row: RecordRow | None) -> Record | None:
    """Return a filed record as its model; None without a row, or when today's schema cannot read it any more."""
    return records_of(reads, [row])[0] if row else None


def records_of(reads: Reads, rows: Sequence[RecordRow]) -> list[Record | None]:
    """Return what `record_of` does of each row, for many at once."""
    return [_decoded(line) for line in raw_lines(reads, rows)]


def raw_lines(reads: Reads, rows: Sequence[RecordRow]) -> Iterator[bytes]:
    """Yield what `raw_line` returns of each row; the store is asked for many batches at once."""
    for start in range(0, len(rows), _BATCHES_AT_ONCE):
        some = rows[start : start + _BATCHES_AT_ONCE]
        batches = reads.batches_of(some)
        for row in some:
            yield _lines_of(_held(batches, row))[row.line]


def batch_of(reads: Reads, row: RecordRow | QuarantineRow) -> StoredBatch:
    """Return the batch that a row came in."""
    return _held(reads.batches_of([row]), row)


def _held(batches: Mapping[int, StoredBatch], row: RecordRow | QuarantineRow) -> StoredBatch:
    if row.batch_id not in batches:
        raise StoreError(f"Batch {row.batch_id} is missing from the store; restore the last backup.")
    return batches[row.batch_id]


def _decoded(line: bytes) -> Record | None:
    try:
        return decode_tolerant(line)
    except RecordError:  # its raw bytes remain
        return None


def is_signature_good(reads: Reads, batch: StoredBatch) -> bool:
    """Return whether the stored batch still carries a valid signature of its agent: checked now, not remembered."""
    agent = reads.agent(batch.agent_id)
    return agent is not None and any(
        is_signed_by(key, "POST", batch.path, batch.headers, batch.body or b"", batch.body_sha256)
        for key in keys_for_evidence(reads, agent)
    )


def _lines_of(batch: StoredBatch) -> tuple[bytes, ...]:
    if batch.body is None:
        raise StoreError(f"The body of batch {batch.batch_id} was given up by retention.")
    return _expanded_lines(batch.body, batch.headers.get("content-encoding", "identity"))


@lru_cache(maxsize=_CACHED_BATCHES)
def _expanded_lines(body: bytes, encoding: str) -> tuple[bytes, ...]:
    return tuple(split_lines(expand(body, encoding, _ANY_SIZE_BYTES)))
