"""The note of a running agent, ``daemon.json`` in its data folder, for those who ask whether it runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from agent.hardware.holder import began_at
from agent.outbox.disk import remove_file, write_atomically

_NAME = "daemon.json"


@dataclass(frozen=True, slots=True)
class Announced:
    """An agent that runs."""

    pid: int
    since: datetime
    version: str


def announce(data_dir: Path) -> None:
    """Leave the note; raises OSError when the folder cannot be written."""
    began = began_at(psutil.Process())
    note = {
        "pid": os.getpid(),
        "process_began_at": began.isoformat() if began else None,
        "since": datetime.now(UTC).isoformat(),
        "version": version("scopestamp"),
    }
    write_atomically(data_dir / _NAME, json.dumps(note).encode())


def take_back(data_dir: Path) -> None:
    """Remove the note; raises OSError when it cannot be removed."""
    remove_file(data_dir / _NAME)


def announced(data_dir: Path) -> Announced | None:
    """Return the agent that runs on a data folder; None when none does, whatever a note that was left says."""
    try:
        note = json.loads((data_dir / _NAME).read_bytes())
        began = began_at(psutil.Process(note["pid"]))
        if began is None or note["process_began_at"] not in (None, began.isoformat()):
            return None  # its number was given to another process
        return Announced(note["pid"], datetime.fromisoformat(note["since"]), str(note["version"]))
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return None
