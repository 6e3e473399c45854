"""A week of scheduled quality control by instrument and day: what is to come, what became of it, and what is booked.

What is to come is computed from the schedules by the code that agents go by (`agent.due_dates`). What became of it, and what the
booking calendars of the PCs say, is what agents have told. A day is one of the site's, so it may have 23 or 25 hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.due_dates import RuleError, due_between
from agent.records import SchedulePlan, ScheduleRun, ScheduleState
from agent.records.schedules import Schedule
from server.quality.schedules import Kept, groups, is_for, kept_schedules, plan_told, runs_between
from server.store.base import Reads
from server.store.rows import Instrument
from server.use.periods import Period

PLANNED, UNHEARD, REFUSED, BOOKED = "planned", "nothing heard", "refused", "booked"
"""What an item says besides the states of a run."""

_MOST = 2100
"""Times one schedule may fall due in a week; every five minutes is fewer."""
_TOLD_BY = timedelta(minutes=15)
"""So long after it was due at the latest, an agent that is there has said something of it."""
_FEW = 2
_EDGE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Item:
    """What is on a day of an instrument.

    Attributes
    ----------
    at : datetime
        When it is planned, or from when on it is booked, UTC.
    state : str
        One of those above, or a state of a run.
    until : datetime or None
        The end of a booking; the last time of several that are told as one.
    n : int
        How many are told as one.
    is_kept : bool
        Whether its schedule is kept here, not in a file of the PC; known of what is to come.
    """

    at: datetime
    state: str
    schedule_id: str = ""
    routine: str = ""
    reason: str = ""
    until: datetime | None = None
    n: int = 1
    record_id: UUID | None = None
    qc_run_id: UUID | None = None
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """The week of one instrument: for each day, its items in order."""

    instrument: Instrument
    days: tuple[tuple[Item, ...], ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not any(self.days)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A week of some instruments."""

    week: Period
    rows: tuple[Row, ...]

    @property
    def days(self) -> list[Period]:
        """Its days, Monday first."""
        return list(self.week.days())


@dataclass(frozen=True, slots=True)
class _Source:
    """What is known of one instrument's schedules."""

    instrument: Instrument
    kept: tuple[Kept, ...]
    plan: SchedulePlan | None

    def zone_of(self, schedule: Schedule, site: ZoneInfo) -> ZoneInfo:
        """Return the zone a schedule falls due in: its own, else that of the PC, as far as its agent told it."""
        told = self.plan.schedules if self.plan else ()
        pc = next((one.zone for one in told if one.schedule_id == schedule.schedule_id), "")
        return _zone(schedule.zone or pc, site)

    def refused(self, schedule_id: str) -> str:
        """Return why the agent does not go by a schedule."""
        told = self.plan.schedules if self.plan else ()
        return next((one.refused for one in told if one.schedule_id == schedule_id), "")


def calendar_of(
    reads: Reads, instruments: Sequence[Instrument], monday: date, site: ZoneInfo, now: datetime
) -> Calendar:
    """Return the week from `monday` on; in the zone that the schedules share if they share one, else in the site's."""
    kept, members = kept_schedules(reads), groups(reads)
    sources = [
        _Source(
            one,
            tuple(schedule for schedule in kept if is_for(schedule.placed, one.instrument_id, members)),
            plan_told(reads, one.instrument_id),
        )
        for one in instruments
    ]
    week = Period(monday, monday + timedelta(days=6), _shared_zone(sources, site))
    dates = _Dates(week)
    return Calendar(week, tuple(_row(reads, source, week, dates, now) for source in sources))


class _Dates:
    """When schedules fall due within a week; one that many instruments have is followed once."""

    def __init__(self, week: Period) -> None:
        self._week = week
        self._known: dict[tuple[str, str | None, int | None, str | None], list[datetime]] = {}

    def of(self, schedule: Schedule, zone: ZoneInfo) -> list[datetime]:
        key = (zone.key, schedule.cron, schedule.every_days, schedule.window)
        if key not in self._known:
            since, until = self._week.since - _EDGE, self._week.until - _EDGE
            try:
                self._known[key] = due_between(schedule, zone, since, until, _MOST)
            except RuleError:  # kept by an earlier version; its agent says that it refuses it
                self._known[key] = []
        return self._known[key]


