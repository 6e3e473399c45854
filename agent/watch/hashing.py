"""SHA-256 of a dataset, a little at a time: slow enough for the disk, and not while images are being taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from agent.watch.candidates import Candidate, files_of
from agent.watch.errors import ChangedError
from agent.watch.opening import open_shared

CHUNK_BYTES = 1 << 20


class DatasetHash:
    """The hash of one dataset under way; same rule as `agent.records.OutputFile.sha256`.

    Files that were hashed once are not read again by `again`, unless they were written since.

    Raises
    ------
    ChangedError
        From `advance`, when a file cannot be read any more.
    """

    def __init__(self, candidate: Candidate, known: dict[Path, tuple[int, int, str]] | None = None) -> None:
        self._candidate = candidate
        self._known = known if known is not None else {}
        self._reading = self._read()
        self.sha256: str | None = None
        self.n_bytes = 0

    def again(self) -> DatasetHash:
        """Return a hash to be made of the same dataset, after some of its files were written."""
        return DatasetHash(self._candidate, self._known)

    def advance(self, most_bytes: int) -> int:
        """Read at most about `most_bytes`; return how many were read. Done when `sha256` is there."""
        n_read = 0
        while self.sha256 is None and n_read < most_bytes:
            try:
                n_read += next(self._reading, 0)
            except OSError as error:
                raise ChangedError(
                    f"{self._candidate.path} cannot be read any more: {error.strerror or error}."
                ) from error
        self.n_bytes += n_read
        return n_read

    def _read(self) -> Iterator[int]:
        top = self._candidate.path
        if not self._candidate.is_folder and len(list(files_of(self._candidate))) == 1:
            yield from self._read_file(top)
            self.sha256 = self._known[top][2]
            return
        whole = hashlib.sha256()
        base = top if self._candidate.is_folder else top.parent
        for relative, path in sorted(
            (path.relative_to(base).as_posix(), path) for path in files_of(self._candidate)
        ):
            yield from self._read_file(path)
            whole.update(f"{self._known[path][2]}  {relative}\n".encode())
        self.sha256 = whole.hexdigest()

    def _read_file(self, path: Path) -> Iterator[int]:
        told = path.stat()
        mark = (told.st_size, told.st_mtime_ns)
        if self._known.get(path, ())[:2] == mark:
            return
        digest = hashlib.sha256()
        with open_shared(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                yield len(chunk)
        self._known[path] = (*mark, digest.hexdigest())


class Throttle:
    """How many bytes may be read now, at a steady rate.

    Parameters
    ----------
    bytes_per_s : float
        The rate; 0 is no limit.
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._last_s: float | None = None
        self._saved = 0.0

    def allow(self, now_s: float, *, is_paused: bool) -> int:
        """Return how many bytes may be read at this moment; time that was paused is not made up for."""
        elapsed_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        if is_paused:
            self._saved = 0.0
            return 0
        if not self._rate:
            return 1 << 62
        self._saved = min(self._saved + elapsed_s * self._rate, self._rate)  # a second's worth at most
        return int(self._saved)

    def spend(self, n_bytes: int) -> None:
        """Take off what was read."""
        self._saved -= n_bytes
