"""Puts away what the collector holds: kept for a while, or deleted. Deleting needs no space on the disk; what another program holds open is left for later."""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from agent.outbox.cursor import CURSOR_NAME
from agent.outbox.disk import move_file, remove_file, sync_folder
from agent.outbox.folders import SpoolFolder, has_writer, lock_path, sessions
from agent.outbox.kept import Kept

_log = logging.getLogger(__name__)
_MAX_BAD_SEGMENTS = 8


def acknowledged_segments(spool: SpoolFolder, next_seq: int) -> list[Path]:
    """Return the segments that hold nothing from `next_seq` on; never the newest, which may still be written."""
    segments = spool.segments()
    return [path for (_, path), (following, _) in pairwise(segments) if following <= next_seq]


def remove_segment(data_dir: Path, spool: SpoolFolder, path: Path, kept: Kept, *, is_damaged: bool) -> None:
    """Put a segment away; a damaged one is moved aside for a person to look at, as long as there are few."""
    try:
        if is_damaged and _keep(data_dir, path, f"{spool.lane}-{spool.spool_id}-{path.name}.bad"):
            return
        if not is_damaged and kept.take(spool, path):
            return
        remove_file(path)
    except OSError as error:
        _log.warning("%s was sent but cannot be deleted now (%s); it is tried again later.", path, error)


def remove_spool(data_dir: Path, spool: SpoolFolder, kept: Kept, damaged: set[Path]) -> None:
    """Put away a spool that cannot grow any more and whose every record was sent."""
    for _, path in spool.segments():
        remove_segment(data_dir, spool, path, kept, is_damaged=path in damaged)
    if spool.segments():
        return
    with suppress(OSError):
        # The cursor goes last, so that a crash in between leaves an empty spool that is known to be done.
        for path in sorted(spool.path.iterdir(), key=lambda path: path.name == CURSOR_NAME):
            remove_file(path)
        spool.path.rmdir()
        remove_file(spool.open_mark)


def remove_empty_sessions(data_dir: Path) -> None:
    """Delete the folders and locks of writers that are gone and left nothing behind."""
    for session in sessions(data_dir):
        with suppress(OSError):
            if any(session.iterdir()) or has_writer(session):
                continue
            session.rmdir()
            remove_file(lock_path(session))
            sync_folder(session.parent)


def _keep(data_dir: Path, path: Path, name: str) -> bool:
    folder = data_dir / "bad"
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) < _MAX_BAD_SEGMENTS:
            move_file(path, folder / name)
            return True
    return False
