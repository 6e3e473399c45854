"""What installing consists of, as data: the same steps are shown by a dry run and taken by a real one."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from agent.hosting.errors import ServiceError
from agent.hosting.host import Host

_SAID = 400


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command; exit codes other than 0 that are no failure are named, such as *it is there already*."""

    command: tuple[str, ...]
    also_good: frozenset[int] = frozenset()

    def __str__(self) -> str:
        """Return it as a line for a terminal of this platform."""
        if sys.platform == "win32":
            return "run    " + subprocess.list2cmdline(self.command)
        return "run    " + shlex.join(self.command)

    def take(self, host: Host) -> None:
        """Run it; raise `ServiceError` with what the command said when it fails."""
        ran = host.run(self.command)
        if ran.code != 0 and ran.code not in self.also_good:
            said = " ".join(ran.output.split())[:_SAID] or "nothing"
            raise ServiceError(
                f"'{self.command[0]} {' '.join(self.command[1:3])}' ended with {ran.code} and said: {said}. Is this an "
                "administrator's prompt?"
            )


@dataclass(frozen=True, slots=True)
class Write:
    """Write a file."""

    path: str
    data: bytes
    mode: int = 0o644

    def __str__(self) -> str:
        """Return the path and every line of the file."""
        text = self.data.decode("utf-8", "replace").rstrip()
        return f"write  {self.path}\n" + "\n".join(f"       | {line}" for line in text.splitlines())

    def take(self, host: Host) -> None:
        """Write it."""
        host.write(self.path, self.data, self.mode)


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file if it is there."""

    path: str

    def __str__(self) -> str:
        """Return what is removed."""
        return f"remove {self.path}"

    def take(self, host: Host) -> None:
        """Remove it."""
        host.remove(self.path)


Step = Run | Write | Remove


def take_all(steps: Iterable[Step], host: Host) -> None:
    """Take steps in order, up to the first that fails.

    Raises
    ------
    ServiceError
        A step failed; those before it were taken.
    """
    for step in steps:
        step.take(host)
