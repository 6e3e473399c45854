"""Rows of `records` as PostgreSQL's binary COPY wants them: they come by the thousand, so they are packed in one go each.

The format is told in PostgreSQL's documentation of COPY ("Binary Format"): a header, for each row the number of its fields and for
each field its length and its bytes in network order, at the end -1 in place of a number of fields. A length of -1 is NULL.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from server.store.connection import to_us
from server.store.filed import Part

USUAL_VERSION = "1.0"
"""The version of nearly every record: it stands in the table as NULL, which takes no room."""
PACKED_COLUMNS = (
    "position", "captured_at", "batch_id", "record_id", "instrument_key", "kind_key", "line", "schema_version", "acquisition_id",
)  # fmt: skip
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_ROW = struct.Struct("!h iq iq iq i16s ii ih ih")
_EPOCH_US = to_us(datetime(2000, 1, 1, tzinfo=UTC))
"""From which PostgreSQL counts time."""


def packed(parts: Sequence[Part], kinds: Mapping[str, int], instruments: Mapping[str, int]) -> bytearray:
    """Return the rows of records under the keys of their kinds and instruments, in the order of `PACKED_COLUMNS`."""
    pack: Callable[..., bytes] = _ROW.pack
    rows = [
        pack(
            9, 8, position, 8, to_us(filed.captured_at) - _EPOCH_US, 8, batch_id, 16, filed.record_id.int.to_bytes(16, "big"),
            4, instruments[filed.instrument_id], 2, kinds[filed.kind], 2, line.seq - batch.first_seq,
        )
        + (_NULL if filed.schema_version == USUAL_VERSION else _field(filed.schema_version.replace("\0", "\ufffd").encode()))
        + (_NULL if filed.acquisition_id is None else _field(filed.acquisition_id.bytes))
        for batch_id, batch, lines, positions in parts
        for position, line in zip(positions, lines, strict=True)
        if (filed := line.filed) is not None
    ]  # fmt: skip
    return bytearray().join((_HEADER, *rows, _TRAILER))


def _field(content: bytes) -> bytes:
    return struct.pack("!i", len(content)) + content
