"""What the spool asks of a disk: to be durable, to delete without space, to keep a little in reserve."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from agent.files import move_file, remove_file

BALLAST_BYTES = 2 << 20
_sync = getattr(os, "fdatasync", os.fsync)  # spares Linux the time stamp; a new length is synced all the same
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_WINDOWS_DISK_FULL = (39, 112)  # ERROR_HANDLE_DISK_FULL, ERROR_DISK_FULL


def sync_file(descriptor: int) -> None:
    """Return when everything written to an open file is on the disk."""
    if sys.platform == "darwin":
        import fcntl

        # On macOS fsync stops at the drive's cache; not every volume can do more.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    _sync(descriptor)


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk; Windows cannot be asked to."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a small file so that after a power cut it is either the old or the new one."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    remove_file(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            write_all(file.fileno(), data)
            sync_file(file.fileno())
        move_file(new, path)
    except OSError:
        with suppress(OSError):
            remove_file(new)
        raise
    sync_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`; a disk that fills up may take only a part of one write."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def is_disk_full(error: OSError) -> bool:
    """Return whether an error says that the volume or the quota is full."""
    return error.errno in _DISK_FULL or getattr(error, "winerror", None) in _WINDOWS_DISK_FULL


def free_bytes(folder: Path) -> int:
    """Return the free space of a folder's volume, for an ordinary user."""
    return psutil.disk_usage(str(folder)).free


class Ballast:
    """Two MiB kept in reserve, so that a full disk still takes the last words.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder; all processes that share it share one ballast.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "ballast"

    def keep(self) -> None:
        """Make the ballast if it is not there; a disk without room for it is no error."""
        try:
            # Random bytes, because a compressing or sparse file system would store zeros in no space at all.
            with self._path.open("xb") as file:
                file.write(os.urandom(BALLAST_BYTES))
        except FileExistsError:
            return
        except OSError:
            self.release()

    def release(self) -> bool:
        """Give the space back; return whether there was any to give."""
        try:
            is_there = self._path.exists()
            remove_file(self._path)
        except OSError:
            return False
        return is_there
