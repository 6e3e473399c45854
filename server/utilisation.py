"""What instruments were used for in a period: every hour of it in exactly one mode.

At each moment an instrument is in the first of these modes that holds: quality control, acquiring, live or manual use (a
session in which it neither acquires nor measures itself), otherwise idle. The logbook tells of maintenance how long
it took on which day, not when, so it is taken from that day's idle hours, and what does not fit into them counts as
effort alone. Idle also holds hours in which nothing is known, such as with the agent switched off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from server.errors import RefusedError
from server.intervals import Span, Spans, length, minus, union, within
from server.logbook import MOST_NOTES, Maintenance, Signed, notes
from server.periods import Period
from server.store.base import Reads
from server.store.rows import AcquisitionTime, Instrument, PlannedRunRow, SessionRow

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
    ids = [one.instrument_id for one in among]
    until = max(period.since, min(period.until, now))
    sessions = _by_instrument(reads.usage_sessions(period.since, until, ids))
    acquired = _by_instrument(reads.acquisition_times(period.since, until, ids))
    planned = _by_instrument(reads.planned_runs(period.since, until, ids))
    maintained = maintenance_by_day(reads, period, set(ids))
    months: list[MonthOfUse] = []
    for one in among:
        of = one.instrument_id
        modes = _modes(sessions[of], acquired[of], planned[of])
        seen = [spans[0][0] for spans in modes.values() if spans]
        whole = (min([one.added_at.timestamp(), *seen]), until.timestamp())
        for month in period.months():
            hours = _hours(modes, month, whole, maintained.get(of, {}))
            months.append(MonthOfUse(one, month, hours))
    ours = {of: [one for one in rows if not one.is_qc] for of, rows in acquired.items()}
    return Utilisation(
        period=period,
        instruments=tuple(among),
        months=tuple(months),
        people=tuple(_people(sessions, period.since.timestamp(), until.timestamp())),
        made={of: _made(ours.get(of, ()), period) for of in ids},
        served={of: frozenset(s.person for s in sessions[of] if s.person) for of in ids},
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


def _by_instrument(rows: Iterable[SessionRow | AcquisitionTime | PlannedRunRow]) -> dict[str, list]:
    found: dict[str, list] = defaultdict(list)
    for row in rows:
        found[row.instrument_id].append(row)
    return found


def _span(row: SessionRow | AcquisitionTime | PlannedRunRow) -> Span:
    return row.began_at.timestamp(), row.ended_at.timestamp()


def _modes(
    sessions: Sequence[SessionRow], acquired: Sequence[AcquisitionTime], planned: Sequence[PlannedRunRow]
) -> dict[str, list[Span]]:
    """Return the moments in each mode that is observed; no moment is in two of them."""
    qc = union([*map(_span, planned), *(_span(one) for one in acquired if one.is_qc)])
    acquiring = minus(union(_span(one) for one in acquired if not one.is_qc), qc)
    manual = minus(union(map(_span, sessions)), union([*qc, *acquiring]))
    return {"qc": qc, "acquiring": acquiring, "manual": manual}


def _hours(modes: Mapping[str, Spans], month: Period, whole: Span, maintained: Mapping[date, float]) -> Hours:
    begin = max(month.since.timestamp(), whole[0])
    end = min(month.until.timestamp(), whole[1])
    told_s = sum(seconds for day, seconds in maintained.items() if month.first <= day <= month.last)
    if end <= begin:
        return Hours(maintenance_told_s=told_s)
    busy = {mode: within(spans, begin, end) for mode, spans in modes.items()}
    idle = minus([(begin, end)], union(span for spans in busy.values() for span in spans))
    maintenance_s = sum(_fitting(idle, Period(day, day, month.zone), seconds)
                        for day, seconds in maintained.items() if month.first <= day <= month.last)  # fmt: skip
    return Hours(
        acquiring_s=length(busy["acquiring"]),
        manual_s=length(busy["manual"]),
        qc_s=length(busy["qc"]),
        maintenance_s=maintenance_s,
        idle_s=length(idle) - maintenance_s,
        maintenance_told_s=told_s,
    )


def _fitting(idle: Spans, day: Period, seconds: float) -> float:
    return min(seconds, length(within(idle, day.since.timestamp(), day.until.timestamp())))


def _people(sessions: Mapping[str, list[SessionRow]], begin: float, end: float) -> list[PersonUse]:
    """Return who used what; where sessions of two people overlap, the hours are those of who began first."""
    found: dict[tuple[str | None, str], PersonUse] = {}
    for of, rows in sessions.items():
        claimed: list[Span] = []
        for row in rows:
            own = within(minus([_span(row)], claimed), begin, end)
            claimed = union([*claimed[-1:], _span(row)])  # they come in order: what lies before cannot matter
            person = found.setdefault((row.person, row.person_how), PersonUse(row.person, row.person_how))
            person.seconds += length(own)
            person.n_sessions += 1
            person.n_acquisitions += row.n_acquisitions
            person.n_frames += row.n_frames
            person.instruments.add(of)
    return sorted(found.values(), key=lambda one: (-one.seconds, one.person or ""))


def _made(rows: Sequence[AcquisitionTime], period: Period) -> Made:
    """Return what the acquisitions that began in the period made: each counts once, in the period it began in."""
    mine = [row for row in rows if period.since <= row.began_at < period.until]
    return Made(
        n_acquisitions=len(mine),
        n_datasets=sum(row.n_files or 0 for row in mine),
        n_frames=sum(row.n_frames or 0 for row in mine),
        n_bytes=sum(row.size_bytes or 0 for row in mine),
    )
