"""How large a dataset is and when it was written, without opening it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from agent.watch.candidates import NDTIFF_FULL, NDTIFF_INDEX, SEQUENCE_MARKS, ZARR_MARKS, Candidate, files_of
from agent.watch.errors import ChangedError

_MARKS = (*ZARR_MARKS, *SEQUENCE_MARKS, NDTIFF_INDEX, f"{NDTIFF_FULL}/{NDTIFF_INDEX}", "comments.txt")


@dataclass(frozen=True, slots=True)
class Extent:
    """Sums over the files of a dataset; two that are equal mean that nobody wrote in between.

    Attributes
    ----------
    first_ns, last_ns : int
        Oldest and newest modification time among the files, ns since 1970.
    """

    size_bytes: int
    n_files: int
    first_ns: int
    last_ns: int


def extent_of(candidate: Candidate) -> Extent:
    """Return the extent of a dataset.

    Raises
    ------
    ChangedError
        It went away, in whole or in part.
    """
    size, count, first_ns, last_ns = 0, 0, 0, 0
    try:
        for path in files_of(candidate):
            told = path.stat()
            size, count = size + told.st_size, count + 1
            first_ns = min(first_ns or told.st_mtime_ns, told.st_mtime_ns)
            last_ns = max(last_ns, told.st_mtime_ns)
    except OSError as error:
        raise ChangedError(
            f"{candidate.path} went while it was measured: {error.strerror or error}."
        ) from error
    if not count:
        raise ChangedError(f"{candidate.path} holds no file (yet).")
    return Extent(size, count, first_ns, last_ns)


def glance(candidate: Candidate) -> str | None:
    """Return a short text that differs when a dataset was written anew; None when it is not there.

    Of a folder, only the files at its top that its writer writes at the end are looked at: there may be a million below.
    """
    try:
        if not candidate.is_folder:
            return _told(candidate.path)
        marks = [
            f"{mark}={_told(candidate.path / mark)}" for mark in _MARKS if (candidate.path / mark).is_file()
        ]
        return " ".join(marks) or f"folder={candidate.path.stat().st_mtime_ns}"
    except OSError:
        return None


def _told(path: Path) -> str:
    told = os.stat(path)  # noqa: PTH116 - called a hundred thousand times at the start
    return f"{told.st_size}:{told.st_mtime_ns}"
