"""The chain inside a stored batch: recomputed from its lines, because storing 32 bytes a record would double the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from server.expand import expand
from server.store.rows import StoredBatch

GIVEN_UP = b"#"
"""Starts a line that retention has replaced by its SHA-256; no JSON object starts so."""
_ANY_SIZE_BYTES = 512 << 20  # it was within the limit when it was taken; the setting may have shrunk since


def lines_of(batch: StoredBatch) -> list[bytes] | None:
    """Return the lines as they were received, with ``#<sha256>`` for those given up; None when all are."""
    if batch.body is None:
        return None
    return split_lines(expand(batch.body, batch.headers.get("content-encoding", ""), _ANY_SIZE_BYTES))


def split_lines(body: bytes, most: int | None = None) -> list[bytes]:
    """Return the lines of newline-delimited JSON; the last may or may not end with a newline.

    Where there are more than `most` they are not told apart: nobody makes millions of lines of a body that says it has ten.
    """
    lines = body.split(b"\n", -1 if most is None else most + 1)
    if lines[-1] == b"":
        lines.pop()
    return lines


def line_sha256(line: bytes) -> bytes:
    """Return the hash of a line as it was received, whether it is still here or given up."""
    if line.startswith(GIVEN_UP) and len(line) == 65:
        return bytes.fromhex(line[1:].decode())
    return hashlib.sha256(line).digest()


def chain_over(prev: str, lines: list[bytes]) -> Iterator[str]:
    """Yield the chain value after each line: `agent.records.wire.chain_next`, also over lines given up."""
    chain = bytes.fromhex(prev)
    for line in lines:
        chain = hashlib.sha256(chain + line_sha256(line)).digest()
        yield chain.hex()


def chain_within(batch: StoredBatch, seq: int) -> str | None:
    """Return the chain value after `seq`, None when it is not in the batch or its lines are given up."""
    if seq == batch.last_seq:
        return batch.chain
    lines = lines_of(batch)
    if seq < batch.first_seq or lines is None:
        return None
    *_, chain = chain_over(batch.prev, lines[: seq - batch.first_seq + 1])
    return chain
