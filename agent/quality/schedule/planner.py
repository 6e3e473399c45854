"""Decides what is to be run now, and what becomes of what was not.

Pure of clocks, hardware and threads: time is an argument, everything decided is in the journal. Every planned moment up
to the horizon is entered once, and ends once:

- due from the planned time for `deadline_min`, it waits for the interlock;
- past its deadline it is skipped, or postponed until the next one is due, or postponed until it runs (`missed`);
- what fell due while the agent was off or asleep is *missed* where what it could not do in the agent's presence is
  *skipped*.

A clock that goes back runs nothing twice, as what has run stays in the journal. What ended without having run, and now
lies in the future, is opened again: its record says which earlier one it takes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from agent.due_dates import due_between, is_open
from agent.mint import Mint
from agent.quality.schedule.book import Entry
from agent.quality.schedule.journal import KEPT_DAYS, Journal, Occurrence, run_id_of
from agent.records import OperatorTask, ScheduleRun, ScheduleState
from agent.records.schedules import Schedule

MOST_AT_ONCE = 200
"""Occurrences entered at a time: after a year away the rest comes with the next looks."""
MOST_OPEN = 14
"""Occurrences of one schedule that may wait with ``missed = "all"``."""
_TOLERANCE = timedelta(seconds=1)
_ENTER_EVERY = timedelta(minutes=15)
"""A horizon behind which nothing new lies is written down this often only: every time costs the disk a sync."""
_STATE = ScheduleState


class Planner:
    """Keeps the journal in step with the clock and the schedules.

    Parameters
    ----------
    journal : Journal
        What was decided so far.
    mint : Mint
        Makes the records.
    """

    def __init__(self, journal: Journal, mint: Mint) -> None:
        self._journal, self._mint = journal, mint
        self._entries: Mapping[str, Entry] = {}
        self._told_guards: dict[UUID, frozenset[str]] = {}

    def look(self, now: datetime, entries: Mapping[str, Entry]) -> list[Occurrence]:
        """Enter what is planned, end what is over, and return what may start now, the most urgent first.

        Parameters
        ----------
        now : datetime
            The wall clock, which may be wrong.
        entries : mapping
            The schedules that hold, by id.
        """
        self._entries = entries
        for entry in entries.values():
            self._enter(now, entry)
        by_schedule: dict[str, list[Occurrence]] = {}
        for one in self._journal.open_runs():
            by_schedule.setdefault(one.schedule_id, []).append(one)
        for waiting in by_schedule.values():
            newest = max((one.planned_at for one in waiting if one.planned_at <= now), default=None)
            for k, one in enumerate(waiting):
                self._age(now, one, newest, n_newer=len(waiting) - 1 - k)
        self._journal.forget_before(now - timedelta(days=KEPT_DAYS))
        return self._startable(now)

    def recover(self, entries: Mapping[str, Entry]) -> None:
        """End what was running when the agent ended: it is not known how far it came."""
        self._entries = entries
        for one in self._journal.open_runs():
            if one.state is _STATE.RUNNING:
                self.tell(
                    one,
                    _STATE.FAILED,
                    "The agent ended while it ran; what it had moved is put back when the hardware is up.",
                )

    def hindered(self, one: Occurrence, guards: Mapping[str, str]) -> Occurrence:
        """Note what keeps an occurrence from starting; told once for every set of guards."""
        reason = "; ".join(guards.values())
        if self._told_guards.get(one.run_id) != frozenset(guards):
            self._told_guards[one.run_id] = frozenset(guards)
            return self.tell(one, one.state, reason, guards=dict(guards))
        return self._journal.note(replace(one, reason=reason)) if reason != one.reason else one

    def confirm(self, one: Occurrence, by: str) -> Occurrence:
        """Note that somebody put the slide in place."""
        return self.tell(
            replace(one, confirmed_by=by), _STATE.WAITING, f"{by} confirmed that the slide is in place."
        )

    def tell(self, one: Occurrence, state: ScheduleState, reason: str, **more: Any) -> Occurrence:
        """Bring an occurrence to a state and write the record that says so."""
        entry = self._entries.get(one.schedule_id)
        schedule = entry.schedule if entry else None
        record = self._mint.make(
            ScheduleRun,
            run_id=one.run_id,
            schedule_id=one.schedule_id,
            source=entry.source if entry else "collector",
            routine=schedule.routine if schedule else "unknown",
            planned_at=one.planned_at,
            zone=entry.zone.key if entry and entry.zone else "UTC",
            state=state,
            reason=reason,
            confirmed_by=one.confirmed_by,
            supersedes=one.supersedes,
            **more,
        )
        return self._journal.note(replace(one, state=state, reason=reason), record)

    # -- entering

    def _enter(self, now: datetime, entry: Entry) -> None:
        schedule = entry.schedule
        assert schedule is not None and entry.zone is not None  # accepted ones have both
        until = now + timedelta(hours=schedule.ask_before_h if schedule.asks_person else 0)
        since = self._journal.horizon(entry.schedule_id)
        if since is None:
            self._journal.enter(entry.schedule_id, now)  # what was before it was written is not missed
            since = now
        if until < since - _TOLERANCE:
            self._take_back(entry, until)
            since = until
        moments = due_between(schedule, entry.zone, since, until, MOST_AT_ONCE)
        new = [Occurrence(run_id_of(self._mint.instrument_id, entry.schedule_id, at), entry.schedule_id, at)
               for at in moments]  # fmt: skip
        horizon = moments[-1] if len(moments) == MOST_AT_ONCE else until
        if new or horizon - since > _ENTER_EVERY or horizon < since:
            self._journal.enter(entry.schedule_id, horizon, new)

    def _take_back(self, entry: Entry, until: datetime) -> None:
        """Open again what ended without having run and, as the clock has gone back, is still to come."""
        for one in self._journal.never_run_after(entry.schedule_id, until):
            again = replace(one, supersedes=one.record_id, was_due=False, confirmed_by=None)
            reason = "The PC's clock was ahead when this was said to have ended; it has gone back since."
            self.tell(again, _STATE.WAITING, reason)
        self._journal.enter(entry.schedule_id, until)

    # -- ageing

    def _age(self, now: datetime, one: Occurrence, newest: datetime | None, n_newer: int) -> None:
        """Bring one open occurrence to where it should be by now.

        `newest` is the last of its schedule that is due, `n_newer` how many come after it.
        """
        entry = self._entries.get(one.schedule_id)
        if one.state is _STATE.RUNNING:
            return
        if entry is None or entry.schedule is None:
            self.tell(one, _STATE.SKIPPED, "Its schedule was taken away or is not run any more.")
            return
        schedule = entry.schedule
        late = now > one.planned_at + timedelta(minutes=schedule.deadline_min)
        if self._lacks_person(one, schedule):
            self._age_task(now, one, schedule, is_late=late)
        elif newest is not None and newest > one.planned_at and schedule.missed != "all":
            self._end_unrun(one, f"Overtaken by that of {newest:%Y-%m-%d %H:%M} UTC.")
        elif late and schedule.missed == "skip":
            self._end_unrun(one, "")
        elif late and n_newer >= MOST_OPEN:
            self._end_unrun(one, f"More than {MOST_OPEN} were waiting.")
        elif late and one.state is _STATE.WAITING:
            why = one.reason if one.was_due else "The agent was off, asleep, or without this schedule."
            self.tell(one, _STATE.POSTPONED, why)
        elif not late and now >= one.planned_at and not one.was_due:
            self._journal.note(replace(one, was_due=True))

    def _lacks_person(self, one: Occurrence, schedule: Schedule) -> bool:
        return schedule.asks_person and one.confirmed_by is None

    def _age_task(self, now: datetime, one: Occurrence, schedule: Schedule, *, is_late: bool) -> None:
        until = one.planned_at + timedelta(minutes=schedule.deadline_min)
        if is_late:
            asked = one.state is _STATE.WAITING_FOR_PERSON
            why = "Nobody confirmed that the slide is in place." if asked else ""
            self._end_unrun(replace(one, was_due=one.was_due or asked), why)
        elif one.state is not _STATE.WAITING_FOR_PERSON:
            self.tell(
                one,
                _STATE.WAITING_FOR_PERSON,
                f"Somebody is to put in place: {schedule.slide}.",
                task=task_of(schedule, until),
            )

    def _end_unrun(self, one: Occurrence, why: str) -> None:
        """End what never ran: skipped where the agent looked on, missed where it was not there."""
        if one.was_due:
            reason = f"{one.reason.rstrip('.')}. {why}" if one.reason and one.reason != why else why
            self.tell(one, _STATE.SKIPPED, reason.strip() or "It could not start in time.")
        else:
            self.tell(
                one, _STATE.MISSED, f"The agent was off or asleep, or its clock was set on. {why}".strip()
            )

    # -- starting

    def _startable(self, now: datetime) -> list[Occurrence]:
        found = []
        for one in self._journal.open_runs():
            entry = self._entries.get(one.schedule_id)
            if entry is None or entry.schedule is None or entry.zone is None:
                continue
            is_its_turn = one.state in (_STATE.WAITING, _STATE.POSTPONED) and one.planned_at <= now
            if (
                is_its_turn
                and not self._lacks_person(one, entry.schedule)
                and is_open(entry.schedule.hours, entry.zone, now)
            ):
                found.append((-entry.schedule.priority, one.planned_at, one.schedule_id, one))
        return [one for *_, one in sorted(found, key=lambda entry: entry[:3])]


def task_of(schedule: Schedule, until: datetime) -> OperatorTask:
    """Return what a person is asked to do."""
    place = (
        f"place {schedule.slot} of {schedule.n_slots} of the holder" if schedule.n_slots > 1 else "the holder"
    )
    steps = (
        f"Put the slide '{schedule.slide}' into {place}, cover glass towards the objective.",
        "Choose the objective by hand if it is changed by hand; give it its immersion.",
        "Focus on the slide, and leave its middle over the objective.",
        "Close the door or the hood, leave the room dark, and confirm.",
    )
    return OperatorTask(
        slide=schedule.slide, slot=schedule.slot, n_slots=schedule.n_slots, steps=steps, until=until
    )
