"""Frames: how one record lies in a segment.

::

    magic 4 | length u32 | crc32c u32 | seq u64 | flags u16 | payload      (little endian)

The CRC covers length, seq, flags and payload. The magic holds bytes that no UTF-8 text can hold, so that a search for
the next frame behind a damaged one is not misled by what is written in a record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import zstandard

from agent.records.wire import MAX_RECORD_BYTES

MAGIC = b"\xf5Sc\xfe"
ZSTD = 1
"""Flag: the payload is one zstd frame."""
HEADER = 2
"""Flag: the payload describes the segment and is no record."""

_HEAD = struct.Struct("<4sIIQH")
_COVERED = struct.Struct("<IQH")
_WORTH_COMPRESSING_BYTES = 256
_LEVEL = 1  # zstd-1 and zstd-3 give the same size on records of 1 kB; 1 is faster


class Frame(NamedTuple):
    """A valid frame and where it lies."""

    seq: int
    flags: int
    payload: bytes
    start: int
    end: int


class Damage(NamedTuple):
    """Bytes that are no frame; `is_tail` when no valid frame follows them."""

    start: int
    end: int
    is_tail: bool


class FrameWriter:
    """Packs records; one for each append, because a compressor must never be shared between threads."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)

    def pack(self, seq: int, record: bytes) -> bytes:
        """Return the frame of a record, compressed where that saves at least an eighth."""
        if len(record) >= _WORTH_COMPRESSING_BYTES:
            small = self._compressor.compress(record)
            if len(small) < len(record) * 7 // 8:
                return frame_bytes(seq, ZSTD, small)
        return frame_bytes(seq, 0, record)


class FrameReader:
    """Unpacks records; one for each pass over a spool, for the same reason."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor()

    def record(self, frame: Frame) -> bytes:
        """Return the record in a frame.

        Raises
        ------
        zstandard.ZstdError
            The payload is no zstd frame; as its CRC is right, that is the writer's mistake.
        """
        if not frame.flags & ZSTD:
            return frame.payload
        return self._decompressor.decompress(frame.payload, max_output_size=MAX_RECORD_BYTES)


def frame_bytes(seq: int, flags: int, payload: bytes) -> bytes:
    """Return one frame as it is written."""
    crc = _crc(len(payload), seq, flags, payload)
    return _HEAD.pack(MAGIC, len(payload), crc, seq, flags) + payload


def scan(data: bytes) -> Iterator[Frame | Damage]:
    """Yield every valid frame in `data`, and the damage between them; one flipped bit costs at most one frame."""
    at = 0
    while at < len(data):
        frame = _frame_at(data, at) or _next_frame(data, at + 1)
        if frame is None:
            yield Damage(at, len(data), is_tail=True)
            return
        if frame.start > at:
            yield Damage(at, frame.start, is_tail=False)
        yield frame
        at = frame.end


def _frame_at(data: bytes, at: int) -> Frame | None:
    start = at + _HEAD.size
    if start > len(data):
        return None
    magic, length, crc, seq, flags = _HEAD.unpack_from(data, at)
    if magic != MAGIC or length > MAX_RECORD_BYTES or start + length > len(data):
        return None
    payload = data[start : start + length]
    if _crc(length, seq, flags, payload) != crc:
        return None
    return Frame(seq, flags, payload, at, start + length)


def _next_frame(data: bytes, at: int) -> Frame | None:
    while (at := data.find(MAGIC, at)) >= 0:
        if frame := _frame_at(data, at):
            return frame
        at += 1
    return None


def _crc(length: int, seq: int, flags: int, payload: bytes) -> int:
    return google_crc32c.extend(google_crc32c.value(_COVERED.pack(length, seq, flags)), payload)
