"""What waits on disk, since when, and for how long there is room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.doctor.finding import Finding, Level, Place
from agent.outbox import Backlog, Survey
from agent.outbox.disk import free_bytes
from agent.outbox.folders import all_spools
from agent.outbox.limit import last_seq_of

RECORD_BYTES = 250
"""Of one record on disk, compressed: measured, see docs/spool.md."""
_TOPIC = "spool"
_LATE = timedelta(hours=1)
_ENOUGH = timedelta(minutes=10)
_FEW_DAYS = 7.0
_MANY_DAYS = 3652.0
_BUDGET_BYTES = 5_000_000_000
_SHARE_OF_FREE = 0.1


def spool(place: Place) -> Iterator[Finding]:
    """Tell what waits; reads one segment at most of each spool."""
    if not (place.data_dir / "spool").is_dir():
        yield Finding(_TOPIC, "backlog", Level.NOTE, "nothing was ever recorded here")
        return
    backlog = Survey(place.data_dir).take()
    yield _backlog(backlog, place.now())
    yield _autonomy(place, backlog)
    yield from _put_aside(place.data_dir, backlog)


def _backlog(backlog: Backlog, now: datetime) -> Finding:
    facts: dict[str, Any] = {"n_waiting": backlog.n_waiting, "bytes_on_disk": backlog.bytes_on_disk}
    size = f"{backlog.bytes_on_disk / 1e6:.1f} MB on disk"
    if backlog.oldest_waiting_at is None:
        return Finding(
            _TOPIC, "backlog", Level.GOOD, f"{backlog.n_waiting} records wait, {size}", facts=facts
        )
    age = now - backlog.oldest_waiting_at
    facts["oldest_waiting_at"] = backlog.oldest_waiting_at.isoformat()
    says = f"{backlog.n_waiting:,} records wait, the oldest for {in_words(age)}, {size}"
    if age < _LATE:
        return Finding(_TOPIC, "backlog", Level.GOOD, says, facts=facts)
    advice = "Nothing is lost. See what the collector says below."
    return Finding(_TOPIC, "backlog", Level.WARNING, says, advice, facts)


def _autonomy(place: Place, backlog: Backlog) -> Finding:
    """Return how many days of records there is room for, at the rate of the longest session that lies there."""
    free = free_bytes(place.data_dir)
    budget = place.settings.spool.max_bytes or min(_BUDGET_BYTES, int(_SHARE_OF_FREE * free))
    room = max(min(budget - backlog.bytes_on_disk, free - place.settings.spool.min_free_bytes), 0)
    rate_per_s = _records_per_s(place.data_dir, place.now())
    if rate_per_s is None:
        return Finding(
            _TOPIC, "room", Level.GOOD, f"{room / 1e6:,.0f} MB; days not told before ten minutes of records"
        )
    days = room / (rate_per_s * RECORD_BYTES * 86_400)
    return Finding(
        _TOPIC,
        "room",
        Level.GOOD if days > _FEW_DAYS else Level.WARNING,
        f"for {_days(days)} without a collector, at {rate_per_s:.2g} records a second",
        ""
        if days > _FEW_DAYS
        else "Free space, or raise [spool] max_bytes; critical records are kept in any case.",
        {"days_of_autonomy": round(days, 1), "records_per_s": rate_per_s},
    )


def _records_per_s(data_dir: Path, now: datetime) -> float | None:
    n, longest = 0, timedelta()
    by_session: dict[Path, int] = {}
    for one in all_spools(data_dir):
        try:
            by_session[one.session] = by_session.get(one.session, 0) + last_seq_of(one)
        except OSError:
            continue  # deleted at this moment
    for session, n_records in by_session.items():
        age = now - _began(session)
        if age > longest:
            n, longest = n_records, age
    return n / longest.total_seconds() if longest >= _ENOUGH and n else None


def _began(session: Path) -> datetime:
    """Return when a session began: its name says so."""
    return datetime.strptime(session.name.split("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def _put_aside(data_dir: Path, backlog: Backlog) -> Iterator[Finding]:
    if backlog.n_poisoned:
        advice = "Each has its reason beside it, in the folder poison; send them to us."
        yield Finding(
            _TOPIC, "set aside", Level.WARNING, f"{backlog.n_poisoned} records cannot be sent", advice
        )
    if backlog.n_aside:
        advice = "The collector has other records under these names: look for a second computer with a copy of this disk."
        yield Finding(_TOPIC, "forked", Level.PROBLEM, f"{backlog.n_aside} spools are forked", advice)
    if n_bad := sum(1 for _ in (data_dir / "bad").glob("*")):
        advice = "The disk returned other bytes than were written: check it, and its cable."
        yield Finding(
            _TOPIC, "damage", Level.WARNING, f"{n_bad} damaged segments are kept in the folder bad", advice
        )


def in_words(age: timedelta) -> str:
    """Return an age for people.

    >>> in_words(timedelta(minutes=200))
    '3.3 hours'
    """
    seconds = age.total_seconds()
    for unit, length_s in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days < _MANY_DAYS else "more than ten years"
