"""What people at the PC have confirmed: small files that the daemon collects, so that two programs share no database."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from agent.outbox.disk import remove_file, write_atomically

_FOLDER = "confirmed"
MOST_NAME = 120


def confirm(folder: Path, run_id: UUID, by: str) -> None:
    """Put down that a slide is in place; the daemon takes it up within seconds."""
    place = folder / _FOLDER
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / f"{run_id}.json", json.dumps({"by": by[:MOST_NAME]}).encode())


def take_confirmed(folder: Path) -> dict[UUID, str]:
    """Return what was put down since, by run, and remove it."""
    found: dict[UUID, str] = {}
    for path in sorted((folder / _FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, LookupError, TypeError):  # not ours, or not whole: away with it
            found[UUID(path.stem)] = str(json.loads(path.read_bytes())["by"])[:MOST_NAME]
        remove_file(path)
    return found
