"""What instruments were used for day by day: worked out from sessions, acquisitions and planned runs, and rolled up for later.

A day that is over is rolled up once and read as one row ever after. Whatever is filed later, and touches it, spoils it in the
same transaction (`server.store.using_days.spoil`): it counts as not rolled up, is worked out anew by whoever asks, and rolled
up again by the next round. So what is read is always what the records say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from server.store.base import Job, Reads, Writes
from server.store.rows import (
    AcquisitionTime,
    Instrument,
    PersonsUse,
    PlannedRunRow,
    SessionRow,
    UsageDay,
    Use,
)
from server.store.using import LONGEST
from server.use.intervals import Span, length, minus, union, within
from server.use.periods import Period

AT_ONCE = 62
"""Days of an instrument that are rolled up in one transaction."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = Use(None, 0.0, 0.0, 0.0, 0, 0, 0, 0)
Times = SessionRow | AcquisitionTime | PlannedRunRow


def days_of(
    reads: Reads, ids: Sequence[str], days: Sequence[Period], until: datetime, begun: datetime | None = None
) -> dict[str, list[UsageDay]]:
    """Return what instruments were used for on each of some days in a row, worked out from what was recorded.

    Parameters
    ----------
    ids : sequence of str
        Instruments.
    days : sequence of Period
        One day each, one after the other.
    until : datetime
        Now: what lies beyond is not counted.
    begun : datetime, optional
        Nothing that began earlier is known to reach into the days.
    """
    since, end = days[0].since, max(days[0].since, min(days[-1].until, until))
    sessions = _by_instrument(reads.usage_sessions(since, end, ids, begun))
    acquired = _by_instrument(reads.acquisition_times(since, end, ids, begun))
    planned = _by_instrument(reads.planned_runs(since, end, ids, begun))
    edges = [(day.since.timestamp(), min(day.until, max(until, day.since)).timestamp()) for day in days]
    return {of: _days(days, edges, sessions[of], acquired[of], planned[of]) for of in ids}


def _days(
    days: Sequence[Period],
    edges: Sequence[Span],
    sessions: Sequence[SessionRow],
    acquired: Sequence[AcquisitionTime],
    planned: Sequence[PlannedRunRow],
) -> list[UsageDay]:
    qc = union([*map(_span, planned), *(_span(one) for one in acquired if one.is_qc)])
    acquiring = minus(union(_span(one) for one in acquired if not one.is_qc), qc)
    manual = minus(union(map(_span, sessions)), union([*qc, *acquiring]))
    people = _people(sessions, edges)
    made: list[list[AcquisitionTime]] = [[] for _ in days]
    begins = [begin for begin, _ in edges]
    for one in acquired:
        number = bisect_right(begins, one.began_at.timestamp()) - 1
        if number >= 0 and not one.is_qc:
            made[number].append(one)
    spans = sorted(map(_span, [*sessions, *acquired, *planned]))
    last, at, found = begins[0], 0, []
    for number, (day, (begin, end)) in enumerate(zip(days, edges, strict=True)):
        while at < len(spans) and spans[at][0] < end:
            last, at = max(last, spans[at][1]), at + 1
        busy = [within(mode, begin, end) for mode in (acquiring, manual, qc)]
        first = min((mode[0][0] for mode in busy if mode), default=None)
        use = Use(None if first is None else _time(first), *map(length, busy), *_numbers(made[number]))
        found.append(UsageDay(str(day.first), day.since, day.until, _time(last), use, tuple(people[number])))
    return found


def _people(sessions: Sequence[SessionRow], edges: Sequence[Span]) -> list[list[PersonsUse]]:
    """Return who used it on each day; where sessions of two people overlap, the time is that of who began first."""
    begins = [begin for begin, _ in edges]
    found: list[dict[tuple[str | None, str], PersonsUse]] = [{} for _ in edges]
    claimed: list[Span] = []
    for row in sorted(sessions, key=lambda row: (row.began_at, row.ended_at, row.person or "")):
        span = _span(row)
        own = minus([span], claimed)
        claimed = union([*claimed[-1:], span])  # they come in order: what lies before cannot matter
        began_on = bisect_right(begins, span[0]) - 1
        for number in range(max(began_on, 0), len(edges)):
            begin, end = edges[number]
            if number != began_on and begin >= span[1]:
                break
            counts = (1, row.n_acquisitions, row.n_frames) if number == began_on else (0, 0, 0)
            who = (row.person, row.person_how)
            was = found[number].get(who, PersonsUse(*who, 0.0, 0, 0, 0))
            more = (length(within(own, begin, end)), *counts)
            found[number][who] = PersonsUse(*who, *(a + b for a, b in zip(was[2:], more, strict=True)))
    return [list(day.values()) for day in found]


