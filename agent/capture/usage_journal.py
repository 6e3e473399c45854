"""The open session of use on disk, so that a crash ends it instead of losing it.

``<data>/usage/<session>.json`` is the record as it would be if the process died now, ``<session>.lock`` is held while it
lives. What lies there without a held lock is published by the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout

from agent.files import remove_file, replace_file
from agent.records import RecordError, UsageSession, decode, encode

_log = logging.getLogger("scopestamp.capture")


def publish_left(journal: UsageJournal, publish: Callable[[UsageSession], bool]) -> None:
    """Publish the sessions that dead processes left, each as interrupted or as it had ended."""
    for record in journal.left():
        if publish(record):
            journal.drop(record.session_id)


class UsageJournal:
    """Where one process keeps its sessions of use; a disk that cannot be written costs the journal, not the session.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "usage"
        self._locks: dict[UUID, FileLock] = {}

    def keep(self, record: UsageSession) -> None:
        """Write the record as it would be if we died now."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if record.session_id not in self._locks:
                lock = FileLock(self._path(record.session_id, "lock"), thread_local=False)
                lock.acquire(timeout=0)
                self._locks[record.session_id] = lock
            replace_file(self._path(record.session_id, "json"), encode(record))
        except (OSError, Timeout) as error:
            _log.error("The session of use cannot be kept in %s: %s", self._folder, error)

    def drop(self, session_id: UUID) -> None:
        """Delete what is published."""
        with suppress(OSError):
            remove_file(self._path(session_id, "json"))
        lock = self._locks.pop(session_id, None)
        if lock is not None:
            lock.release()
        with suppress(OSError):
            remove_file(self._path(session_id, "lock"))

    def close(self) -> None:
        """Let go of every lock; what still lies there is for the next start."""
        while self._locks:
            self._locks.popitem()[1].release()

    def left(self) -> Iterator[UsageSession]:
        """Yield the sessions of processes that are gone, each under its lock; the caller drops those it published."""
        for path in sorted(self._folder.glob("*.json")):
            lock = FileLock(path.with_suffix(".lock"), thread_local=False)
            try:
                lock.acquire(timeout=0)
            except (Timeout, OSError):
                continue  # it lives
            try:
                record = decode(path.read_bytes())
            except (OSError, RecordError) as error:
                _log.error("The session of use %s cannot be read: %s", path, error)
                lock.release()
                continue
            if isinstance(record, UsageSession):
                self._locks[record.session_id] = lock
                yield record
            else:
                lock.release()

    def _path(self, session_id: UUID, suffix: str) -> Path:
        return self._folder / f"{session_id}.{suffix}"
