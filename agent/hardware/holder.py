"""Who has the hardware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import psutil


@dataclass(frozen=True, slots=True)
class Holder:
    """One who has the hardware, as far as can be told."""

    name: str
    what: str
    pid: int | None = None
    user: str | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        """Return who it is in words a person at the microscope can act on."""
        facts = [f"pid {self.pid}" if self.pid else "", f"user {self.user}" if self.user else ""]
        if self.since:
            facts.append(f"since {self.since.astimezone():%Y-%m-%d %H:%M:%S}")
        known = ", ".join(fact for fact in facts if fact)
        return f"{self.name} ({known}) {self.what}" if known else f"{self.name} {self.what}"


def holder_of_process(process: psutil.Process, what: str) -> Holder:
    """Return a process as a holder; what the system does not tell of it is left out."""
    return Holder(
        name=_told(process.name) or "a process",
        what=what,
        pid=process.pid,
        user=_told(process.username),
        since=began_at(process),
    )


def began_at(process: psutil.Process) -> datetime | None:
    """Return when a process was started, or None when the system does not tell."""
    try:
        return datetime.fromtimestamp(process.create_time(), UTC)
    except psutil.Error:
        return None


def _told(ask) -> str | None:  # type: ignore[no-untyped-def]
    try:
        return ask()
    except (psutil.Error, OSError, KeyError):  # KeyError: a user id without a name
        return None
