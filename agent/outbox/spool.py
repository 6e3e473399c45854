"""The writer of one spool: numbered records, appended to segments and synced before they count."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from agent.outbox.cursor import CURSOR_NAME, Cursor
from agent.outbox.disk import remove_file, sync_file, sync_folder, write_all
from agent.outbox.folders import SpoolFolder
from agent.outbox.frames import HEADER, FrameWriter, frame_bytes
from agent.outbox.lanes import Lane

SEGMENT_BYTES = 8 << 20
"""A segment is closed once it is this long."""
FORMAT = 1
ASIDE_NAME = "aside.json"
"""Present in a spool that the collector holds to be forked: kept, never sent, never written again."""


class Spool:
    """Appends to one spool.

    A writer never reopens an old spool. Every process that captures makes a new session folder, and in it a spool with
    a new random name for each lane at the first record, numbered from 1. So there is no recovery of a writer to get
    wrong, and a number is never given to two records: after an append that failed, the spool is not written again
    either, because the drainer may already have read and sent what the disk then refused to keep.

    Not safe for several threads at once; the outbox holds its lock.

    Parameters
    ----------
    session : Path
        Folder of the session.
    lane : Lane
        What the spool is for.
    created_at : datetime
        Goes into the header of the first segment.
    """

    def __init__(self, session: Path, lane: Lane, created_at: datetime) -> None:
        self.lane = lane
        self.spool_id = secrets.token_hex(16)
        self.last_seq = 0
        self._folder = SpoolFolder(session / f"{lane}-{self.spool_id}", lane, self.spool_id)
        self._file = -1
        self._length = 0
        try:
            self._folder.open_mark.touch()  # before the folder: one without a mark is deleted by the drainer
            self._folder.path.mkdir()
            Cursor(self._folder.path).create()
            self._open_segment(created_at)
            sync_folder(session)
        except OSError:
            self._undo()
            raise

    def append(self, records: Sequence[bytes], at: datetime) -> int:
        """Append records; they are on the disk when this returns.

        Parameters
        ----------
        records : sequence of bytes
            Encoded records, each at most ``MAX_RECORD_BYTES``.
        at : datetime
            Goes into the header when a new segment is begun.

        Returns
        -------
        int
            Bytes written.

        Raises
        ------
        OSError
            Nothing of `records` counts as recorded; the spool must not be used again.
        """
        if self._length >= SEGMENT_BYTES:
            self._roll(at)
        writer = FrameWriter()
        frames = [writer.pack(seq, record) for seq, record in enumerate(records, self.last_seq + 1)]
        data = b"".join(frames)
        try:
            write_all(self._file, data)
            sync_file(self._file)
        except OSError:
            self._cut_back()
            raise
        self._length += len(data)
        self.last_seq += len(records)
        return len(data)

    def is_aside(self) -> bool:
        """Return whether the collector refused this spool for good."""
        return (self._folder.path / ASIDE_NAME).exists()

    def close(self) -> None:
        """End the spool; everything in it is on the disk already."""
        self._close_segment()
        with suppress(OSError):
            remove_file(self._folder.open_mark)

    def _roll(self, at: datetime) -> None:
        self._close_segment()
        try:
            self._open_segment(at)
        except OSError:
            self._close_segment()
            with suppress(OSError):
                remove_file(self._folder.segment(self.last_seq + 1))
            raise

    def _open_segment(self, at: datetime) -> None:
        first_seq = self.last_seq + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(self._folder.segment(first_seq), flags, 0o644)
        header = frame_bytes(first_seq, HEADER, self._header(at))
        write_all(self._file, header)
        sync_file(self._file)
        sync_folder(self._folder.path)
        self._length = len(header)

    def _header(self, at: datetime) -> bytes:
        words = {"format": FORMAT, "spool_id": self.spool_id, "lane": self.lane, "begun_at": at.isoformat()}
        return json.dumps(words).encode()

    def _cut_back(self) -> None:
        # So that nobody reads half of what was refused. Should this fail as well, readers stop at the torn frame, and
        # whole records before it are true records that merely arrive although the caller was told otherwise.
        with suppress(OSError):
            os.ftruncate(self._file, self._length)
            sync_file(self._file)

    def _close_segment(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _undo(self) -> None:
        self._close_segment()
        with suppress(OSError):
            remove_file(self._folder.segment(1))
            remove_file(self._folder.path / CURSOR_NAME)
            self._folder.path.rmdir()
        with suppress(OSError):
            remove_file(self._folder.open_mark)
