"""The one door to the computer: what a service manager needs of it is a command, a file written, a file removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.hosting.errors import ServiceError
from agent.outbox.disk import remove_file, write_atomically

_RUN_S = 120.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a command."""

    code: int
    output: str


class Host(Protocol):
    """What is asked of a computer. Every call may block for up to two minutes."""

    def run(self, command: Sequence[str]) -> Ran:
        """Run a command and return its exit code and what it printed; `ServiceError` when there is no such command."""

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Write a file whole, with the folders above it; `ServiceError` when it cannot be written."""

    def remove(self, path: str) -> None:
        """Remove a file if it is there; `ServiceError` when it cannot be removed."""


class Computer:
    """The computer this runs on."""

    def run(self, command: Sequence[str]) -> Ran:
        """Run a command."""
        try:
            ended = subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_RUN_S,
                check=False,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except FileNotFoundError as error:
            raise ServiceError(f"There is no command '{command[0]}' on this computer.") from error
        except (OSError, subprocess.SubprocessError) as error:
            raise ServiceError(f"'{' '.join(command)}' could not be run ({error}).") from error
        return Ran(ended.returncode, ended.stdout.decode("utf-8", "replace"))

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Write a file."""
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(path), data, mode)
        except OSError as error:
            raise ServiceError(_refused(path, error)) from error

    def remove(self, path: str) -> None:
        """Remove a file."""
        try:
            remove_file(Path(path))
        except OSError as error:
            raise ServiceError(_refused(path, error)) from error


def _refused(path: str, error: OSError) -> str:
    return (
        f"{path} cannot be changed: {error.strerror or error}. Run this as an administrator (sudo; on Windows an "
        "elevated prompt), or install for yourself alone with --user."
    )
