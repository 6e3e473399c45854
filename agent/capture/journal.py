"""The journal of an open acquisition: what survives when the process dies.

    <data>/open/<session>/lock                 held while the process lives
    <data>/open/<session>/<acquisition>/started.json     the AcquisitionStarted record
                                        frames.jsonl     one line per frame or state, as they come
                                        finished.json    the AcquisitionFinished record, once it is minted

Lines of frames.jsonl are JSON: a list is a frame (`FrameRow`), ``{"state": …}`` a change of state that holds from the
next frame on, ``{"ended": …}`` the end. Every line is written at once, so it outlives the process; `flush` syncs
them to disk, so they outlive the power.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from filelock import FileLock, Timeout

from agent.records import AcquisitionFinished, AcquisitionStarted, decode, encode

FRAMES = "frames.jsonl"
STARTED = "started.json"
FINISHED = "finished.json"


class FrameRow(NamedTuple):
    """One frame of the ledger, in the order of `FrameColumns`."""

    frame: int
    seen_monotonic_ns: int
    runner_time_ms: float | None
    index: dict[str, int]
    camera: str | None
    channel: str | None
    exposure_ms: float | None
    x_um: float | None
    y_um: float | None
    z_um: float | None
    position_how: str | None
    state: int  # running number of the state that held; 0 is the state before the first change


class Journal:
    """Writes the journal of one acquisition."""

    def __init__(self, folder: Path, started: AcquisitionStarted) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        _write_synced(folder / STARTED, encode(started))
        self._file = (folder / FRAMES).open("ab", buffering=0)
        _sync_folder(folder)
        self._is_synced = True

    def add_state(self, number: int, values: Mapping[str, Mapping[str, str]]) -> None:
        """Note that the values hold from the next frame on."""
        self._line({"state": number, "values": values})

    def add_frame(self, row: FrameRow) -> None:
        """Note a frame."""
        self._line(row)

    def end(self, reason: str, wall_at: str, monotonic_ns: int) -> None:
        """Note how the acquisition ended."""
        self._line({"ended": reason, "wall_at": wall_at, "monotonic_ns": monotonic_ns})
        self.flush()

    def flush(self) -> None:
        """Sync what was written to disk."""
        if not self._is_synced:
            os.fsync(self._file.fileno())
            self._is_synced = True

    def close(self) -> None:
        """Close the file; the folder stays until `remove`."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def remove(self) -> None:
        """Delete the journal: all of it is in the spool."""
        self.close()
        shutil.rmtree(self.folder)

    def _line(self, value: Any) -> None:
        self._file.write(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
        self._is_synced = False


def keep_finished(folder: Path, record: AcquisitionFinished) -> None:
    """Keep the minted record in a journal, so that a crash from here on publishes this one and no other."""
    _write_synced(folder / FINISHED, encode(record))


class JournalRead(NamedTuple):
    """What a journal says."""

    started: AcquisitionStarted
    rows: list[FrameRow]
    states: dict[int, dict[str, dict[str, str]]]
    ended: dict[str, Any] | None
    finished: AcquisitionFinished | None


def read_journal(folder: Path) -> JournalRead:
    """Return what the journal in `folder` says, up to the last whole line.

    Raises
    ------
    OSError, RecordError
        The folder has no readable start record.
    """
    started = decode((folder / STARTED).read_bytes())
    assert isinstance(started, AcquisitionStarted)
    rows: list[FrameRow] = []
    states: dict[int, dict[str, dict[str, str]]] = {}
    ended = None
    for line in _whole_lines(folder / FRAMES):
        if isinstance(line, list):
            rows.append(FrameRow(*line))
        elif "state" in line:
            states[line["state"]] = line["values"]
        else:
            ended = line
    finished = folder / FINISHED
    record = decode(finished.read_bytes()) if finished.is_file() else None
    return JournalRead(
        started, rows, states, ended, record if isinstance(record, AcquisitionFinished) else None
    )


def _whole_lines(path: Path) -> Iterator[Any]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:  # the line that was being written when the process died
                return


class JournalSession:
    """The journals of one process, under a lock that tells others whether it lives."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "open" / uuid4().hex
        self._folder.mkdir(parents=True)
        self._lock = FileLock(self._folder / "lock", thread_local=False)
        self._lock.acquire(timeout=0)

    def open(self, acquisition_id: UUID, started: AcquisitionStarted) -> Journal:
        """Return a new journal."""
        return Journal(self._folder / str(acquisition_id), started)

    def close(self) -> None:
        """Let go of the lock; a folder without open journals is removed."""
        self._lock.release()
        if not any(child.is_dir() for child in self._folder.iterdir()):
            shutil.rmtree(self._folder, ignore_errors=True)


def left_journals(data_dir: Path) -> Iterator[Path]:
    """Yield the journal folders of processes that are gone, holding each session's lock meanwhile."""
    root = data_dir / "open"
    if not root.is_dir():
        return
    for session in sorted(root.iterdir()):
        lock = FileLock(session / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            yield from sorted(child for child in session.iterdir() if child.is_dir())
        finally:
            lock.release()
        if not any(child.is_dir() for child in session.iterdir()):
            shutil.rmtree(session, ignore_errors=True)


def _write_synced(path: Path, data: bytes) -> None:
    half = path.with_suffix(".half")
    with half.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # NTFS journals directory entries; a folder cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
