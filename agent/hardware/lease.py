"""The lease on hardware: one lock per resource, in a folder that every agent on this PC shares.

    <folder>/<resource>.lock    locked by the operating system while the holder lives, so a kill leaves nothing behind
    <folder>/<resource>.json    who that is: holder, pid, started, user, host, since, deadline, fence

The fence grows with every holder of a resource: who finds a larger one than its own has lost the lease.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import logging
import os
import re
import socket
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from agent.errors import HardwareError, HardwareInUseError
from agent.hardware.holder import Holder, began_at
from agent.hardware.resources import Resources

FOLDER_VARIABLE = "SCOPESTAMP_LEASES"
"""Environment variable that overrides the folder."""

_log = logging.getLogger("scopestamp.hardware")


def lease_folder() -> Path:
    """Return the folder of this PC's leases: the same for every user."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    if os.name == "nt":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"), "scopestamp", "leases")
    shared = Path("/tmp")  # gettempdir() is each user's own on macOS
    return (shared if shared.is_dir() else Path(tempfile.gettempdir())) / "scopestamp-leases"


class Lease:
    """What one holder has.

    Parameters
    ----------
    purpose : str
        What the holder is called, such as "scopestamp qc run".
    folder : Path, optional
        Where leases lie; default: that of this PC.
    deadline_s : float, optional
        When the holder means to be done; told to those who wait, nothing happens then.
    """

    def __init__(self, purpose: str, folder: Path | None = None, deadline_s: float | None = None) -> None:
        self._purpose, self._folder, self._deadline_s = purpose, folder or lease_folder(), deadline_s
        self._locks: dict[str, FileLock] = {}
        self.fence = 0

    @property
    def resources(self) -> Resources:
        """What is held."""
        return frozenset(self._locks)

    def take(self, resources: Iterable[str]) -> None:
        """Take all of these, or nothing.

        Raises
        ------
        HardwareInUseError
            Somebody has one of them; the message says who.
        HardwareError
            The folder of leases cannot be used.
        """
        before = self.resources
        for resource in sorted(set(resources) - before):  # sorted: two who want the same meet at the first
            if (holder := self._take(resource)) is not None:
                self._release(self.resources - before)
                raise HardwareInUseError(str(holder))
        if self.resources != before:
            self._sign()

    def follow(self, resources: Iterable[str]) -> Holder | None:
        """Hold these and no others, as far as nobody else has them; return one who has."""
        wanted = frozenset(resources)
        self._release(self.resources - wanted)
        holders = [self._take(resource) for resource in sorted(wanted - self.resources)]
        self._sign()
        return next((holder for holder in holders if holder is not None), None)

    def look(self, resources: Iterable[str]) -> Holder | None:
        """Return who else has one of these, without taking anything: somebody who looks is in nobody's way."""
        for resource in sorted(resources):
            if resource not in self._locks and _is_alive(self._read(resource)):
                return self._holder(resource)
        return None

    def is_held(self) -> bool:
        """Return whether nobody has taken it from us, by removing the lock from under us."""
        return all(self._read(resource).get("fence") == self.fence for resource in self.resources)

    def release(self) -> None:
        """Let go of everything; harmless when nothing is held."""
        self._release(self.resources)

    def _take(self, resource: str) -> Holder | None:
        path = self._path(resource, ".lock")
        try:
            _make_shared(self._folder)
            lock = FileLock(path, thread_local=False, mode=0o666)
            lock.acquire(timeout=0)
        except Timeout:
            return self._holder(resource)
        except OSError as error:
            raise HardwareError(
                f"The lease {path} cannot be taken: {error.strerror or error}. Every user of this PC must be able to "
                f"write there; {FOLDER_VARIABLE} names another folder."
            ) from error
        with contextlib.suppress(OSError):  # another user's file: they have opened it to us already
            path.chmod(0o666)
        self._locks[resource] = lock
        return None

    def _release(self, resources: Iterable[str]) -> None:
        for resource in resources:
            with contextlib.suppress(OSError):  # the lock tells the same
                self._path(resource, ".json").write_text(json.dumps({"fence": self.fence}), "utf-8")
            self._locks.pop(resource).release()

    def _sign(self) -> None:
        """Write who we are beside every lock."""
        self.fence = 1 + max((self._read(resource).get("fence", 0) for resource in self.resources), default=0)
        now = datetime.now(UTC)
        began = began_at(psutil.Process())
        entry = {
            "holder": self._purpose,
            "pid": os.getpid(),
            "started": began.isoformat() if began else None,
            "user": _user(),
            "host": socket.gethostname(),
            "since": now.isoformat(),
            "deadline": (now + timedelta(seconds=self._deadline_s)).isoformat() if self._deadline_s else None,
            "fence": self.fence,
        }
        for resource in self.resources:
            path = self._path(resource, ".json")
            try:
                path.write_text(json.dumps(entry | {"resource": resource}, indent=1), "utf-8")
                path.chmod(0o666)
            except OSError as error:  # the lock holds all the same; only its name is missing
                _log.warning("%s could not be written: %s", path, error)

    def _read(self, resource: str) -> dict[str, Any]:
        try:
            entry = json.loads(self._path(resource, ".json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return entry if isinstance(entry, dict) else {}

    def _holder(self, resource: str) -> Holder:
        entry = self._read(resource)
        until = f", until {entry['deadline']} as it says" if entry.get("deadline") else ""
        since = entry.get("since")
        return Holder(
            name=entry.get("holder") or "Another agent",
            what=f"has {resource}{until}",
            pid=entry.get("pid"),
            user=entry.get("user"),
            since=datetime.fromisoformat(since) if since else None,
        )

    def _path(self, resource: str, suffix: str) -> Path:
        digest = hashlib.sha256(resource.encode()).hexdigest()[:8]  # "COM3/a" and "COM3-a" are two
        return self._folder / (re.sub(r"\W+", "-", resource, flags=re.ASCII) + f"-{digest}{suffix}")


def _is_alive(entry: dict[str, Any]) -> bool:
    """Return whether the process that signed an entry still runs; its start tells it from a later one of its number."""
    try:
        began = began_at(psutil.Process(entry["pid"]))
    except (KeyError, TypeError, ValueError, psutil.Error):
        return False
    return began is not None and entry.get("started") in (None, began.isoformat())


def _make_shared(folder: Path) -> None:
    """Make the folder, writable for every user of this PC: whoever comes second must be able to see the first."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a service account without a name
        return None
