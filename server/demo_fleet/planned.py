"""Quality control that is planned: the schedules that staff wrote, what became of each run, and what is booked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from agent.records import ScheduleState
from agent.records.schedules import Schedule
from server.demo_fleet.lines import Lines
from server.demo_fleet.script import ZONE, Instrument, Span
from server.quality.schedules import CONFIRMATION, GROUP, SCHEDULE, PlacedSchedule
from server.store.base import Writes

PLANNED_WEEKS = 8
"""For so long there have been schedules; before, people ran quality control by themselves."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
STAFF = ("mira", "paulo")
"""Who puts slides in; nobody real."""
TAKES = timedelta(minutes=6)
TOLD_BY = timedelta(hours=6)
"""So long after it was planned, an agent has told of every run."""
ASKED_BEFORE = timedelta(hours=72)
_DEADLINE = timedelta(hours=2)
_BOOKED_AHEAD = timedelta(weeks=2)
_CONFIRMED = 0.35
_DONE = ScheduleState.DONE
Told = Iterator[tuple[datetime, bytes]]
Ends = dict[str, tuple[ScheduleState, str]]

_AWAY = "The agent was off or asleep, or its clock was set on."
_NO_SLIDE = "Somebody is to put in place: {slide}. Nobody confirmed that the slide is in place."
_TOUCHED = "Somebody used mouse or keyboard. The run was stopped and everything put back as it was."
NOT_RUN: tuple[Ends, ...] = (
    {name: (ScheduleState.MISSED, _AWAY) for name in ("psf", "illumination")},
    {name: (ScheduleState.SKIPPED, "An acquisition is running.") for name in ("psf", "illumination")},
    {
        "psf": (ScheduleState.ABORTED_BY_USER, _TOUCHED),
        "illumination": (ScheduleState.SKIPPED, "Somebody used mouse or keyboard 3 min ago."),
    },
)
"""How a night ends in which nothing is measured: for each routine, in the words of an agent."""
OVERDUE: Ends = {
    "psf": (ScheduleState.SKIPPED, _NO_SLIDE),
    "illumination": (ScheduleState.SKIPPED, "Live mode is on."),
}
RAN: Ends = {"psf": (_DONE, ""), "illumination": (_DONE, "")}


def schedules_of(instrument: Instrument) -> tuple[Schedule, ...]:
    """Return what is planned for an instrument: two routines in one night of the week."""
    day = DAYS[instrument.weekday]
    common = {
        "zone": ZONE.key,
        "n_slots": 4,
        "missed": "skip",
        "deadline_min": _DEADLINE.total_seconds() / 60,
    }
    asked = {"asks_person": True, "ask_before_h": ASKED_BEFORE.total_seconds() / 3600}
    return (
        Schedule(
            schedule_id=f"psf-{day}", routine="psf", cron=f"0 3 * * {day[:3]}", slide="100 nm beads", slot=2,
            channels=("GFP",), **asked, **common,
        ),
        Schedule(
            schedule_id=f"illumination-{day}", routine="illumination", cron=f"30 3 * * {day[:3]}",
            slide="uniform fluorescent slide", slot=3, channels=("GFP",), **common,
        ),
    )  # fmt: skip


