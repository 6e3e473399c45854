"""The journal of an open acquisition: what survives when the process dies.

    <data>/open/<session>/lock                 held while the process lives
    <data>/open/<session>/<acquisition>/started.json     the AcquisitionStarted record
                                        frames.jsonl     one line per frame or state, as they come
                                        finished.json    the AcquisitionFinished record, once it is minted

Lines of frames.jsonl are JSON: a list is a frame (`FrameRow`), ``{"state": …}`` a change of state that holds from the
next frame on, ``{"batch": n}`` says that frames before the n-th belong to ledger records made so far, ``{"ended": …}``
is the end. Lines are written by handfuls, some 20 times a second (see `queue.GATHER_S`), and then outlive the process;
`flush` syncs them to disk, so that they outlive the power.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from filelock import FileLock, Timeout

from agent.files import move_file, remove_folder
from agent.records import AcquisitionFinished, AcquisitionStarted, RecordError, decode, encode

FRAMES = "frames.jsonl"
STARTED = "started.json"
FINISHED = "finished.json"
LOCK = "lock"
FRAMES_WITHIN_S = 60.0
_encode_line = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_log = logging.getLogger("scopestamp.capture")


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
    """Writes the journal of one acquisition.

    A disk that cannot be written never stops a capture: what comes then is not in the journal, and `error` says why.
    """

    def __init__(self, folder: Path, started: AcquisitionStarted) -> None:
        self.folder = folder
        self.error: str | None = None
        self._file: FileIO | None = None
        self._lines: list[str] = []
        self._is_synced = True
        with self._noting_errors():
            folder.mkdir(parents=True)
            _write_synced(folder / STARTED, encode(started))
            self._file = (folder / FRAMES).open("ab", buffering=0)
            _sync_folder(folder)

    def add_state(self, number: int, values: Mapping[str, Mapping[str, str]]) -> None:
        """Note that the values hold from the next frame on."""
        self._line({"state": number, "values": values})

    def add_frame(self, row: FrameRow) -> None:
        """Note a frame."""
        self._line(row)

    def end_batch(self, n_frames: int) -> None:
        """Note, before it is published, that a ledger record holds the frames up to here.

        So a batch that is made again after a crash has the same frames.
        """
        self._line({"batch": n_frames})
        self.flush()

    def end(self, reason: str, wall_at: str, monotonic_ns: int) -> None:
        """Note how the acquisition ended."""
        self._line({"ended": reason, "wall_at": wall_at, "monotonic_ns": monotonic_ns})
        self.flush()

    def write(self) -> None:
        """Write what was noted: it outlives the process."""
        lines, self._lines = self._lines, []
        if not lines or self._file is None or self.error is not None:
            return  # a line after a torn one could not be read
        data = ("\n".join(lines) + "\n").encode()
        with self._noting_errors():
            if self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_synced = False

    def flush(self) -> None:
        """Write what was noted, and sync it to disk."""
        self.write()
        if self._file is not None and not self._is_synced:
            with self._noting_errors():
                os.fsync(self._file.fileno())
            self._is_synced = True

    def close(self) -> None:
        """Close the file; the folder stays until `remove`."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Delete the journal: all of it is in the spool."""
        self.close()
        with suppress(OSError):  # the next start finds it
            remove_folder(self.folder)

    def _line(self, value: Any) -> None:
        self._lines.append(_encode_line(value))

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = error.strerror or str(error)
            _log.error("The journal %s cannot be written: %s", self.folder, self.error)


def keep_finished(folder: Path, record: AcquisitionFinished) -> None:
    """Keep the minted record in a journal, so that a crash from here on publishes this one and no other."""
    _write_synced(folder / FINISHED, encode(record))


class JournalRead(NamedTuple):
    """What a journal says."""

    started: AcquisitionStarted
    rows: list[FrameRow]
    batch_ends: list[int]
    states: dict[int, dict[str, dict[str, str]]]
    ended: dict[str, Any]  # empty when it did not end
    finished: AcquisitionFinished | None


