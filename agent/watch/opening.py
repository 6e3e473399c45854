"""The narrow door to files that somebody may still be writing.

On Windows a file is opened so that its writer may go on, rename or delete it, and asking whether a writer holds it never
locks that writer out for longer than the call. Linux tells of a writer by refusing a read lease (fcntl(2), F_SETLEASE).
Where the system cannot tell, as on macOS and on shares that Linux mounts, only time tells.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO


def is_held_by_writer(path: Path, *, is_on_share: bool = False) -> bool | None:
    """Return whether some process has the file open for writing; None when the system cannot tell.

    Linux refuses every lease on a share for which the server gave it no delegation (NFS) or oplock (SMB).
    """
    if sys.platform == "win32":
        return _is_held_on_windows(path)
    if sys.platform == "linux" and not is_on_share:
        return _is_held_on_linux(path)
    return None


def open_shared(path: Path) -> BinaryIO:
    """Open a file for reading without standing in its writer's way.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    if sys.platform == "win32":
        return _open_on_windows(path)
    return path.open("rb")


if sys.platform == "linux":

    def _is_held_on_linux(path: Path) -> bool | None:
        import errno
        import fcntl
        import signal

        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            # whoever opens it for writing at this very moment makes the kernel send us a signal: one that is ignored
            fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            return True if error.errno == errno.EAGAIN else None
        finally:
            os.close(handle)
        return False


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _GENERIC_READ = 0x80000000
    _SHARE_READ, _SHARE_WRITE, _SHARE_DELETE = 1, 2, 4
    _OPEN_EXISTING = 3
    _SHARING_VIOLATION = 32
    _INVALID = ctypes.c_void_p(-1).value
    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateFileW.restype = wintypes.HANDLE
    _kernel32.CreateFileW.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.LPVOID,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )

    def _create_file(path: Path, share: int) -> int:
        handle = _kernel32.CreateFileW(str(path), _GENERIC_READ, share, None, _OPEN_EXISTING, 0, None)
        if handle == _INVALID:
            raise ctypes.WinError(ctypes.get_last_error())
        return int(handle)

    def _is_held_on_windows(path: Path) -> bool | None:
        try:
            handle = _create_file(path, _SHARE_READ | _SHARE_DELETE)
        except OSError as error:
            return True if error.winerror == _SHARING_VIOLATION else None
        _kernel32.CloseHandle(wintypes.HANDLE(handle))
        return False

    def _open_on_windows(path: Path) -> BinaryIO:
        handle = _create_file(path, _SHARE_READ | _SHARE_WRITE | _SHARE_DELETE)
        return os.fdopen(msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY), "rb")
