"""What the agent's own log says lately; only the ends of the files are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from agent.doctor.finding import Finding, Level, Place

TAIL_BYTES = 256 << 10
LATELY = timedelta(hours=24)
_LINE = re.compile(r"^(\S+Z) (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)$")
_SHOWN = 160


def logs(place: Place) -> Iterator[Finding]:
    """Tell of warnings and errors of the last day."""
    files = sorted((place.data_dir / "logs").glob("*.log"))
    lines = [line for file in files for line in recent(file, place.now() - LATELY)]
    counts = {level: sum(1 for _, one, _ in lines if one == level) for level in ("WARNING", "ERROR")}
    said = f"{counts['ERROR']} errors and {counts['WARNING']} warnings within a day"
    facts = {"n_errors": counts["ERROR"], "n_warnings": counts["WARNING"]}
    if not counts["ERROR"]:
        yield Finding("log", "last day", Level.GOOD, said, facts=facts)
        return
    last = max(line for line in lines if line[1] == "ERROR")
    advice = "Files: the folder logs in the data folder."
    yield Finding("log", "last day", Level.WARNING, f"{said}; the last: {last[2][:_SHOWN]}", advice, facts)


def recent(path: Path, since: datetime) -> Iterator[tuple[datetime, str, str]]:
    """Yield (time, level, message) of the lines at a log file's end that are not older than `since`."""
    try:
        text = tail(path)
    except OSError:
        return
    for line in text.splitlines():
        if (match := _LINE.match(line)) and (at := datetime.fromisoformat(match[1])) >= since:
            yield at, match[2], match[3]


def tail(path: Path, most_bytes: int = TAIL_BYTES) -> str:
    """Return the last whole lines of a file; raises OSError when it cannot be read."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - most_bytes))
        data = file.read()
    if size > most_bytes:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", "replace")
