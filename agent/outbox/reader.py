"""Reads a spool from a position on, one segment in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent.outbox.cursor import Position
from agent.outbox.folders import SpoolFolder
from agent.outbox.frames import HEADER, Damage, Frame, FrameReader, scan


class Stored(NamedTuple):
    """A record as it lies on the disk: its segment's first number and the byte behind its frame."""

    seq: int
    record: bytes
    segment: int
    end: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place in a segment that holds no valid frame.

    Attributes
    ----------
    path : Path
        The segment.
    start, end : int
        The bytes, from `start` up to and without `end`.
    after_seq : int
        The last valid record before it.
    is_tail : bool
        Nothing valid follows it in this segment.
    """

    path: Path
    start: int
    end: int
    after_seq: int
    is_tail: bool


class SpoolReader:
    """Yields the records of a spool that are there now, in order.

    Parameters
    ----------
    spool : SpoolFolder
        What to read.
    position : Position
        Where to begin.
    is_live : bool
        Whether the writer lived *before* this call. The tail of its newest segment is then not yet written, and
        anywhere else unreadable. Bytes are written in order, so a bad frame with a valid one behind it is damage
        even there.

    Attributes
    ----------
    unreadable : list of Unreadable
        What was found damaged so far.
    """

    def __init__(self, spool: SpoolFolder, position: Position, *, is_live: bool) -> None:
        self.unreadable: list[Unreadable] = []
        self._spool = spool
        self._position = position
        self._is_live = is_live

    def __iter__(self) -> Iterator[Stored]:
        # The list is taken before anything is read: a segment with a successor in it is complete.
        segments = self._spool.segments()
        newest = segments[-1][0] if segments else 0
        unpack = FrameReader()
        for first, path in _from(segments, self._position.next_seq):
            may_grow = self._is_live and first == newest
            for frame in self._frames(first, path, may_grow=may_grow):
                if frame.seq >= self._position.next_seq and not frame.flags & HEADER:
                    yield Stored(frame.seq, unpack.record(frame), first, frame.end)

    def _frames(self, first: int, path: Path, *, may_grow: bool) -> Iterator[Frame]:
        hint = self._position.offset if self._position.segment == first else 0
        try:
            data, base = _read(path, hint)
        except FileNotFoundError:
            return  # given up meanwhile; the numbers that are missing show it
        seq = max(first, self._position.next_seq) - 1 if base else first - 1
        for item in scan(data):
            if isinstance(item, Damage):
                if not (item.is_tail and may_grow):
                    self.unreadable.append(
                        Unreadable(path, base + item.start, base + item.end, seq, item.is_tail)
                    )
                continue
            if not item.flags & HEADER:
                seq = item.seq
            yield item._replace(start=base + item.start, end=base + item.end)


class Feed:
    """Runs of consecutive records, to be taken and, when the collector wants fewer, given back."""

    def __init__(self, records: Iterator[Stored]) -> None:
        self._records = records
        self._ahead: deque[Stored] = deque()

    def take(self, n_records: int, n_bytes: int) -> list[Stored]:
        """Return up to `n_records` consecutive records of up to `n_bytes` together, at least one if there is any."""
        run: list[Stored] = []
        size = 0
        while len(run) < n_records and (stored := self._next()):
            size += len(stored.record) + 1
            if run and (size > n_bytes or stored.seq != run[-1].seq + 1):
                self._ahead.appendleft(stored)
                break
            run.append(stored)
        return run

    def give_back(self, records: list[Stored]) -> None:
        """Take back records that were not sent."""
        self._ahead.extendleft(reversed(records))

    def _next(self) -> Stored | None:
        return self._ahead.popleft() if self._ahead else next(self._records, None)


def _from(segments: list[tuple[int, Path]], next_seq: int) -> list[tuple[int, Path]]:
    """Leave out the segments that end before `next_seq`."""
    first_useful = max((i for i, (first, _) in enumerate(segments) if first <= next_seq), default=0)
    return segments[first_useful:]


def _read(path: Path, hint: int) -> tuple[bytes, int]:
    """Return the segment's bytes from `hint` on, and from where on they are."""
    with path.open("rb") as file:
        if hint > path.stat().st_size:
            hint = 0
        file.seek(hint)
        return file.read(), hint
