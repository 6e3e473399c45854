"""Where the spools lie.

::

    <data>/spool/<session>.lock                              held while the session's writer lives
    <data>/spool/<session>/<lane>-<spool_id>/<first_seq>.seg
    <data>/spool/<session>/<lane>-<spool_id>/cursor          how far the collector has acknowledged
    <data>/spool/<session>/<lane>-<spool_id>.open            there while the writer may still append
    <data>/poison/                                           records that can never be sent, with the reason
    <data>/bad/                                              damaged segments, for a person to look at

A *session* is one process that captures. Its lock lies beside the folder and is taken before the folder is made; so is
the open mark of a spool. A folder without a held lock or without a mark will therefore never be written again, and a
drainer may delete it once it is empty: there is no moment at which a new one looks like an old one.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from agent.outbox.disk import remove_file, sync_folder
from agent.outbox.lanes import Lane

SEGMENT_SUFFIX = ".seg"
_LANES = frozenset(Lane)  # Python 3.11 cannot ask whether a string is in an enumeration


def spool_root(data_dir: Path) -> Path:
    """Return the folder of all sessions."""
    return data_dir / "spool"


class Session:
    """The folder of one writer, locked until `close`.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    wall_at : datetime
        Goes into the name, so that sessions sort by age.
    """

    def __init__(self, data_dir: Path, wall_at: datetime) -> None:
        root = spool_root(data_dir)
        root.mkdir(parents=True, exist_ok=True)
        name = f"{wall_at:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{secrets.token_hex(4)}"
        self.folder = root / name
        self._lock = FileLock(lock_path(self.folder), thread_local=False)
        self._lock.acquire(timeout=0)
        try:
            self.folder.mkdir()
            sync_folder(root)
            sync_folder(data_dir)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder; an empty one is removed."""
        with suppress(OSError):
            self.folder.rmdir()
        self._lock.release()
        if not self.folder.exists():
            with suppress(OSError):
                remove_file(lock_path(self.folder))


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """One spool on the disk."""

    path: Path
    lane: Lane
    spool_id: str

    @property
    def session(self) -> Path:
        """Folder of the session that writes it."""
        return self.path.parent

    @property
    def open_mark(self) -> Path:
        """File that the writer removes when it is done with the spool; removing needs no space on a full disk."""
        return self.path.with_name(self.path.name + ".open")

    def segments(self) -> list[tuple[int, Path]]:
        """Return (first sequence number, file) of every segment, in order."""
        try:
            files = [path for path in self.path.iterdir() if path.suffix == SEGMENT_SUFFIX]
        except FileNotFoundError:
            return []
        return sorted((int(path.stem), path) for path in files if path.stem.isdigit())

    def segment(self, first_seq: int) -> Path:
        """Return the file of the segment that starts at `first_seq`."""
        return self.path / f"{first_seq:020d}{SEGMENT_SUFFIX}"


def sessions(data_dir: Path) -> list[Path]:
    """Return the folders of all sessions, oldest first."""
    try:
        return sorted(path for path in spool_root(data_dir).iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def spools(session: Path) -> list[SpoolFolder]:
    """Return the spools of a session, in the order of their lanes."""
    found = []
    with suppress(FileNotFoundError):
        for path in session.iterdir():
            lane, _, spool_id = path.name.partition("-")
            if spool_id and lane in _LANES and path.is_dir():
                found.append(SpoolFolder(path, Lane(lane), spool_id))
    order = list(Lane)
    return sorted(found, key=lambda spool: (order.index(spool.lane), spool.spool_id))


def all_spools(data_dir: Path) -> list[SpoolFolder]:
    """Return every spool, oldest session first."""
    return [spool for session in sessions(data_dir) for spool in spools(session)]


def may_grow(spool: SpoolFolder) -> bool:
    """Return whether a spool may still be appended to; once False it stays False."""
    return spool.open_mark.exists() and has_writer(spool.session)


def lock_path(session: Path) -> Path:
    """Return the lock that a session's writer holds."""
    return session.with_name(session.name + ".lock")


def has_writer(session: Path) -> bool:
    """Return whether the writer of a session is alive; once False it stays False."""
    lock = FileLock(lock_path(session), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
