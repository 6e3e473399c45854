"""How far a spool has been acknowledged: two slots in one small file, written in place and in turn.

A torn write spoils one slot and leaves the other. Nothing is renamed, so nothing fails on a sharing violation, and
the file is as long from the start as it will ever be, so a full disk still takes it. It is not synced at every
acknowledgement: a cursor that lost its last steps in a power cut only has records sent again that the collector
recognises. It is synced before a segment is deleted.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from agent.outbox.disk import sync_file
from agent.records.wire import CHAIN_START

CURSOR_NAME = "cursor"
_SLOT = struct.Struct("<4sQQ32sQQQ")
_SLOT_BYTES = 128
_MAGIC = b"Scu1"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a spool stands.

    Attributes
    ----------
    acked : int
        The collector holds everything up to here.
    chain : str
        Chain value after `acked`.
    next_seq : int
        The next record to send; what lies between `acked` and it can never be sent.
    segment, offset : int
        A hint where to read on: first sequence number of a segment and a byte in it; 0 where unknown.
    """

    acked: int = 0
    chain: str = CHAIN_START
    next_seq: int = 1
    segment: int = 0
    offset: int = 0


class Cursor:
    """The cursor file of one spool."""

    def __init__(self, spool: Path) -> None:
        self._path = spool / CURSOR_NAME

    def create(self) -> None:
        """Make the file, at the start of the spool."""
        with self._path.open("xb") as file:
            file.write(_packed(1, Position()).ljust(2 * _SLOT_BYTES, b"\0"))

    def load(self) -> Position | None:
        """Return the last position that was written whole, or None when there is none."""
        newest = max(self._slots(), default=None, key=lambda slot: slot[0])
        return newest[1] if newest else None

    def save(self, position: Position, *, sync: bool = False) -> None:
        """Write a position over the older slot.

        Parameters
        ----------
        position : Position
            The new position.
        sync : bool
            Wait until it is on the disk, as is needed before the records it covers are deleted.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        number = max((slot[0] for slot in self._slots()), default=0) + 1
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0))
        try:
            os.lseek(descriptor, (number + 1) % 2 * _SLOT_BYTES, os.SEEK_SET)
            os.write(descriptor, _packed(number, position))
            if sync:
                sync_file(descriptor)
        finally:
            os.close(descriptor)

    def _slots(self) -> list[tuple[int, Position]]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        slots = (_unpacked(data[at : at + _SLOT_BYTES]) for at in (0, _SLOT_BYTES))
        return [slot for slot in slots if slot]


def _packed(number: int, position: Position) -> bytes:
    body = _SLOT.pack(
        _MAGIC,
        number,
        position.acked,
        bytes.fromhex(position.chain),
        position.next_seq,
        position.segment,
        position.offset,
    )
    return (body + struct.pack("<I", google_crc32c.value(body))).ljust(_SLOT_BYTES, b"\0")


def _unpacked(slot: bytes) -> tuple[int, Position] | None:
    if len(slot) < _SLOT.size + 4 or slot[:4] != _MAGIC:
        return None
    body = slot[: _SLOT.size]
    if struct.unpack_from("<I", slot, _SLOT.size)[0] != google_crc32c.value(body):
        return None
    _, number, acked, chain, next_seq, segment, offset = _SLOT.unpack(body)
    return number, Position(acked, chain.hex(), next_seq, segment, offset)
