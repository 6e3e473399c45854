"""What the collector has acknowledged, kept for a while: one that is restored from a backup needs it again.

::

    <data>/sent/<session>/<lane>-<spool_id>/<first_seq>.seg

Segments are moved here instead of deleted. Nothing here is counted as waiting, and all of it is given up before anything
else when space is short.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agent.outbox.disk import free_bytes, move_file, remove_file, sync_folder
from agent.outbox.folders import SpoolFolder, spool_root, spools
from agent.outbox.limit import last_seq_in

_LOOK_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much of what was sent is kept.

    Attributes
    ----------
    days : float
        Older segments are deleted; 0 keeps nothing.
    max_bytes : int
        Above it the oldest are deleted.
    min_free_bytes : int
        With less free on the volume nothing is kept.
    """

    days: float = 7.0
    max_bytes: int = 500_000_000
    min_free_bytes: int = 1 << 30


class Kept:
    """The segments that were sent; used by one thread at a time.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    retention : Retention
        How much of them is kept.
    """

    def __init__(self, data_dir: Path, retention: Retention) -> None:
        self._data_dir = data_dir
        self._root = data_dir / "sent"
        self._retention = retention
        self._is_changed = True
        self._looked_at: datetime | None = None

    def take(self, spool: SpoolFolder, segment: Path) -> bool:
        """Move a segment here; return False when it is not to be kept, or cannot be."""
        if not self._retention.days or not self._has_room():
            return False
        folder = self._root / spool.session.name / spool.path.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            move_file(segment, folder / segment.name)
        except OSError:  # a full disk: it makes room by being deleted
            return False
        self._is_changed = True
        return True

    def spools(self) -> list[SpoolFolder]:
        """Return the spools of which something is kept, newest session first."""
        with suppress(OSError):
            folders = sorted((path for path in self._root.iterdir() if path.is_dir()), reverse=True)
            return [spool for folder in folders for spool in spools(folder)]
        return []

    def last_seq(self, spool: SpoolFolder) -> int:
        """Return the number of the last record kept of a spool; raises OSError when it cannot be read."""
        segments = spool.segments()
        return last_seq_in(segments[-1][1]) if segments else 0

    def bring_back(self, spool: SpoolFolder, acked: int) -> None:
        """Move what holds records behind `acked` back into the spool, oldest first.

        Raises
        ------
        OSError
            Something cannot be moved now; what was moved counts.
        """
        home = spool_root(self._data_dir) / spool.session.name / spool.path.name
        home.mkdir(parents=True, exist_ok=True)
        segments = spool.segments()
        ends = [first - 1 for first, _ in segments[1:]] + [self.last_seq(spool)]
        for (_, path), last in zip(segments, ends, strict=True):
            if last > acked:
                move_file(path, home / path.name)
        sync_folder(home)

    def tidy(self, now: datetime) -> None:
        """Delete what is too old or too much, when something came or an hour has gone by."""
        if not self._is_changed and self._looked_at and abs(now - self._looked_at) < _LOOK_EVERY:
            return
        self._is_changed, self._looked_at = False, now
        is_room = self._has_room()
        oldest_s = (now - timedelta(days=self._retention.days)).timestamp()
        n_bytes = 0
        for written_s, size, path in sorted(self._files(), reverse=True):
            n_bytes += size
            if not is_room or written_s < oldest_s or n_bytes > self._retention.max_bytes:
                with suppress(OSError):
                    remove_file(path)
        self._remove_empty()

    def _has_room(self) -> bool:
        return free_bytes(self._data_dir) >= self._retention.min_free_bytes

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    told = path.stat()
                    yield told.st_mtime, told.st_size, path

    def _remove_empty(self) -> None:
        for folder, _, _ in os.walk(self._root, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
