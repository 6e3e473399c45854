"""The loop: look at the clock, the schedules and the guards; run what is due; tell of everything.

One thread does all of it, a run included, so that no two runs ever meet. Whatever is decided is in the journal before it
is done, and told from there.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from agent.due_dates import due_between
from agent.errors import SpoolError
from agent.local import Local
from agent.outbox.disk import move_file, remove_file
from agent.pulse import Pulse
from agent.quality.restore import Hardware
from agent.quality.schedule.attempt import RESTORE_PATH, End, put_back, run_once
from agent.quality.schedule.book import Book, Entry, read_book
from agent.quality.schedule.confirmed import take_confirmed
from agent.quality.schedule.fetch import Fetcher
from agent.quality.schedule.guards import PERSON_GUARDS, Interlock, Plan
from agent.quality.schedule.journal import Journal, Occurrence
from agent.quality.schedule.limits import Bounds
from agent.quality.schedule.person import STOP_FILE, PersonWatch
from agent.quality.schedule.plan import Bookings, PlanTeller
from agent.quality.schedule.planner import Planner
from agent.records import (
    Objective,
    ScheduleState,
    Severity,
)
from agent.settings import ScheduleSettings
from agent.supervise import shielded

LOOK_S = 10.0
LATE_S = 35.0
_ORDER_S = 180.0  # the longest a single order of a run may take
_FETCH_S = 90.0  # a request to the collector, with the time-outs that are set by default
_OVERTIME_S = 900.0  # putting everything back, and telling
NOW_FILE = "now.json"
FOLDER = "schedule"
Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")
_log = logging.getLogger("scopestamp.schedule")


class Report(Protocol):
    """Takes what is to be said, in the log and as a record."""

    def __call__(self, severity: Severity, event: str, message: str, **details: Any) -> None:
        """Say it."""


@dataclass(frozen=True)
class Parts:
    """What a scheduler works with; tests put in their own.

    Attributes
    ----------
    settings : ScheduleSettings
        The [schedule] section.
    local : Local
        Clock, mint, outbox and data folder.
    interlock : Interlock
        The guards.
    watch : callable
        Makes the watch over one run from the minutes it may take.
    report : Report
        Takes events.
    monotonic_s : callable
        A clock that does not jump.
    hardware : Hardware or None
        The daemon's; None when it owns none.
    fetcher : Fetcher or None
        Of the collector's schedules; None without a collector.
    objectives : callable
        Returns those of the profile.
    bookings : callable
        Asks the booking calendar; says that it cannot be told where there is none.
    """

    settings: ScheduleSettings
    local: Local
    interlock: Interlock
    watch: Callable[[float], PersonWatch]
    report: Report
    monotonic_s: Callable[[], float]
    hardware: Hardware | None = None
    fetcher: Fetcher | None = None
    objectives: Callable[[], tuple[Objective, ...]] = tuple
    bookings: Bookings = lambda since, until: None

    @property
    def folder(self) -> Path:
        """The scheduler's own folder."""
        return self.local.data_dir / FOLDER


