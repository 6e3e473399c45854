"""Schedules of quality control: what staff write here, which agents fetch, and what agents tell of it.

The collector plans nothing itself. When a schedule falls due, and whether it may run at all, is the agent's business; what
the pages show of it is what the agent has told (`schedule_plan`, `schedule_run`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.records import RecordError, SchedulePlan, ScheduleRun, decode_tolerant
from agent.records.schedules import Confirmation, Schedule, SchedulesReply, StoredSchedule
from server.access.people import Person
from server.access.seeing import check_whole
from server.collector import Collector
from server.errors import RefusedError
from server.ingest.evidence import records_of
from server.logbook import told_to_agent
from server.quality.asked import Asked
from server.store.base import Reads, Writes
from server.store.rows import AuditEntry

SCHEDULE, GROUP, CONFIRMATION = "qc_schedule", "instrument_group", "qc_confirmation"
MOST_RECORDS = 500
_CONFIRMED_FOR = timedelta(days=14)
_TOLD_AHEAD = timedelta(days=8)
"""Nothing is told of an occurrence longer before it is planned: people are asked a week ahead at most."""
_TOLD_LATE = timedelta(days=32)
"""Nor longer after it: by then its deadline has passed."""
_PAGE, _MOST_PAGES = 200, 25


class PlacedSchedule(BaseModel):
    """A schedule and the instruments it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule: Schedule = Field(description="The schedule.")
    instruments: tuple[str, ...] = Field(default=(), max_length=500, description="Ids of instruments.")
    groups: tuple[str, ...] = Field(default=(), max_length=100, description="Names of groups of instruments.")


@dataclass(frozen=True, slots=True)
class Kept:
    """A schedule as it is kept."""

    placed: PlacedSchedule
    version: int
    changed_at: datetime
    changed_by: str

    @property
    def schedule(self) -> Schedule:
        """The schedule."""
        return self.placed.schedule


def kept_schedules(reads: Reads) -> list[Kept]:
    """Return all schedules by id."""
    return [
        Kept(PlacedSchedule.model_validate_json(one.body), one.version, one.changed_at, one.changed_by)
        for one in reads.documents(SCHEDULE)
    ]


def groups(reads: Reads) -> dict[str, tuple[str, ...]]:
    """Return the instruments of every group."""
    return {one.key: tuple(json.loads(one.body)) for one in reads.documents(GROUP)}


