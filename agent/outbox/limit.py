"""The byte budget: which segments are given up when all spools together are too large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from agent.outbox.cursor import Cursor
from agent.outbox.disk import remove_file
from agent.outbox.folders import SpoolFolder, all_spools, may_grow, spool_root
from agent.outbox.frames import HEADER, Frame, scan
from agent.outbox.lanes import Lane

_GIVEN_UP_NAME = "given-up"
_GIVEN_UP_LANES = (Lane.SNAPSHOTS, Lane.HEARTBEATS)


@dataclass(frozen=True, slots=True)
class Loss:
    """A run of records that was given up."""

    lane: Lane
    spool_id: str
    first_seq: int
    last_seq: int

    @property
    def n_records(self) -> int:
        """How many they are."""
        return self.last_seq - self.first_seq + 1


def bytes_on_disk(data_dir: Path) -> int:
    """Return the size of all spools, bytes."""
    # Unlike a glob, a walk does not mind folders that vanish meanwhile.
    return sum(
        _size(Path(folder, name)) for folder, _, names in os.walk(spool_root(data_dir)) for name in names
    )


def give_up_oldest(data_dir: Path, limit_bytes: int) -> list[Loss]:
    """Delete the oldest snapshots, then the oldest heartbeats, until all spools fit into `limit_bytes`.

    Critical records and events are never deleted, nor is a segment that is still written. Returns what was lost;
    records that the collector already holds are no loss.
    """
    excess = bytes_on_disk(data_dir) - limit_bytes
    losses: list[Loss] = []
    if excess <= 0:
        return losses
    for spool, path, first_seq, last_seq in _sealed(data_dir):
        size = _size(path)
        try:
            remove_file(path)
        except OSError:
            continue  # someone reads it at this moment; the next look finds it again
        excess -= size
        position = Cursor(spool.path).load()
        first_waiting = max(first_seq, position.next_seq if position else 1)
        if first_waiting <= last_seq:
            _leave_note(spool, first_waiting, last_seq)
            _add(losses, Loss(spool.lane, spool.spool_id, first_waiting, last_seq))
        if excess <= 0:
            break
    return losses


def was_given_up(spool: SpoolFolder, first_seq: int, last_seq: int) -> bool:
    """Return whether a run of records is missing because it was given up, which a gap record has told already."""
    try:
        notes = (spool.path / _GIVEN_UP_NAME).read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    wanted = first_seq
    for note in notes:
        first, _, last = note.partition(" ")
        if first.isdigit() and last.isdigit() and int(first) <= wanted <= int(last):
            wanted = int(last) + 1
    return wanted > last_seq


def last_seq_in(path: Path) -> int:
    """Return the number of the last valid record in a segment; 0 when there is none.

    Raises
    ------
    OSError
        The segment cannot be read now, or is gone.
    """
    seqs = [
        item.seq for item in scan(path.read_bytes()) if isinstance(item, Frame) and not item.flags & HEADER
    ]
    return max(seqs, default=0)


def last_seq_of(spool: SpoolFolder) -> int:
    """Return the number of the last record of a spool; 0 when it is empty, OSError as for `last_seq_in`."""
    segments = spool.segments()
    if not segments:
        return 0
    first, path = segments[-1]
    # A segment without a record still tells how far the one before it went.
    return max(last_seq_in(path), first - 1)


def _sealed(data_dir: Path) -> Iterator[tuple[SpoolFolder, Path, int, int]]:
    spools = all_spools(data_dir)
    for lane in _GIVEN_UP_LANES:
        for spool in (spool for spool in spools if spool.lane is lane):
            segments = spool.segments()
            for (first, path), (following, _) in pairwise(segments):
                yield spool, path, first, following - 1
            if segments and not may_grow(spool):
                first, path = segments[-1]
                try:
                    last_seq = last_seq_in(path)
                except OSError:
                    continue  # what cannot be counted now is not given up now
                yield spool, path, first, last_seq


def _leave_note(spool: SpoolFolder, first_seq: int, last_seq: int) -> None:
    # Should this fail, the loss is reported twice.
    with suppress(OSError), (spool.path / _GIVEN_UP_NAME).open("a", encoding="ascii") as file:
        file.write(f"{first_seq} {last_seq}\n")


def _add(losses: list[Loss], loss: Loss) -> None:
    last = losses[-1] if losses else None
    if last and last.spool_id == loss.spool_id and last.last_seq + 1 == loss.first_seq:
        losses[-1] = Loss(loss.lane, loss.spool_id, last.first_seq, loss.last_seq)
    else:
        losses.append(loss)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