def write_schedules(writes: Writes, instruments: Sequence[Instrument], at: datetime) -> None:
    """Keep the schedules, a group for each night, and a group for each sort of microscope."""
    members: dict[str, list[str]] = {}
    for one in instruments:
        for group in (f"QC on {DAYS[one.weekday].capitalize()}", one.sort):
            members.setdefault(group, []).append(one.instrument_id)
    for group, ids in members.items():
        writes.put_document(GROUP, group, json.dumps(sorted(ids)), at, STAFF[0])
    for one in {one.weekday: one for one in instruments}.values():
        for schedule in schedules_of(one):
            placed = PlacedSchedule(schedule=schedule, groups=(f"QC on {DAYS[one.weekday].capitalize()}",))
            body = placed.model_dump_json(exclude_none=True)
            writes.put_document(SCHEDULE, schedule.schedule_id, body, at, STAFF[0])


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One planned run of one instrument."""

    schedule: Schedule
    planned_at: datetime
    run_id: UUID

    @property
    def asked_at(self) -> datetime:
        """When somebody is asked for the slide."""
        return self.planned_at - ASKED_BEFORE


class Planned:
    """Tells what an agent tells of its schedules."""

    def __init__(self, instrument: Instrument, lines: Lines, span: Span) -> None:
        self._instrument = instrument
        self._lines = lines
        self._span = span

    def of_week(self, number: int) -> dict[str, Occurrence]:
        """Return the runs of a week by routine."""
        night = self._span.week(number) + timedelta(days=self._instrument.weekday, hours=3)
        psf, illumination = schedules_of(self._instrument)
        return {
            one.routine: Occurrence(one, at, self._run_id(one, at))
            for one, at in ((psf, night), (illumination, night + timedelta(minutes=30)))
        }

    def _run_id(self, schedule: Schedule, at: datetime) -> UUID:
        dice = self._instrument.dice(f"{schedule.schedule_id} {at.isoformat()}")
        return UUID(int=dice.getrandbits(128), version=4)

    def asks(self, one: Occurrence) -> Told:
        """Yield the question for the slide, where the schedule has one."""
        if one.schedule.asks_person:
            reason = f"Somebody is to put in place: {one.schedule.slide}."
            state = ScheduleState.WAITING_FOR_PERSON
            yield (
                one.asked_at,
                self._lines.planned_run(one, state, one.asked_at, reason, until=one.planned_at + _DEADLINE),
            )

    def ends(
        self, one: Occurrence, ends: Ends, qc_run_id: UUID | None = None, status: str | None = None
    ) -> Told:
        """Yield how a run began and ended."""
        state, reason = ends[one.schedule.routine]
        ended_at = one.planned_at + TAKES
        if state in (ScheduleState.SKIPPED, ScheduleState.MISSED):
            # What stood in the way is told when the time is over; who was away tells it when it is back.
            told_at = one.planned_at + (_DEADLINE if state is ScheduleState.SKIPPED else TOLD_BY)
            yield (
                told_at,
                self._lines.planned_run(one, state, told_at, reason.format(slide=one.schedule.slide)),
            )
            return
        ran = {"started_at": one.planned_at}
        if one.schedule.asks_person:
            ran["confirmed_by"] = STAFF[self._instrument.number % len(STAFF)]
        yield one.planned_at, self._lines.planned_run(one, ScheduleState.RUNNING, one.planned_at, **ran)
        ran["ended_at"] = ended_at
        if state is _DONE:
            ran |= {"qc_run_id": qc_run_id, "qc_status": status}
        yield ended_at, self._lines.planned_run(one, state, ended_at, reason, **ran)

    def plan(self, at: datetime) -> bytes:
        """Return what the agent goes by, and what its booking calendar has."""
        this_week = self._span.number_of(at)
        nights = [self.of_week(number) for number in range(this_week, this_week + 5)]
        next_at = {
            routine: [one[routine].planned_at for one in nights if one[routine].planned_at > at][:3]
            for routine in RAN
        }
        return self._lines.plan(
            at, schedules_of(self._instrument), next_at, self._booked(at), at + _BOOKED_AHEAD
        )

    def _booked(self, at: datetime) -> list[tuple[datetime, datetime]]:
        """Return bookings from the beginning of the week on, the same ones whenever they are asked for."""
        found = []
        for number in range(self._span.number_of(at), self._span.number_of(at + _BOOKED_AHEAD) + 1):
            week, dice = self._span.week(number), self._instrument.dice(f"booked {number}")
            for day, hour in ((1, 9), (3, 13), (dice.choice((0, 2, 4)), dice.choice((8, 14)))):
                begins = week + timedelta(days=day, hours=hour)
                found.append((begins, begins + timedelta(hours=dice.randrange(2, 5))))
        return sorted(found)

    def confirms(self, writes: Writes, now: datetime) -> None:
        """Confirm what is asked for now, at some instruments."""
        for number in (self._span.number_of(now), self._span.number_of(now) + 1):
            one = self.of_week(number)["psf"]
            is_asked = one.asked_at < now < one.planned_at
            if is_asked and self._instrument.dice(f"confirmed {number}").random() < _CONFIRMED:
                at = one.asked_at + (now - one.asked_at) / 2
                told = {"instrument_id": self._instrument.instrument_id, "by": STAFF[1], "at": at.isoformat()}
                writes.put_document(CONFIRMATION, str(one.run_id), json.dumps(told), at, STAFF[1])