def is_for(placed: PlacedSchedule, instrument_id: str, members: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a schedule is for an instrument, by itself or in a group of those in `members`."""
    return instrument_id in placed.instruments or any(
        instrument_id in members.get(group, ()) for group in placed.groups
    )


def reply_for(reads: Reads, instrument_id: str, now: datetime) -> tuple[SchedulesReply, str]:
    """Return what an agent is told, and its ETag."""
    members = groups(reads)
    mine = tuple(
        StoredSchedule(schedule=one.schedule, version=one.version)
        for one in kept_schedules(reads)
        if is_for(one.placed, instrument_id, members)
    )
    invalid, zero = told_to_agent(reads, instrument_id)
    reply = SchedulesReply(
        schedules=mine,
        confirmations=_confirmations(reads, instrument_id, now),
        invalid_runs=invalid,
        baselines=zero,
        time=now,
    )
    body = reply.model_dump_json(exclude={"time"}, exclude_none=True)
    return reply, f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def put_schedule(
    collector: Collector, placed: PlacedSchedule, person: Person, address: str, replaces: int | None = None
) -> int:
    """Keep a schedule and return its version.

    Raises
    ------
    RefusedError
        400 when it never falls due or names what is not there; 409 when somebody has changed it meanwhile.
    """
    with collector.store.reading() as reads:
        _check(placed, reads, collector.now())
    name = placed.schedule.schedule_id
    at, body = collector.now(), placed.model_dump_json(exclude_none=True)
    targets = ", ".join((*placed.instruments, *placed.groups)) or "nobody"
    audit = AuditEntry(at, person.name, "schedule put", "done", f"{name} for {targets}", address)

    def put(writes: Writes) -> int:
        check_whole(writes, person.scope, SCHEDULE, name)
        writes.add_audit(audit)
        return writes.put_document(SCHEDULE, name, body, at, person.name, replaces).version

    version: int = collector.writer.do(put)
    return version


def remove_schedule(collector: Collector, schedule_id: str, person: Person, address: str) -> bool:
    """Take a schedule away; return whether there was one."""
    audit = AuditEntry(collector.now(), person.name, "schedule removed", "done", schedule_id, address)

    def remove(writes: Writes) -> bool:
        check_whole(writes, person.scope, SCHEDULE, schedule_id)
        is_gone = writes.remove_document(SCHEDULE, schedule_id)
        if is_gone:
            writes.add_audit(audit)
        return is_gone

    is_gone: bool = collector.writer.do(remove)
    return is_gone


def put_group(
    collector: Collector, name: str, instruments: Iterable[str], person: Person, address: str
) -> None:
    """Keep a group of instruments; an empty one is removed."""
    members = sorted(set(instruments))
    with collector.store.reading() as reads:
        _check_instruments(members, reads)
    at = collector.now()
    audit = AuditEntry(
        at, person.name, "group put", "done", f"{name}: {', '.join(members) or 'nobody'}", address
    )

    def put(writes: Writes) -> None:
        check_whole(writes, person.scope, GROUP, name)
        writes.add_audit(audit)
        if members:
            writes.put_document(GROUP, name, json.dumps(members), at, person.name)
        else:
            writes.remove_document(GROUP, name)

    collector.writer.do(put)


def schedule_from(table: Any) -> PlacedSchedule:
    """Return a schedule from what a form or a request holds, or refuse it in words."""
    try:
        return PlacedSchedule.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part != "schedule")
        raise RefusedError(400, "malformed_request", f"{where or 'schedule'}: {first['msg']}.") from error


def _check(placed: PlacedSchedule, reads: Reads, now: datetime) -> None:
    schedule = placed.schedule
    try:
        zone = ZoneInfo(schedule.zone or "UTC")
        if schedule.cron is not None:
            next(CronSim(schedule.cron, now.astimezone(zone)))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RefusedError(
            400, "malformed_request", f"zone: {schedule.zone!r} is no time zone; such as Europe/Zurich."
        ) from error
    except (CronSimError, StopIteration) as error:
        raise RefusedError(
            400,
            "malformed_request",
            f"cron: {schedule.cron!r} never falls due ({error}). Wanted are minute, hour, day, month and weekday.",
        ) from error
    _check_instruments(placed.instruments, reads)
    if unknown := set(placed.groups) - groups(reads).keys():
        raise RefusedError(400, "malformed_request", f"groups: there is no group {sorted(unknown)[0]!r}.")


def _check_instruments(instruments: Iterable[str], reads: Reads) -> None:
    for one in instruments:
        if reads.instrument(one) is None:
            raise RefusedError(400, "malformed_request", f"instruments: there is no instrument {one!r}.")


# ---- what agents tell


@dataclass(frozen=True, slots=True)
class Told:
    """The last an agent told of one occurrence."""

    record: ScheduleRun
    instrument_id: str
    instrument_name: str


def runs_told(
    reads: Reads, instrument_ids: Iterable[str] | None = None, most: int = MOST_RECORDS
) -> list[Told]:
    """Return the last word on every occurrence in the newest records of each instrument, the latest planned first."""
    found: dict[UUID, Told] = {}
    for instrument in reads.instruments():
        if instrument_ids is not None and instrument.instrument_id not in instrument_ids:
            continue
        rows = reads.recent(instrument.instrument_id, "schedule_run", most)
        for record in records_of(reads, rows):
            if isinstance(record, ScheduleRun):  # the newest comes first
                found.setdefault(record.run_id, Told(record, instrument.instrument_id, instrument.name))
    return sorted(
        found.values(), key=lambda one: (one.record.planned_at, one.record.schedule_id), reverse=True
    )


def runs_between(reads: Reads, instrument_id: str, since: datetime, until: datetime) -> list[ScheduleRun]:
    """Return the last word on every occurrence planned within a time, the latest told first.

    Records are read from the newest back to before the first of them can have been told.
    """
    found: dict[UUID, ScheduleRun] = {}
    before: int | None = None
    for _ in range(_MOST_PAGES):
        rows = reads.recent(instrument_id, "schedule_run", _PAGE, before)
        near = [row for row in rows if since - _TOLD_AHEAD <= row.captured_at < until + _TOLD_LATE]
        for record in records_of(reads, near):
            if isinstance(record, ScheduleRun) and since <= record.planned_at < until:
                found.setdefault(record.run_id, record)
        if len(rows) < _PAGE or rows[-1].captured_at < since - _TOLD_AHEAD:
            break
        before = rows[-1].position
    return list(found.values())


def plan_told(reads: Reads, instrument_id: str) -> SchedulePlan | None:
    """Return the schedules as an instrument's agent goes by them; None when it has not said."""
    latest = reads.latest(instrument_id).get("schedule_plan")
    try:
        record = decode_tolerant(latest.raw) if latest else None
    except RecordError:
        return None
    return record if isinstance(record, SchedulePlan) else None


def open_tasks(reads: Reads, asked: Asked, now: datetime) -> list[tuple[Told, Confirmation | None]]:
    """Return what people are asked to do, the most urgent first, and who has confirmed it already."""
    runs = {name: told for name, told in asked.tasks(reads, now).items() if told}
    confirmed = {one.run_id: one for one in _all_confirmations(reads)} if runs else {}
    names = {one.instrument_id: one.name for one in reads.instruments()} if runs else {}
    tasks = [
        (Told(run, name, names.get(name, name)), confirmed.get(run.run_id))
        for name, told in runs.items()
        for run in told
    ]
    return sorted(tasks, key=lambda task: task[0].record.planned_at)


def confirm_task(collector: Collector, run_id: UUID, person: Person, address: str) -> None:
    """Note that a slide is in place; the agent fetches that."""
    now = collector.now()
    with collector.store.reading() as reads:
        task = next(
            (one for one, _ in open_tasks(reads, collector.asked, now) if one.record.run_id == run_id), None
        )
        old = [one for one in reads.documents(CONFIRMATION) if now - one.changed_at > 2 * _CONFIRMED_FOR]
    if task is None:
        raise RefusedError(404, "not_found", "Nobody is asked for that any more.")
    body = json.dumps({"instrument_id": task.instrument_id, "by": person.name, "at": now.isoformat()})
    audit = AuditEntry(
        now, person.name, "task confirmed", "done", f"{task.record.schedule_id} {run_id}", address
    )

    def put(writes: Writes) -> None:
        for one in old:
            writes.remove_document(CONFIRMATION, one.key)
        if writes.document(CONFIRMATION, str(run_id)) is None:
            writes.put_document(CONFIRMATION, str(run_id), body, now, person.name)
            writes.add_audit(audit)

    collector.writer.do(put)


def _all_confirmations(reads: Reads) -> list[Confirmation]:
    found = ((one.key, json.loads(one.body)) for one in reads.documents(CONFIRMATION))
    return [Confirmation(run_id=UUID(key), by=told["by"], at=told["at"]) for key, told in found]


def _confirmations(reads: Reads, instrument_id: str, now: datetime) -> tuple[Confirmation, ...]:
    mine = {
        UUID(one.key)
        for one in reads.documents(CONFIRMATION)
        if json.loads(one.body)["instrument_id"] == instrument_id
    }
    return tuple(
        one for one in _all_confirmations(reads) if one.run_id in mine and now - one.at < _CONFIRMED_FOR
    )
