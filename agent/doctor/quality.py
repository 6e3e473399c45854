"""QC: the last run, and whether schedules are looked after. The agent's journal is only read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.doctor.finding import Finding, Level, Place
from agent.doctor.spool import in_words
from agent.service.announce import announced

_TOPIC = "quality control"
_STALE = timedelta(minutes=5)
_OLD = timedelta(days=31)


def quality(place: Place) -> Iterator[Finding]:
    """Tell of the last run of each kind, and of the scheduler."""
    yield _last_run(place)
    yield from _schedules(place)


def _last_run(place: Place) -> Finding:
    runs = sorted((place.data_dir / "qc" / "runs").glob("*/*.json"), key=lambda path: path.name)
    if not runs:
        return Finding(
            _TOPIC, "last run", Level.NOTE, "none yet", "scopestamp qc list shows what can be measured."
        )
    newest = runs[-1]
    at = datetime.strptime(newest.name.split("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    try:
        verdict = json.loads(newest.read_bytes()).get("verdict", "")
    except (OSError, ValueError):
        verdict = ""
    age = place.now() - at
    return Finding(
        _TOPIC,
        "last run",
        Level.GOOD if age < _OLD else Level.NOTE,
        f"{newest.parent.name}, {in_words(age)} ago" + (f", {verdict}" if verdict else ""),
        facts={"routine": newest.parent.name, "at": at.isoformat(), "verdict": verdict},
    )


def _schedules(place: Place) -> Iterator[Finding]:
    if not place.settings.schedule.is_on:
        yield Finding(_TOPIC, "schedules", Level.NOTE, "switched off ([schedule] is_on)")
        return
    folder = place.data_dir / "schedule"
    if announced(place.data_dir) is not None:
        yield _scheduler(_read(folder / "now.json"), place.now())
    if (folder / "journal.sqlite").is_file():
        yield _runs(folder / "journal.sqlite")


def _scheduler(said: dict[str, Any], now: datetime) -> Finding:
    try:
        age = now - datetime.fromisoformat(said["at"])
    except (KeyError, TypeError, ValueError):
        return Finding(_TOPIC, "schedules", Level.NOTE, "the scheduler has not said anything yet")
    if age > _STALE and not said.get("running"):
        advice = "Restart the agent; if that does not help, send us the bundle."
        return Finding(_TOPIC, "schedules", Level.PROBLEM, f"not looked after for {in_words(age)}", advice)
    return Finding(_TOPIC, "schedules", Level.GOOD, "looked after")


def _runs(path: Path) -> Finding:
    sql = "SELECT schedule_id, planned_at, state, reason FROM occurrences ORDER BY planned_at DESC LIMIT 50"
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2)) as db:
            rows = db.execute(sql).fetchall()
    except sqlite3.Error as error:
        return Finding(_TOPIC, "scheduled runs", Level.NOTE, f"the journal cannot be read now ({error})")
    ended = [row for row in rows if row[2] not in ("waiting", "postponed")]
    failed = [row for row in ended[:10] if row[2] in ("failed", "missed")]
    says = f"{len(failed)} of the last {min(len(ended), 10)} failed or were missed" if ended else "none yet"
    if failed:
        schedule_id, at, state, reason = failed[0]
        says += f"; {schedule_id} of {at[:16]}: {state}, {reason}"
    level = Level.WARNING if failed else Level.GOOD
    return Finding(_TOPIC, "scheduled runs", level, says, "scopestamp schedule check" if failed else "")


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
