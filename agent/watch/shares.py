"""Whether a folder lies on a network share, where the system's events cannot be trusted. A narrow door to the system."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

import psutil

NETWORK_TYPES = frozenset(
    (
        *(
            "cifs",
            "smb",
            "smb2",
            "smb3",
            "smbfs",
            "nfs",
            "nfs3",
            "nfs4",
            "afs",
            "afpfs",
            "ncpfs",
            "9p",
            "webdav",
        ),
        *(
            "davfs",
            "fuse.sshfs",
            "fuse.rclone",
            "fuse.davfs2",
            "glusterfs",
            "fuse.glusterfs",
            "ceph",
            "lustre",
        ),
        *("beegfs", "gpfs", "drvfs", "vboxsf", "vmhgfs", "fuse.vmhgfs-fuse"),
    )
)
_REMOTE_DRIVE = 4  # DRIVE_REMOTE of GetDriveTypeW


def is_on_share(folder: Path) -> bool:
    """Return whether a folder lies on a network share."""
    if sys.platform == "win32":
        return is_unc(str(folder)) or _is_remote_drive(folder)
    mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    return file_system_of(os.path.realpath(folder), mounts) in NETWORK_TYPES


def is_unc(path: str) -> bool:
    r"""Return whether a Windows path names a share itself.

    >>> [is_unc(path) for path in (r"\\server\share\a", r"\\?\UNC\server\share", r"D:\data", r"\\?\D:\data")]
    [True, True, False, False]
    """
    drive = PureWindowsPath(path).drive.upper()
    return drive.startswith("\\\\?\\UNC\\") or (
        drive.startswith("\\\\") and not drive.startswith(("\\\\?\\", "\\\\.\\"))
    )


def file_system_of(path: str, mounts: Iterable[tuple[str, str]]) -> str:
    """Return the type of the file system a path is on, by the longest mount point above it.

    >>> file_system_of("/data/share/a", [("/", "ext4"), ("/data/share", "cifs"), ("/data/sh", "nfs")])
    'cifs'
    """
    above = [
        (len(point), kind.lower())
        for point, kind in mounts
        if path == point or path.startswith(point.rstrip("/") + "/")
    ]
    return max(above, default=(0, ""))[1]


def _is_remote_drive(folder: Path) -> bool:
    if sys.platform != "win32":
        return False
    import ctypes

    return bool(ctypes.windll.kernel32.GetDriveTypeW(folder.anchor) == _REMOTE_DRIVE)
