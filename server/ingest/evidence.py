"""Back from a row to the bytes that were received, and to the signature over them."""

from __future__ import annotations

from functools import lru_cache

from agent.records import Record, RecordError, decode_tolerant
from server.errors import StoreError
from server.expand import expand
from server.ingest.signature import is_signed_by
from server.rotation import keys_for_evidence
from server.store.base import Reads
from server.store.chains import split_lines
from server.store.rows import QuarantineRow, RecordRow, StoredBatch

_ANY_SIZE_BYTES = 512 << 20  # it was within the limit when it was taken; the setting may have shrunk since
_CACHED_BATCHES = 8


def raw_line(reads: Reads, row: RecordRow | QuarantineRow) -> bytes:
    """Return the bytes of one line exactly as they were received."""
    return _lines_of(batch_of(reads, row))[row.line]


def record_of(reads: Reads, row: RecordRow | None) -> Record | None:
    """Return a filed record as its model; None without a row, or when today's schema cannot read it any more."""
    try:
        return decode_tolerant(raw_line(reads, row)) if row else None
    except RecordError:  # its raw bytes remain
        return None


def batch_of(reads: Reads, row: RecordRow | QuarantineRow) -> StoredBatch:
    """Return the batch that a row came in."""
    batch = reads.batch(row.batch_id)
    if batch is None:
        raise StoreError(f"Batch {row.batch_id} is missing from the store; restore the last backup.")
    return batch


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