def read_journal(folder: Path) -> JournalRead:
    """Return what the journal in `folder` says, up to the last whole line.

    Raises
    ------
    OSError, RecordError
        The folder has no readable start record.
    """
    started = decode((folder / STARTED).read_bytes())
    if not isinstance(started, AcquisitionStarted):
        raise RecordError(f"expected the start of an acquisition in {STARTED}; got {type(started).__name__}")
    journal = JournalRead(started, [], [], {}, {}, _read_finished(folder / FINISHED))
    for line in _whole_lines(folder / FRAMES):
        try:
            _take_line(journal, line)
        except (TypeError, ValueError, LookupError):  # whole as JSON, but not a line of ours
            break
    return journal


def _take_line(journal: JournalRead, line: Any) -> None:
    if isinstance(line, list):
        journal.rows.append(FrameRow(*line))
    elif "state" in line:
        journal.states[int(line["state"])] = line["values"]
    elif "batch" in line:
        journal.batch_ends.append(int(line["batch"]))
    else:
        journal.ended.update({name: line[name] for name in ("ended", "wall_at", "monotonic_ns")})


def _read_finished(path: Path) -> AcquisitionFinished | None:
    try:
        record = decode(path.read_bytes())
    except (OSError, RecordError):
        return None
    return record if isinstance(record, AcquisitionFinished) else None


def _whole_lines(path: Path) -> Iterator[Any]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:  # the line that was being written when the process died
                return


def journals_of(data_dir: Path) -> Iterator[Path]:
    """Yield the journal folders of acquisitions that are not closed yet, of living and of dead processes."""
    root = data_dir / "open"
    for session in sorted(root.iterdir()) if root.is_dir() else []:
        with suppress(OSError):  # closed meanwhile
            yield from _journals(session)


def is_taking_frames(data_dir: Path, now_s: float) -> bool:
    """Return whether some process stamped a frame within the last `FRAMES_WITHIN_S`; `now_s` is since 1970."""
    for journal in journals_of(data_dir):
        with suppress(OSError):
            if (
                now_s - (journal / FRAMES).stat().st_mtime < FRAMES_WITHIN_S
                and not (journal / FINISHED).exists()
            ):
                return True
    return False


class JournalSession:
    """The journals of one process, under a lock that tells others whether it lives.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, data_dir: Path) -> None:
        root = data_dir / "open"
        root.mkdir(parents=True, exist_ok=True)
        self._folder = root / uuid4().hex
        self._lock = FileLock(self._folder / LOCK, thread_local=False)
        with _gate(
            root
        ):  # else another process could find the folder before it is locked, and take it for a dead one's
            self._folder.mkdir()
            self._lock.acquire(timeout=0)

    def open(self, acquisition_id: UUID, started: AcquisitionStarted) -> Journal:
        """Return a new journal."""
        return Journal(self._folder / str(acquisition_id), started)

    def close(self) -> None:
        """Let go of the lock, and of the folder when it holds no open journal."""
        with _gate(self._folder.parent):
            self._lock.release()
            if not _journals(self._folder):
                with suppress(OSError):  # the next start finds it
                    remove_folder(self._folder)

    def keep(self) -> None:
        """Hold the lock until the process ends, because an acquisition still runs: its data must not be touched."""
        _kept.append(self)


_kept: list[JournalSession] = []


def left_journals(data_dir: Path) -> Iterator[Path]:
    """Yield the journal folders of processes that are gone, holding each session's lock meanwhile."""
    root = data_dir / "open"
    sessions = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for session in sessions:
        lock = FileLock(session / LOCK, thread_local=False)
        with _gate(root):
            if not session.is_dir() or not _can_acquire(lock):
                continue
        try:
            yield from _journals(session)
        finally:
            with _gate(root):
                lock.release()
                if not _journals(session):
                    with suppress(OSError):  # the next start finds it
                        remove_folder(session)


def _gate(root: Path) -> FileLock:
    """Return the lock under which sessions are made, taken over and removed; it is held for a moment only."""
    return FileLock(root / "gate", thread_local=False)


def _can_acquire(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _journals(session: Path) -> list[Path]:
    return sorted(child for child in session.iterdir() if child.is_dir()) if session.is_dir() else []


def _write_synced(path: Path, data: bytes) -> None:
    half = path.with_suffix(".half")
    with half.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    move_file(half, path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # NTFS journals directory entries; a folder cannot be opened there
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