def _row(reads: Reads, source: _Source, week: Period, dates: _Dates, now: datetime) -> Row:
    instrument_id = source.instrument.instrument_id
    told = [_told(run, now) for run in runs_between(reads, instrument_id, week.since, week.until)]
    known = {(one.schedule_id, one.at) for one in told}
    expected = [one for one in _expected(source, week, dates, now) if (one.schedule_id, one.at) not in known]
    items = sorted([*told, *expected, *_booked(source.plan, week)], key=lambda one: (one.at, one.schedule_id))
    return Row(
        source.instrument,
        tuple(_in_short(one for one in items if day.since <= one.at < day.until) for day in week.days()),
    )


def _told(run: ScheduleRun, now: datetime) -> Item:
    """Return a run as it was told last; a person who was wanted until a time that is over is wanted no more."""
    is_over = run.state is ScheduleState.WAITING_FOR_PERSON and run.task and run.task.until < now - _TOLD_BY
    return Item(
        at=run.planned_at,
        state=UNHEARD if is_over else run.state.value,
        schedule_id=run.schedule_id,
        routine=run.routine,
        reason=run.reason,
        record_id=run.record_id,
        qc_run_id=run.qc_run_id,
    )


def _expected(source: _Source, week: Period, dates: _Dates, now: datetime) -> Iterator[Item]:
    """Yield what falls due by the schedules kept here, and what the agent says of those in files of its PC."""
    for one in source.kept:
        schedule = one.schedule
        refused = source.refused(schedule.schedule_id)
        for at in dates.of(schedule, source.zone_of(schedule, week.zone)) if schedule.is_enabled else ():
            if at > now - _TOLD_BY:
                state = REFUSED if refused else PLANNED
                yield Item(at, state, schedule.schedule_id, schedule.routine, refused, is_kept=True)
            elif at > one.changed_at and not refused:
                yield Item(at, UNHEARD, schedule.schedule_id, schedule.routine, is_kept=True)
    for planned in source.plan.schedules if source.plan else ():
        for at in planned.next_at if planned.source == "file" else ():
            if week.since <= at < week.until:
                state = PLANNED if at > now - _TOLD_BY else UNHEARD
                yield Item(at, state, planned.schedule_id, planned.routine)


def _booked(plan: SchedulePlan | None, week: Period) -> Iterator[Item]:
    """Yield the bookings, each cut at midnight."""
    for booking in plan.booked if plan else ():
        for day in week.days():
            begin, end = max(booking.start, day.since), min(booking.end, day.until)
            if begin < end:
                yield Item(begin, BOOKED, until=end)


def _in_short(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return items with those that say the same told as one, where they are more than a few."""
    found: list[Item] = []
    for _, alike in groupby(items, key=lambda one: (one.state, one.schedule_id, one.reason)):
        some = list(alike)
        if len(some) <= _FEW or some[0].state == BOOKED:
            found += some
        else:
            found.append(replace(some[0], until=some[-1].at, n=len(some)))
    return tuple(found)


def _shared_zone(sources: Iterable[_Source], site: ZoneInfo) -> ZoneInfo:
    named = {one.schedule.zone for source in sources for one in source.kept}
    named |= {one.zone for source in sources if source.plan for one in source.plan.schedules}
    named.discard("")
    return _zone(named.pop(), site) if len(named) == 1 else site


def _zone(name: str, otherwise: ZoneInfo) -> ZoneInfo:
    try:
        return ZoneInfo(name) if name else otherwise
    except (
        ZoneInfoNotFoundError,
        ValueError,
        OSError,
    ):  # told by an agent that knows more zones than this computer
        return otherwise


def has_schedule(kept: Iterable[Kept], members: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the instruments that a schedule kept here is for."""
    found: set[str] = set()
    for one in kept:
        found.update(one.placed.instruments)
        found.update(member for group in one.placed.groups for member in members.get(group, ()))
    return frozenset(found)