class Scheduler:
    """Runs what is scheduled.

    Parameters
    ----------
    parts : Parts
        What it works with.

    Raises
    ------
    SpoolError
        The journal cannot be opened.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._journal = Journal(parts.folder)
        self._planner = Planner(self._journal, parts.local.mint)
        self._plan_teller = PlanTeller(parts.local, parts.monotonic_s, parts.bookings)
        self.pulse = Pulse()
        self._shown: dict[str, Any] = {}
        if self._journal.was_damaged:
            parts.report(
                Severity.ERROR,
                "schedule_journal_damaged",
                f"{self._journal.path} could not be read and was set aside as .bad; what was planned before now is "
                "not known any more.",
            )

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop` is set."""
        while not stop.is_set():
            self.pulse.beat(LATE_S)
            self.look()
            self.pulse.beat(LOOK_S + LATE_S)
            stop.wait(LOOK_S)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def look(self) -> Occurrence | None:
        """Do what is to be done now; return the occurrence that was run, if one was."""
        parts, now = self._parts, self._parts.local.clock.wall_at()
        if parts.fetcher is not None:
            self.pulse.beat(_FETCH_S + LATE_S)
            parts.fetcher.fetch_if_due()
            self.pulse.beat(LATE_S)
        book = read_book(parts.settings, parts.folder)
        entries = book.accepted
        self._planner.recover(entries)
        self._put_back_left_over(now)
        self._plan_teller.tell(book, now)
        self._take_confirmations(book)
        due = self._planner.look(now, entries)
        ready = self._first_ready(due, entries, now)
        self._begin_to_count(entries, now)
        self._tell()
        if ready is not None:
            self._run(ready, entries[ready.schedule_id])
            self._tell()
        return ready

    # -- before a run

    def _first_ready(
        self, due: list[Occurrence], entries: Mapping[str, Entry], now: datetime
    ) -> Occurrence | None:
        """Return the most urgent occurrence that may start; note of the others why they may not."""
        ready, standing = None, {}
        for one in due:
            plan = _plan_of(entries[one.schedule_id], now)
            guards = self._parts.interlock.why_not(plan)
            standing[one.schedule_id] = guards
            if not guards and ready is None:
                ready = one
            elif guards and plan.schedule.on_person == "skip" and guards.keys() & PERSON_GUARDS:
                self._planner.tell(one, ScheduleState.SKIPPED, " ".join(guards.values()), guards=guards)
            elif guards:
                self._planner.hindered(one, guards)
        self._show(now, guards=standing, running=None)
        return ready

    def _begin_to_count(self, entries: Mapping[str, Entry], now: datetime) -> None:
        """Ask the guards already before something is due, so that it starts in time when all is quiet."""
        for entry in entries.values():
            plan = _plan_of(entry, now)
            assert entry.zone is not None  # accepted
            ahead = timedelta(minutes=plan.schedule.quiet_min) + timedelta(seconds=2 * LOOK_S)
            if due_between(plan.schedule, entry.zone, now, now + ahead, 1):
                self._parts.interlock.why_not(plan)

    def _take_confirmations(self, book: Book) -> None:
        told = {one.run_id: one.by for one in book.confirmations} | take_confirmed(self._parts.folder)
        for run_id, by in told.items():
            one = self._journal.find(run_id)
            if one is not None and one.state is ScheduleState.WAITING_FOR_PERSON:
                self._planner.confirm(one, by)

    def _put_back_left_over(self, now: datetime) -> None:
        """Put back what a run left that was cut off, as soon as the hardware is up and nobody uses it."""
        parts = self._parts
        path = parts.local.data_dir / RESTORE_PATH
        if parts.hardware is None or not path.is_file() or parts.interlock.is_in_use(now):
            return
        self.pulse.beat(_OVERTIME_S + LATE_S)
        problems = put_back(parts.hardware, parts.local.data_dir)
        self.pulse.beat(LATE_S)
        if problems:
            _log.warning("Not everything could be put back yet: %s", " ".join(problems))
            return
        parts.report(
            Severity.WARNING,
            "qc_put_back",
            "A quality-control run had been cut off; the hardware was put back to where it was before.",
        )

    # -- the run

    def _run(self, one: Occurrence, entry: Entry) -> None:
        parts, schedule = self._parts, entry.schedule
        assert schedule is not None and parts.hardware is not None  # the hardware guard stands before this
        self.pulse.beat(_ORDER_S + LATE_S)
        hardware, started_at = parts.hardware, parts.local.clock.wall_at()
        banner = (
            f"Quality control is running: {schedule.routine}, until about "
            f"{_local(started_at + timedelta(minutes=schedule.max_duration_min), entry)}. Use the microscope and it "
            "stops at once, or type: scopestamp schedule stop"
        )
        remove_file(parts.folder / STOP_FILE)
        one = self._planner.tell(one, ScheduleState.RUNNING, "", started_at=started_at)
        self._tell()
        self._show(started_at, guards={}, running=str(one.run_id), banner=banner)
        watch = parts.watch(schedule.max_duration_min)
        end = shielded(
            lambda: run_once(
                schedule,
                hardware,
                parts.local,
                Bounds.of(schedule, parts.settings),
                parts.objectives(),
                self._beating(watch.why_stop, _ORDER_S),
                _log.info,
                self._beating(lambda: watch.by_hand, _OVERTIME_S),  # asked before everything is put back
                self._beating(watch.is_ending, _ORDER_S),
            ),
            f"the scheduled run of {schedule.routine}",
        ) or End(ScheduleState.FAILED, "It failed inside; the agent's log says how.")
        self._end(one, entry, end, started_at)

    def _beating(self, ask: Callable[Asked, Answer], next_s: float) -> Callable[Asked, Answer]:
        """Have every question that a run asks be a sign of life."""

        def asked(*args: Asked.args, **named: Asked.kwargs) -> Answer:
            self.pulse.beat(next_s + LATE_S)
            return ask(*args, **named)

        return asked

    def _end(self, one: Occurrence, entry: Entry, end: End, started_at: datetime) -> None:
        ended_at = self._parts.local.clock.wall_at()
        self._planner.tell(
            one,
            end.state,
            end.reason,
            started_at=started_at,
            ended_at=ended_at,
            qc_run_id=end.qc_run_id,
            qc_status=end.qc_status,
        )
        self._parts.interlock.forget()
        remove_file(self._parts.folder / STOP_FILE)
        banner = f"Quality control ({one.schedule_id}) ended at {_local(ended_at, entry)}: {end.reason}"
        self._show(ended_at, guards={}, running=None, banner=banner)
        if end.state is ScheduleState.ABORTED_BY_USER:
            self._parts.report(Severity.WARNING, "qc_stopped_for_person", banner)

    # -- telling

    def _tell(self) -> None:
        """Put what was decided into the outbox; what does not go now goes at a later look."""
        try:
            for position, record in self._journal.untold():
                self._parts.local.outbox.put(record)
                self._journal.told(position)
        except SpoolError as error:
            _log.error("What became of schedules cannot be recorded now: %s", error)

    def _show(self, now: datetime, **said: Any) -> None:
        """Leave word for programs at this PC; a hint that need not outlive a power cut."""
        self._shown = {**self._shown, **said}
        path = self._parts.folder / NOW_FILE
        new = path.with_name(path.name + ".new")
        try:
            new.write_text(json.dumps({"at": now.isoformat(), **self._shown}), "utf-8")
            move_file(new, path)
        except OSError as error:
            _log.warning("%s cannot be written (%s).", path, error)


def _plan_of(entry: Entry, now: datetime) -> Plan:
    assert entry.schedule is not None  # accepted
    return Plan(entry.schedule, now, now + timedelta(minutes=entry.schedule.max_duration_min))


def _local(at: datetime, entry: Entry) -> str:
    return f"{at.astimezone(entry.zone):%H:%M}"