def _numbers(made: Sequence[AcquisitionTime]) -> tuple[int, int, int, int]:
    """Return what acquisitions made: each counts on the day it began."""
    return (
        len(made),
        sum(one.n_files or 0 for one in made),
        sum(one.n_frames or 0 for one in made),
        sum(one.size_bytes or 0 for one in made),
    )


def _span(row: Times) -> Span:
    """Return when something had the instrument; what lasts longer than can be looked back for ends there."""
    begin = row.began_at.timestamp()
    return begin, min(row.ended_at.timestamp(), begin + LONGEST.total_seconds())


def _time(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def _by_instrument(rows: Iterable[Times]) -> dict[str, list]:
    found: dict[str, list] = defaultdict(list)
    for row in rows:
        found[row.instrument_id].append(row)
    return found


def in_a_row(days: Iterable[str], zone: ZoneInfo) -> list[list[Period]]:
    """Return days as stretches without a gap.

    >>> [len(one) for one in in_a_row(["2026-05-04", "2026-05-01", "2026-04-30"], ZoneInfo("UTC"))]
    [2, 1]
    """
    stretches: list[list[Period]] = []
    for day in sorted(map(date.fromisoformat, set(days))):
        if not stretches or stretches[-1][-1].last + timedelta(days=1) != day:
            stretches.append([])
        stretches[-1].append(Period(day, day, zone))
    return stretches


# Rolling up


def rolling_job(instrument: Instrument, zone: ZoneInfo, now: datetime) -> Job:
    """Return a job that rolls up some of what is to be, and returns how many days that were."""

    def job(writes: Writes) -> int:
        writes.hold()
        days = _to_roll_up(writes, instrument, zone, now)
        if days:
            told = days_of(writes, [instrument.instrument_id], days, days[-1].until)
            writes.put_days(instrument.instrument_id, zone.key, told[instrument.instrument_id])
        return len(days)

    return job


def to_roll_up(reads: Reads, zone: ZoneInfo, now: datetime) -> list[Instrument]:
    """Return the instruments of which some day that is over is not rolled up."""
    yesterday = str(_yesterday(zone, now))
    rolled = {one.instrument_id: one for one in reads.days_rolled_up(zone.key)}
    spoiled = {of for of, _ in reads.days_spoiled("", yesterday)}
    return [
        one
        for one in reads.instruments()
        if one.instrument_id in spoiled
        or (known := rolled.get(one.instrument_id)) is None
        or known.last_day < yesterday
    ]


def _to_roll_up(writes: Writes, instrument: Instrument, zone: ZoneInfo, now: datetime) -> list[Period]:
    of, yesterday = instrument.instrument_id, _yesterday(zone, now)
    rolled = writes.days_rolled_up(zone.key, [of])
    if not rolled:  # never yet, or by another calendar, or something is known from before the first day
        first = min(instrument.added_at, writes.first_use(of) or instrument.added_at).astimezone(zone).date()
        first = min(first, yesterday)
        begin = Period(first, first, zone).since
        writes.forget_days(of)
        writes.put_days(of, zone.key, [UsageDay("", _EPOCH, begin, _EPOCH, _NOTHING)])
    else:
        spoiled = [day for _, day in writes.days_spoiled("0", str(yesterday), [of])]
        if spoiled:
            return in_a_row(spoiled, zone)[0][:AT_ONCE]
        first = date.fromisoformat(rolled[0].last_day) + timedelta(days=1)
    n = min((yesterday - first).days + 1, AT_ONCE)
    return [Period(day, day, zone) for day in (first + timedelta(days=i) for i in range(n))]


def _yesterday(zone: ZoneInfo, now: datetime) -> date:
    return now.astimezone(zone).date() - timedelta(days=1)


def looks_back_to(
    stretch: Sequence[Period], needed: Iterable[tuple[str, datetime] | None]
) -> datetime | None:
    """Return from when on everything is to be read, None for as far back as there may be something.

    `needed` are, for each instrument, the last day rolled up before the stretch and when the last of what began by its end
    ended; None where that is not known.
    """
    before = str(stretch[0].first - timedelta(days=1))
    since = stretch[0].since
    is_known = all(one is not None and one[0] == before and one[1] <= since for one in needed)
    return since if is_known else None
