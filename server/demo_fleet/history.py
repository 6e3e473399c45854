"""Week by week, what one instrument and its people did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from agent.records import QcResult, decode
from server.demo_fleet.acquired import FULL_WEEKS, MOST_FRAMES, Acquired
from server.demo_fleet.figures import OBJECTIVE, ROUTINES, Figures, temperature_c
from server.demo_fleet.lines import Lines
from server.demo_fleet.planned import (
    NOT_RUN,
    OVERDUE,
    PLANNED_WEEKS,
    RAN,
    TAKES,
    TOLD_BY,
    Ends,
    Occurrence,
    Planned,
)
from server.demo_fleet.script import PEOPLE, Instrument, Span
from server.logbook import Maintenance
from server.store.rows import Entry

_MISSED = 0.04
_ERRORED = 0.02
_TOGGLED = 0.4
_SERVICE_WEEKS = 52
_LAST_DAYS = 14
_DRIFT_EVERY_WEEKS = 2
_HOLDS_FOR = timedelta(weeks=FULL_WEEKS + 4)
_RUNS_HELD = 12


class History:
    """Makes the records of one instrument, in order of time."""

    def __init__(self, instrument: Instrument, span: Span) -> None:
        self.instrument = instrument
        self.lines = Lines(instrument)
        self._span = span
        self.planned = Planned(instrument, self.lines, span)
        self._figures = Figures(instrument, span)
        self._dice: Random = instrument.dice("history")
        self._people = instrument.dice("people").sample(PEOPLE, 4)
        self._temperature_c = temperature_c(instrument, span.week(0))
        self._firmware = "3.12"
        self._acquired = Acquired(instrument, self.lines, span.week(0))
        self._runs: list[QcResult] = []
        """The last of quality control, as far back as it can hold for an acquisition told in full."""

    def weeks(self, first: int, last: int) -> list[bytes]:
        """Return the records of the weeks ``first … last - 1``; what an instrument that fell silent never sent is left out."""
        made = sorted(
            (one for number in range(first, last) for one in self._week(number)), key=lambda one: one[0]
        )
        until = self.is_silent_from or self._span.ends_at
        return [line for at, line in made if at < until]

    def logbook(self) -> list[Entry]:
        """Return what people wrote into the logbook."""
        made = [
            self._note(self._span.week(number) + timedelta(days=4), "service", "Yearly service", 240)
            for number in range(_SERVICE_WEEKS // 3, self._span.n_weeks, _SERVICE_WEEKS)
        ]
        fault = self.instrument.fault
        if fault is not None and fault.kind == "objective_cleaned":
            made.append(
                self._note(fault.at, "cleaning", "60x objective taken out and cleaned", 30, OBJECTIVE)
            )
        return sorted(made, key=lambda entry: entry.at)

    def due(self, since: datetime, until: datetime) -> Iterator[bytes]:
        """Yield what is told of plans after one moment until another."""
        week = self._span.number_of(until)
        for number in (week, week + 1):
            ends = self._ends(number)
            for routine, one in self.planned.of_week(number).items():
                if since < one.asked_at <= until:
                    yield from (line for _, line in self.planned.asks(one))
                known_at = one.planned_at + (TAKES if ends is RAN else TOLD_BY)
                if since < known_at <= until:
                    yield from (line for _, line in self._run(routine, one, ends))
        if since.date() != until.date():
            yield self.planned.plan(until)

    @property
    def is_silent_from(self) -> datetime | None:
        """When it fell silent; None when it did not."""
        fault = self.instrument.fault
        return fault.at if fault is not None and fault.kind == "silent" else None

    @property
    def disk_free_gb(self) -> float:
        """Room on its disk, now."""
        fault = self.instrument.fault
        return 2.5 if fault is not None and fault.kind == "disk_full" else 200.0 + self.instrument.number

    def _week(self, number: int) -> Iterator[tuple[datetime, bytes]]:
        at = self._span.week(number)
        if number == 0:
            yield at, self.lines.description(at, self._firmware)
            yield at, self._acquired.profile(at)
        yield from self._environment(at + timedelta(hours=6))
        yield from self._quality(number)
        if number == self._span.n_weeks - 1:
            yield from self._told_last(number)
        yield from self._use(at + timedelta(days=1, hours=9))
        yield from self._use(at + timedelta(days=3, hours=13))
        yield from self._changed_by_hand(at + timedelta(days=2, hours=16))
        yield from self._fault(at)

    def _told_last(self, number: int) -> Iterator[tuple[datetime, bytes]]:
        """Yield what is told until the end: heartbeats, who is asked for next week's slide, and the plan."""
        until = self.is_silent_from or self._span.ends_at
        for beats in range(_LAST_DAYS * 4, -1, -1):
            moment = self._span.ends_at - timedelta(hours=6 * beats + 0.1)
            yield moment, self.lines.heartbeat(moment, self.disk_free_gb, (_LAST_DAYS * 4 - beats) * 21_600.0)
        for one in self.planned.of_week(number + 1).values():
            yield from self.planned.asks(one)
        told_at = until - timedelta(minutes=5)
        yield told_at, self._acquired.snapshot(told_at)
        yield told_at, self.planned.plan(told_at)

    def _environment(self, at: datetime) -> Iterator[tuple[datetime, bytes]]:
        before = self._temperature_c
        self._temperature_c = round(temperature_c(self.instrument, at) + self._dice.gauss(0, 0.15), 2)
        yield at, self.lines.change("Incubator", "Temperature", before, self._temperature_c, at, "Cel")

    def _quality(self, number: int) -> Iterator[tuple[datetime, bytes]]:
        ends = self._ends(number)
        for routine, one in self.planned.of_week(number).items():
            if number >= self._span.n_weeks - PLANNED_WEEKS:
                yield from self.planned.asks(one)
                yield from self._run(routine, one, ends)
            elif ends is RAN:
                yield self.measured(routine, one.planned_at + TAKES)[:2]
        if ends is RAN and number % _DRIFT_EVERY_WEEKS == 0:
            by_hand = self._span.week(number) + timedelta(days=self.instrument.weekday, hours=17)
            yield self.measured("drift", by_hand)[:2]

    def _ends(self, number: int) -> Ends:
        """Return how the night of quality control of a week ends, the same whenever it is asked for."""
        fault, dice = self.instrument.fault, self.instrument.dice(f"night {number}")
        if fault is not None and fault.kind == "qc_overdue" and self._span.week(number) >= fault.at:
            return OVERDUE
        return dice.choice(NOT_RUN) if dice.random() < _MISSED else RAN

    def _run(self, routine: str, one: Occurrence, ends: Ends) -> Iterator[tuple[datetime, bytes]]:
        """Yield what became of a planned run, its result too."""
        if ends is not RAN:
            yield from self.planned.ends(one, ends)
            return
        at, line, run_id, status = self.measured(routine, one.planned_at + TAKES)
        yield at, line
        yield from self.planned.ends(one, ends, run_id, status)

    def measured(self, routine: str, at: datetime) -> tuple[datetime, bytes, UUID, str]:
        """Return a run of a routine: when, its record, its id and its verdict."""
        drawn = [(one, self._figures.draw(one, at)) for one in ROUTINES[routine]]
        line, run_id, status = self.lines.qc(routine, at, drawn)
        if self._span.ends_at - at < _HOLDS_FOR:
            result = decode(line)
            assert isinstance(result, QcResult)
            self._runs = [*self._runs[-_RUNS_HELD:], result]
        return at, line, run_id, status

    def _use(self, at: datetime) -> Iterator[tuple[datetime, bytes]]:
        person, hours = self._dice.choice(self._people), self._dice.uniform(1, 6)
        minutes, is_ok = self._dice.uniform(10, 50 * hours), self._dice.random() >= _ERRORED
        n_frames, came_at = self._dice.randrange(50, 2000), at + timedelta(minutes=self._dice.randrange(90))
        if self._span.ends_at - at > timedelta(weeks=FULL_WEEKS):
            lines, name = self.lines.acquisition(came_at, minutes, n_frames, person, is_ok)
            yield from ((came_at + timedelta(minutes=minutes), line) for line in lines)
        else:
            n_frames = min(n_frames, MOST_FRAMES)
            interval_s = max(1.0, round(60 * minutes / n_frames))
            told, name = self._acquired.acquisition(came_at, interval_s, n_frames, person, is_ok, self._runs)
            minutes = (told[-1][0] - came_at) / timedelta(minutes=1)
            yield from told
        ended = came_at + timedelta(hours=hours)
        yield ended, self.lines.session(came_at, hours, person, [name], 60 * minutes, n_frames)

    def _changed_by_hand(self, at: datetime) -> Iterator[tuple[datetime, bytes]]:
        if self._dice.random() < _TOGGLED:
            back = at + timedelta(minutes=30)
            yield at, self.lines.change("Objective", "Label", OBJECTIVE, "Plan Fluor 20x", at)
            yield back, self.lines.change("Objective", "Label", "Plan Fluor 20x", OBJECTIVE, back)

    def _fault(self, week: datetime) -> Iterator[tuple[datetime, bytes]]:
        fault = self.instrument.fault
        if fault is None or not week <= fault.at < week + timedelta(weeks=1):
            return
        if fault.kind == "dichroic_swapped":
            line = self.lines.change("Dichroic", "Label", "Quad 405/488/561/640", "Quad (new)", fault.at)
            yield fault.at, line
        if fault.kind == "camera_firmware":
            self._firmware = "4.0"
            yield fault.at, self.lines.description(fault.at, self._firmware)

    def _note(self, at: datetime, work: str, title: str, minutes: int, device: str = "") -> Entry:
        note = Maintenance.model_validate(
            {
                "work": work,
                "day": at.date(),
                "title": title,
                "minutes": minutes,
                "device": device,
                "done_by": "Demo service",
            }
        )
        name = str(self.lines.new_id(at))
        body = json.dumps(note.model_dump(mode="json"))
        return Entry(name, "maintenance", at, "demo", body, self.instrument.instrument_id)
