"""Periods of whole days by a site's calendar, in a zone whose days may have 23 or 25 hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from server.errors import RefusedError

MOST_DAYS = 3700
_YEARS = range(1990, 2200)


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both within it."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def since(self) -> datetime:
        """Its first moment, UTC."""
        return _midnight(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """The first moment after it, UTC."""
        return _midnight(self.last + timedelta(days=1), self.zone)

    @property
    def text(self) -> str:
        """Its days, as a file name may hold them."""
        return f"{self.first}_{self.last}"

    def months(self) -> Iterator[Period]:
        """Yield the parts of it that lie within one month."""
        first = self.first
        while first <= self.last:
            last = min(_next_month(first) - timedelta(days=1), self.last)
            yield Period(first, last, self.zone)
            first = last + timedelta(days=1)

    def days(self) -> Iterator[Period]:
        """Yield its days."""
        for number in range((self.last - self.first).days + 1):
            day = self.first + timedelta(days=number)
            yield Period(day, day, self.zone)


def period_of(first: date | None, last: date | None, zone: ZoneInfo, now: datetime) -> Period:
    """Return the days asked for; without any, those of the current month so far.

    Raises
    ------
    RefusedError
        400 ``malformed_request`` when they are out of order, or more than ten years, or of no believable year.
    """
    today = now.astimezone(zone).date()
    last = last or (today if first is None or first <= today else first)
    first = first or last.replace(day=1)
    if first > last or (last - first).days > MOST_DAYS or not {first.year, last.year} <= set(_YEARS):
        raise RefusedError(
            400,
            "malformed_request",
            f"Expected a first day not after the last, at most ten years apart; came {first} to {last}.",
        )
    return Period(first, last, zone)


def year_of(year: int, zone: ZoneInfo) -> Period:
    """Return a calendar year."""
    return Period(date(year, 1, 1), date(year, 12, 31), zone)


def usual(zone: ZoneInfo, now: datetime) -> dict[str, Period]:
    """Return the periods that people ask for most: this month, the last one, this year, the last one."""
    today = now.astimezone(zone).date()
    month = today.replace(day=1)
    before = month - timedelta(days=1)
    return {
        "this month": Period(month, today, zone),
        "last month": Period(before.replace(day=1), before, zone),
        "this year": Period(today.replace(month=1, day=1), today, zone),
        "last year": year_of(today.year - 1, zone),
    }


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
