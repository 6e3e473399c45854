"""What instruments were used for in a period: every hour of it in exactly one mode.

At each moment an instrument is in the first of these modes that holds: quality control, acquiring, live or manual use (a
session in which it neither acquires nor measures itself), otherwise idle. The logbook tells of maintenance how long
it took on which day, not when, so it is taken from that day's idle hours, and what does not fit into them counts as
effort alone. Idle also holds hours in which nothing is known, such as with the agent switched off.

Days that are over are read as they were rolled up, the others are worked out: `server.use.days`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from server.errors import RefusedError
from server.logbook import MOST_NOTES, Maintenance, Signed, notes
from server.store.base import Reads
from server.store.rows import Instrument, PersonsUse, RolledUp, UsageDay, Use
from server.use.days import days_of, in_a_row, looks_back_to
from server.use.periods import Period

MOST_PARTS = 60_000
"""Instruments times months that one answer goes through."""

MODES = ("acquiring", "manual", "qc", "maintenance", "idle")


@dataclass(frozen=True, slots=True)
class Hours:
    """Seconds in each mode, and how much effort people wrote down."""

    acquiring_s: float = 0.0
    manual_s: float = 0.0
    qc_s: float = 0.0
    maintenance_s: float = 0.0
    idle_s: float = 0.0
    maintenance_told_s: float = 0.0

    @property
    def all_s(self) -> float:
        """How long it was looked at."""
        return sum(self.of(mode) for mode in MODES)

    @property
    def used_s(self) -> float:
        """Acquiring, live or manual."""
        return self.acquiring_s + self.manual_s

    def of(self, mode: str) -> float:
        """Return the seconds in a mode."""
        return float(getattr(self, f"{mode}_s"))

    def share(self, mode: str) -> float:
        """Return the share of the time in a mode, 0 to 1."""
        return self.of(mode) / self.all_s if self.all_s else 0.0

    def __add__(self, other: Hours) -> Hours:
        return Hours(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class MonthOfUse:
    """One instrument in one month, or in the part of it that was asked for."""

    instrument: Instrument
    month: Period
    hours: Hours


@dataclass(slots=True)
class PersonUse:
    """What one person used; `person` as it was published, None for everybody who is not named."""

    person: str | None
    how: str
    seconds: float = 0.0
    n_sessions: int = 0
    n_acquisitions: int = 0
    n_frames: int = 0
    instruments: set[str] = field(default_factory=set)

    @property
    def pseudonym(self) -> str:
        """What to call the person: the name, or the first digits of its hash; empty without one."""
        return (self.person or "")[:8] if self.how == "hashed" else self.person or ""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of the use of an instrument."""

    n_acquisitions: int = 0
    n_datasets: int = 0
    n_frames: int = 0
    n_bytes: int = 0

    def __add__(self, other: Made) -> Made:
        return Made(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Utilisation:
    """What some instruments were used for in a period."""

    period: Period
    instruments: tuple[Instrument, ...]
    months: tuple[MonthOfUse, ...]
    people: tuple[PersonUse, ...]
    made: Mapping[str, Made]
    served: Mapping[str, frozenset[str]]
    """Instrument to the people who used it, as they were published."""

    def by_instrument(self) -> list[tuple[Instrument, Hours]]:
        """Return the hours of each instrument, the most used first."""
        sums: dict[str, Hours] = defaultdict(Hours)
        for one in self.months:
            sums[one.instrument.instrument_id] += one.hours
        told = [(one, sums[one.instrument_id]) for one in self.instruments]
        return sorted(told, key=lambda pair: (-pair[1].used_s, pair[0].name))

    def by_month(self) -> list[tuple[Period, Hours]]:
        """Return the hours of each month, in their order."""
        sums: dict[date, Hours] = defaultdict(Hours)
        for one in self.months:
            sums[one.month.first] += one.hours
        return [(month, sums[month.first]) for month in self.period.months()]

    def by_group(self, groups: Mapping[str, Iterable[str]]) -> list[tuple[str, Hours]]:
        """Return the hours of groups of instruments; an instrument of two groups counts in both."""
        hours = {one.instrument_id: told for one, told in self.by_instrument()}
        sums = []
        for name, members in groups.items():
            mine = [hours[one] for one in members if one in hours]
            if mine:
                sums.append((name, sum(mine, Hours())))
        return sorted(sums)

    def by_site(self) -> list[tuple[str, Hours]]:
        """Return the hours of each site."""
        sums: dict[str, Hours] = defaultdict(Hours)
        for one in self.months:
            sums[one.instrument.site] += one.hours
        return sorted(sums.items())

    @property
    def total(self) -> Hours:
        """All hours of all instruments."""
        return sum((one.hours for one in self.months), Hours())

    @property
    def all_made(self) -> Made:
        """What came of all of it."""
        return sum(self.made.values(), Made())

    @property
    def n_people(self) -> int:
        """How many people are known to have used any; those not published are not among them."""
        return len(frozenset().union(*self.served.values()))


def utilisation(reads: Reads, period: Period, among: Sequence[Instrument], now: datetime) -> Utilisation:
    """Return what instruments were used for, each from when it was added, or first used if that was before.

    Raises
    ------
    RefusedError
        400 ``too_much`` for more instruments and months than one answer can go through.
    """
    if len(among) * len(list(period.months())) > MOST_PARTS:
        raise RefusedError(
            400, "too_much", "So many months of so many instruments at once take too long; ask for fewer."
        )
    until = max(period.since, min(period.until, now))
    maintained = maintenance_by_day(reads, period, {one.instrument_id for one in among})
    used = _Used(reads, period, [one.instrument_id for one in among], until, maintained)
    months = [
        MonthOfUse(one, month, _hours(used, one, month, until, maintained.get(one.instrument_id, {})))
        for one in among
        for month in period.months()
    ]
    return Utilisation(
        period=period,
        instruments=tuple(among),
        months=tuple(months),
        people=tuple(sorted(used.people.values(), key=lambda one: (-one.seconds, one.person or ""))),
        made=used.made,
        served={of: frozenset(who) for of, who in used.served.items()},
    )


def maintenance_in(reads: Reads, period: Period, among: set[str]) -> Iterator[Signed]:
    """Yield what the logbook tells of maintenance on days of the period, the last written first."""
    before: int | None = None
    while page := notes(reads, None, ("maintenance",), before=before, limit=MOST_NOTES):
        for one in page:
            told = one.note
            is_in = isinstance(told, Maintenance) and period.first <= told.day <= period.last
            if is_in and one.instrument_id in among:
                yield one
        before = page[-1].position


def maintenance_by_day(reads: Reads, period: Period, among: set[str]) -> dict[str, dict[date, float]]:
    """Return how many seconds of maintenance were done, by instrument and day."""
    found: dict[str, dict[date, float]] = {}
    for one in maintenance_in(reads, period, among):
        assert isinstance(one.note, Maintenance)
        days = found.setdefault(one.instrument_id, {})
        days[one.note.day] = days.get(one.note.day, 0.0) + 60.0 * one.note.minutes
    return found


class _Used:
    """What instruments did in a period, added up."""

    def __init__(
        self,
        reads: Reads,
        period: Period,
        ids: Sequence[str],
        until: datetime,
        days_apart: Mapping[str, Mapping[date, float]],
    ) -> None:
        self.busy: dict[tuple[str, str], tuple[float, float, float]] = {}
        """Instrument and month, or one of the `days_apart`, to seconds acquiring, in manual use and in quality control."""
        self.first: dict[str, datetime] = {}
        self.made = dict.fromkeys(ids, Made())
        self.served: dict[str, set[str]] = {of: set() for of in ids}
        self.people: dict[tuple[str | None, str], PersonUse] = {}
        self._reads, self._period, self._ids, self._until = reads, period, ids, until
        self._apart = {(of, str(day)) for of, days in days_apart.items() for day in days}
        rolled = {one.instrument_id: one for one in reads.days_rolled_up(period.zone.key, ids)}
        self._add_rolled_up(list(rolled))
        self._add_others(rolled)

    def _add_rolled_up(self, ids: list[str]) -> None:
        """Add the days that are rolled up."""
        first, last = str(self._period.first), str(self._period.last)
        for of, month, use in self._reads.use_by_month(first, last, ids):
            self._add(of, month, use)
        for of, person in self._reads.use_by_person(first, last, ids):
            self._add_person(of, person)
        for of, day, use in self._reads.use_by_day(sorted({day for _, day in self._apart}), ids):
            self.busy[of, day] = (use.acquiring_s, use.manual_s, use.qc_s)

    def _add_others(self, rolled: Mapping[str, RolledUp]) -> None:
        """Work out the days that are not rolled up, or not any more, and add them."""
        missing = self._missing(rolled)
        for stretch in in_a_row((day for days in missing.values() for day in days), self._period.zone):
            names = {str(day.first) for day in stretch}
            first = {of: min(here) for of, days in missing.items() if (here := days & names)}
            known = (
                (str(date.fromisoformat(day) - timedelta(days=1)), rolled.get(of))
                for of, day in first.items()
            )
            needed = [
                (before, one.last_at)
                if one is not None and one.last_at is not None and one.last_day == before
                else None
                for before, one in known
            ]
            begun = looks_back_to(stretch, needed)
            for of, days in days_of(self._reads, list(first), stretch, self._until, begun).items():
                for day in days:
                    if day.day in missing[of]:
                        self._add_day(of, day)

    def _missing(self, rolled: Mapping[str, RolledUp]) -> dict[str, set[str]]:
        first, last = self._period.first, self._period.last
        last = min(last, self._until.astimezone(self._period.zone).date())
        days = [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]
        ends = {of: rolled[of].last_day if of in rolled else "" for of in self._ids}
        missing = {of: {day for day in days if day > end} for of, end in ends.items()}
        for of, day in self._reads.days_spoiled(str(first), str(last), list(rolled)):
            missing[of].add(day)
        return missing

    def _add_day(self, of: str, day: UsageDay) -> None:
        self._add(of, day.day[:7], day.use)
        if (of, day.day) in self._apart:
            self.busy[of, day.day] = (day.use.acquiring_s, day.use.manual_s, day.use.qc_s)
        for person in day.people:
            self._add_person(of, person)

    def _add(self, of: str, month: str, use: Use) -> None:
        acquiring_s, manual_s, qc_s = self.busy.get((of, month), (0.0, 0.0, 0.0))
        self.busy[of, month] = (
            acquiring_s + use.acquiring_s,
            manual_s + use.manual_s,
            qc_s + use.qc_s,
        )
        self.made[of] += Made(use.n_acquisitions, use.n_datasets, use.n_frames, use.n_bytes)
        if use.first_at is not None:
            self.first[of] = min(use.first_at, self.first.get(of, use.first_at))

    def _add_person(self, of: str, one: PersonsUse) -> None:
        who = (one.person, one.person_how)
        person = self.people.setdefault(who, PersonUse(*who))
        person.seconds += one.seconds
        person.n_sessions += one.n_sessions
        person.n_acquisitions += one.n_acquisitions
        person.n_frames += one.n_frames
        person.instruments.add(of)
        if one.person:
            self.served[of].add(one.person)


def _hours(
    used: _Used, instrument: Instrument, month: Period, until: datetime, maintained: Mapping[date, float]
) -> Hours:
    """Return the hours of an instrument in a month, from when it was added, or first used if that was before."""
    of = instrument.instrument_id
    whole = (min(instrument.added_at, used.first.get(of, instrument.added_at)), until)
    here = {day: seconds for day, seconds in maintained.items() if month.first <= day <= month.last}
    told_s = sum(here.values())
    month_s = _seconds_in(month, whole)
    if month_s <= 0:
        return Hours(maintenance_told_s=told_s)
    acquiring_s, manual_s, qc_s = used.busy.get((of, f"{month.first:%Y-%m}"), (0.0, 0.0, 0.0))
    maintenance_s = 0.0
    for day, seconds in here.items():
        busy_s = sum(used.busy.get((of, str(day)), ()))
        maintenance_s += min(seconds, max(_seconds_in(Period(day, day, month.zone), whole) - busy_s, 0.0))
    idle_s = max(month_s - acquiring_s - manual_s - qc_s - maintenance_s, 0.0)
    return Hours(acquiring_s, manual_s, qc_s, maintenance_s, idle_s, told_s)


def _seconds_in(period: Period, whole: tuple[datetime, datetime]) -> float:
    """Return how much of a period lies between two times, s; negative when nothing does."""
    return (min(period.until, whole[1]) - max(period.since, whole[0])).total_seconds()
