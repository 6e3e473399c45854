"""What records add to the tables of use: sessions of people, and when planned quality control had the hardware."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from server.store.connection import Connection
from server.store.rows import PlannedRunFacts, SessionFacts
from server.store.using_days import Spoiled, spoil

Use = tuple[int, UUID, SessionFacts | PlannedRunFacts]
"""Key of the instrument, the record and what it says."""


def _upsert(table: str, key: Sequence[str], others: Sequence[str]) -> str:
    """Return the statement that adds a row or replaces the one with its key: the last record to arrive counts."""
    columns = [*key, *others]
    told = ", ".join(f"{name} = excluded.{name}" for name in others)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {told}"
    )


_SESSION = _upsert(
    "usage_sessions",
    ("instrument_key", "session_id"),
    ("record_id", "began_at", "ended_at", "person", "person_how", "acquiring_s", "live_s", "shutter_open_s",
     "n_acquisitions", "n_frames"),
)  # fmt: skip
_PLANNED = _upsert(
    "planned_runs",
    ("instrument_key", "run_id"),
    ("record_id", "began_at", "ended_at", "routine", "state", "qc_run_id"),
)


def add_uses(connection: Connection, uses: Sequence[Use]) -> None:
    """Add a group of sessions and planned runs, in their order."""
    before = _told_before(connection, uses)
    sessions = [_session(*use) for use in uses if isinstance(use[2], SessionFacts)]
    planned = [_planned(*use) for use in uses if isinstance(use[2], PlannedRunFacts)]
    connection.do_each(_SESSION, sessions)
    connection.do_each(_PLANNED, planned)
    spoil(connection, [*before, *((key, one.began_at, one.ended_at) for key, _, one in uses)])


def _told_before(connection: Connection, uses: Sequence[Use]) -> list[Spoiled]:
    """Return when the sessions and runs were that are told again, as they were told before."""
    found = []
    for key, _, one in uses:
        is_session = isinstance(one, SessionFacts)
        table, column = ("usage_sessions", "session_id") if is_session else ("planned_runs", "run_id")
        name = one.session_id if isinstance(one, SessionFacts) else one.run_id
        sql = f"SELECT began_at, ended_at FROM {table} WHERE instrument_key = ? AND {column} = ?"
        if (row := connection.one(sql, key, name)) is not None:
            found.append((key, *row))
    return found


def _session(key: int, record_id: UUID, one: SessionFacts) -> tuple[int | UUID | datetime | Any, ...]:
    who = (one.person, one.person_how)
    lengths = (one.acquiring_s, one.live_s, one.shutter_open_s)
    when = (one.began_at, one.ended_at)
    return key, one.session_id, record_id, *when, *who, *lengths, one.n_acquisitions, one.n_frames


def _planned(key: int, record_id: UUID, one: PlannedRunFacts) -> tuple[int | UUID | datetime | Any, ...]:
    return key, one.run_id, record_id, one.began_at, one.ended_at, one.routine, one.state, one.qc_run_id
