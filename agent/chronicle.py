"""What was captured on this computer lately, for whatever joins something to it: files on disk, above all.

``<data>/chronicle.sqlite``: every process that captures writes into it, the watcher of folders reads. It is a convenience
and no record: records are in the spool. When it cannot be written or read, a dataset is joined to nothing; nothing is lost.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    Change,
    DatasetStamp,
    Reading,
    Record,
    RecordError,
    StateChange,
    StateSnapshot,
    SystemState,
    decode,
    encode,
)

KEPT_DAYS = 30
_BUSY_S = 1.0
_PRESET = "@preset "
_PIXEL_SIZE = "@pixel_size"
_TABLES = """
CREATE TABLE IF NOT EXISTS acquisition (
    acquisition_id TEXT PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT, outputs TEXT NOT NULL DEFAULT '[]',
    n_frames INTEGER, record BLOB);
CREATE INDEX IF NOT EXISTS acquisition_by_time ON acquisition (started_at);
CREATE TABLE IF NOT EXISTS stamped (path TEXT PRIMARY KEY, acquisition_id TEXT, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (at TEXT NOT NULL, kind TEXT NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS state_by_time ON state (at);
"""
_log = logging.getLogger("scopestamp.chronicle")
Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class KnownAcquisition:
    """An acquisition of this computer; `finished_at` is None while it runs, or when its process died."""

    acquisition_id: UUID
    started_at: datetime
    finished_at: datetime | None
    outputs: tuple[str, ...]
    n_frames: int | None
    record: bytes | None

    def finished(self) -> AcquisitionFinished | None:
        """Return its record, once it has ended."""
        told = _record(self.record) if self.record else None
        return told if isinstance(told, AcquisitionFinished) else None


class Chronicle:
    """The chronicle of one data folder; safe to use from several threads and processes.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "chronicle.sqlite"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def note(self, *records: Record) -> None:
        """Take in records that are being published; those of no interest here cost nothing."""
        wanted = [record for record in records if type(record) in _NOTES]
        if wanted:
            self._do(lambda db: [_NOTES[type(record)](db, record) for record in wanted])
        for snapshot in records:
            if isinstance(snapshot, StateSnapshot):  # one an hour
                self.forget_old(snapshot.captured.wall_at)

    def acquisitions(self, since: datetime, until: datetime) -> list[KnownAcquisition]:
        """Return the acquisitions that began before `until` and were not over at `since`, oldest first."""
        query = (
            "SELECT * FROM acquisition WHERE started_at <= ? AND (finished_at IS NULL OR finished_at >= ?) "
            "ORDER BY started_at"
        )
        return [_known(row) for row in self._rows(query, (_text(until), _text(since)))]

    def announced(self) -> Iterator[KnownAcquisition]:
        """Yield the acquisitions that announced where their data goes, newest first."""
        query = "SELECT * FROM acquisition WHERE outputs != '[]' ORDER BY started_at DESC"
        yield from (_known(row) for row in self._rows(query, ()))

    def acquisition(self, acquisition_id: UUID) -> KnownAcquisition | None:
        """Return one acquisition."""
        rows = self._rows("SELECT * FROM acquisition WHERE acquisition_id = ?", (str(acquisition_id),))
        return _known(rows[0]) if rows else None

    def stamped_at(self, path: Path) -> datetime | None:
        """Return when the capture stamped the dataset at `path` by itself; None when it did not."""
        rows = self._rows("SELECT at FROM stamped WHERE path = ?", (path_key(path),))
        return datetime.fromisoformat(rows[0][0]) if rows else None

    def state_at(self, at: datetime) -> SystemState | None:
        """Return the state of the instrument at a time: the last whole one before, and what changed since."""
        whole = self._rows(
            "SELECT at, record FROM state WHERE kind != 'state_change' AND at <= ? ORDER BY at DESC LIMIT 1",
            (_text(at),),
        )
        state = _state_in(_record(whole[0][1])) if whole else None
        if state is None:
            return None
        later = self._rows(
            "SELECT record FROM state WHERE kind = 'state_change' AND at > ? AND at <= ? ORDER BY at",
            (whole[0][0], _text(at)),
        )
        for (blob,) in later:
            change = _record(blob)
            state = with_changes(state, change.changes if isinstance(change, StateChange) else ())
        return state

    def forget_old(self, now: datetime) -> None:
        """Delete what is older than `KEPT_DAYS`."""
        old = _text(now - timedelta(days=KEPT_DAYS))

        def delete(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM acquisition WHERE started_at < ?", (old,))
            db.execute("DELETE FROM stamped WHERE at < ?", (old,))
            db.execute("DELETE FROM state WHERE at < ?", (old,))

        self._do(delete)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        return self._do(lambda db: db.execute(query, values).fetchall()) or []

    def _do(self, work: Callable[[sqlite3.Connection], Told]) -> Told | None:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._path)
                with self._connection:
                    return work(self._connection)
            except (sqlite3.Error, OSError) as error:
                _log.warning("The chronicle %s cannot be used: %s", self._path, error)
                return None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_TABLES)
    except sqlite3.Error:
        db.close()
        raise
    return db


def path_key(path: Path | str) -> str:
    """Return a path as it is compared: absolute, without '..', and in lower case where the system does not care."""
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - links stay as they are known


# ---- what is noted of a record


def _note_started(db: sqlite3.Connection, record: Any) -> None:
    db.execute(
        "INSERT OR IGNORE INTO acquisition (acquisition_id, started_at, outputs) VALUES (?, ?, ?)",
        (str(record.acquisition_id), _text(record.started.wall_at), json.dumps(record.outputs)),
    )
    if record.before is not None:
        _keep_state(db, record, record.before.taken.wall_at)


def _note_finished(db: sqlite3.Connection, record: Any) -> None:
    blob = _blob(record)
    db.execute(
        "INSERT INTO acquisition (acquisition_id, started_at, finished_at, n_frames, record) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (acquisition_id) DO UPDATE SET finished_at = excluded.finished_at, "
        "n_frames = excluded.n_frames, record = excluded.record",
        (
            str(record.acquisition_id),
            _text(record.started.wall_at),
            _text(record.finished.wall_at),
            record.frames.seen,
            blob,
        ),
    )
    if record.after is not None:
        _keep_state(db, record, record.after.taken.wall_at, blob)


def _note_stamp(db: sqlite3.Connection, record: Any) -> None:
    rows = [
        (path_key(file.path), str(record.acquisition_id), _text(record.captured.wall_at))
        for file in record.files
        if file.sidecar or file.is_stamped_inside
    ]
    db.executemany("INSERT OR REPLACE INTO stamped VALUES (?, ?, ?)", rows)


def _note_state(db: sqlite3.Connection, record: Any) -> None:
    _keep_state(db, record, record.state.taken.wall_at)


def _note_changes(db: sqlite3.Connection, record: Any) -> None:
    _keep_state(db, record, max(change.last_at.wall_at for change in record.changes))


def _keep_state(db: sqlite3.Connection, record: Any, at: datetime, blob: bytes | None = None) -> None:
    db.execute("INSERT INTO state VALUES (?, ?, ?)", (_text(at), record.kind, blob or _blob(record)))


_NOTES: dict[type[Record], Callable[[sqlite3.Connection, Any], None]] = {
    AcquisitionStarted: _note_started,
    AcquisitionFinished: _note_finished,
    DatasetStamp: _note_stamp,
    StateSnapshot: _note_state,
    StateChange: _note_changes,
}


# ---- and back


def with_changes(state: SystemState, changes: Sequence[Change]) -> SystemState:
    """Return a state after changes, in the order in which they are given."""
    devices = {label: dict(properties) for label, properties in state.devices.items()}
    presets, pixel_size = dict(state.presets), state.pixel_size
    for change in changes:
        reading: Reading = change.after
        if change.property == _PIXEL_SIZE:
            pixel_size = reading
        elif change.property.startswith(_PRESET):
            presets[change.property.removeprefix(_PRESET)] = reading
        else:
            devices.setdefault(change.device, {})[change.property] = reading
    return state.model_copy(update={"devices": devices, "presets": presets, "pixel_size": pixel_size})


def _state_in(record: Record | None) -> SystemState | None:
    match record:
        case StateSnapshot():
            return record.state
        case AcquisitionStarted():
            return record.before
        case AcquisitionFinished():
            return record.after
    return None


def _known(row: Sequence[Any]) -> KnownAcquisition:
    acquisition_id, started, finished, outputs, n_frames, blob = row
    return KnownAcquisition(
        UUID(acquisition_id),
        datetime.fromisoformat(started),
        datetime.fromisoformat(finished) if finished else None,
        tuple(json.loads(outputs)),
        n_frames,
        blob,
    )


def _text(at: datetime) -> str:
    """Return a time as text that sorts."""
    return at.isoformat(timespec="microseconds")


def _blob(record: Record) -> bytes:
    return zlib.compress(encode(record), 1)


def _record(blob: bytes) -> Record | None:
    try:
        return decode(zlib.decompress(blob))
    except (RecordError, zlib.error) as error:  # written by another version
        _log.warning("A record in the chronicle cannot be read: %s", error)
        return None
