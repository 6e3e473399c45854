"""What was found so far, on disk: so that each dataset is reported once, whatever restarts in between.

``<data>/watch.sqlite``. A dataset is *old* (it was there before the watching began), *pending* (it is being written, or
waits to be hashed) or *done* (it is reported). Its glance (`extent.glance`) tells when it is written anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from agent.records import DatasetFound, RecordError, decode, encode
from agent.watch.candidates import Candidate
from agent.watch.errors import WatchError
from agent.watch.extent import Extent

_TABLES = """
CREATE TABLE IF NOT EXISTS root (path TEXT PRIMARY KEY, known_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dataset (
    key TEXT PRIMARY KEY, folder TEXT NOT NULL, path TEXT NOT NULL, format TEXT NOT NULL, is_folder INTEGER NOT NULL,
    status TEXT NOT NULL, glance TEXT, first_seen_at TEXT NOT NULL, record_id TEXT, supersedes TEXT,
    record BLOB, size INTEGER, last_ns INTEGER);
CREATE INDEX IF NOT EXISTS dataset_by_folder ON dataset (folder);
CREATE INDEX IF NOT EXISTS dataset_pending ON dataset (first_seen_at) WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS dataset_by_size ON dataset (size, last_ns) WHERE status = 'done';
"""
MOST_PENDING = 5000
_COLUMNS = "key, path, format, is_folder, status, glance, first_seen_at, record_id, supersedes"


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset as the register knows it."""

    candidate: Candidate
    status: str
    glance: str | None
    first_seen_at: datetime
    record_id: UUID | None
    supersedes: UUID | None


class Register:
    """The register of one data folder, used by one thread.

    Raises
    ------
    WatchError
        The file cannot be opened.
    """

    def __init__(self, path: Path | str) -> None:
        self._pending: list[Entry] | None = None
        try:
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise WatchError(
                f"The register of datasets {path} cannot be opened: {error}. Move it away; what is on disk now then "
                "counts as old."
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def is_known(self, root: Path) -> bool:
        """Return whether a watched folder was looked through once."""
        return bool(
            self._db.execute("SELECT 1 FROM root WHERE path = ?", (os.path.normcase(root),)).fetchone()
        )

    def know(self, root: Path, at: datetime) -> None:
        """Note that a watched folder was looked through."""
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO root VALUES (?, ?)", (os.path.normcase(root), at.isoformat())
            )

    def glances(self, folder: Path) -> Mapping[str, tuple[str, str | None]]:
        """Return, by key, status and glance of every dataset that was found in a folder."""
        rows = self._db.execute(
            "SELECT key, status, glance FROM dataset WHERE folder = ?", (os.path.normcase(folder),)
        )
        return {key: (status, told) for key, status, told in rows}

    def add_old(self, found: Iterable[tuple[Path, Candidate, str | None]], at: datetime) -> None:
        """Note datasets that were there before the watching began: (folder it was found in, dataset, glance)."""
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO dataset (key, folder, path, format, is_folder, status, glance, first_seen_at) "
                "VALUES (?, ?, ?, ?, ?, 'old', ?, ?)",
                (
                    (
                        c.key,
                        os.path.normcase(folder),
                        str(c.path),
                        c.format,
                        c.is_folder,
                        told,
                        at.isoformat(),
                    )
                    for folder, c, told in found
                ),
            )

    def add_pending(self, folder: Path, candidate: Candidate, at: datetime) -> None:
        """Note a dataset that is new, or is written anew; a new record will supersede the one before."""
        self._pending = None
        with self._db:
            self._db.execute(
                "INSERT INTO dataset (key, folder, path, format, is_folder, status, first_seen_at) "
                "VALUES (?, ?, ?, ?, ?, 'pending', ?) ON CONFLICT (key) DO UPDATE SET status = 'pending', "
                "format = excluded.format, first_seen_at = excluded.first_seen_at, "
                "supersedes = record_id, record_id = NULL, record = NULL",
                (
                    candidate.key,
                    os.path.normcase(folder),
                    str(candidate.path),
                    candidate.format,
                    candidate.is_folder,
                    at.isoformat(),
                ),
            )

    def pending(self) -> list[Entry]:
        """Return what is pending, oldest first, at most `MOST_PENDING`."""
        if self._pending is None:
            query = (
                f"SELECT {_COLUMNS} FROM dataset WHERE status = 'pending' ORDER BY first_seen_at, key LIMIT ?"
            )
            self._pending = [_entry(row) for row in self._db.execute(query, (MOST_PENDING,))]
        return self._pending

    def keep(self, candidate: Candidate, record: DatasetFound) -> None:
        """Keep a minted record, before anybody sees it: if we die now, this one is published and no other."""
        self._pending = None
        with self._db:
            self._db.execute(
                "UPDATE dataset SET record_id = ?, record = ? WHERE key = ?",
                (str(record.record_id), encode(record), candidate.key),
            )

    def kept(self, candidate: Candidate) -> DatasetFound | None:
        """Return the record that was minted for a pending dataset before we died."""
        row = self._db.execute("SELECT record FROM dataset WHERE key = ?", (candidate.key,)).fetchone()
        if row is None or row[0] is None:
            return None
        try:
            record = decode(row[0])
        except RecordError:  # of another version
            return None
        return record if isinstance(record, DatasetFound) else None

    def done(self, candidate: Candidate, glance: str | None, extent: Extent | None) -> None:
        """Note that a dataset is reported."""
        size, last_ns = (extent.size_bytes, extent.last_ns) if extent else (None, None)
        self._pending = None
        with self._db:
            self._db.execute(
                "UPDATE dataset SET status = 'done', record = NULL, glance = ?, size = ?, last_ns = ? WHERE key = ?",
                (glance, size, last_ns, candidate.key),
            )

    def same_elsewhere(self, candidate: Candidate, extent: Extent) -> Path | None:
        """Return where a reported dataset of the same extent was that is not there any more: it was moved here."""
        rows = self._db.execute(
            "SELECT path FROM dataset WHERE status = 'done' AND size = ? AND last_ns = ? AND format = ? AND key != ?",
            (extent.size_bytes, extent.last_ns, candidate.format, candidate.key),
        )
        return next((Path(path) for (path,) in rows if not os.path.lexists(path)), None)

    def forget(self, candidate: Candidate) -> None:
        """Forget a dataset that went before it was reported."""
        self._pending = None
        with self._db:
            self._db.execute("DELETE FROM dataset WHERE key = ? AND status = 'pending'", (candidate.key,))


def _entry(row: tuple[str, ...]) -> Entry:
    _, path, kind, is_folder, status, told, seen, record_id, supersedes = row
    return Entry(
        Candidate(Path(path), kind, bool(is_folder)),
        status,
        told,
        datetime.fromisoformat(seen),
        UUID(record_id) if record_id else None,
        UUID(supersedes) if supersedes else None,
    )
