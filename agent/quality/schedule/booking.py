"""When a booking calendar says that the microscope is taken.

Reads iCalendar (RFC 5545) with icalendar, and repeats events with dateutil: rules, further dates, excluded dates, single
events that were moved. Times without a zone are the site's. What an event is called or who booked it is never
told. Where the calendar is not clear, it counts as taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from agent.errors import CalendarError
from agent.quality.schedule.feed import Feed, kept_feed, read_feed
from agent.quality.schedule.guards import Plan

_TOO_OFTEN = {"SECONDLY", "MINUTELY"}


@dataclass(frozen=True, slots=True, order=True)
class Booking:
    """The microscope is taken from `start` to `end`, UTC."""

    start: datetime
    end: datetime


def bookings(text: bytes, since: datetime, until: datetime, zone: tzinfo) -> list[Booking]:
    """Return the bookings that reach into a time, in order.

    Raises
    ------
    CalendarError
        It is no calendar, or one of its events cannot be read.
    """
    events = _events(text)
    moved = {
        (str(event.get("UID")), _moment(event["RECURRENCE-ID"].dt, zone))
        for event in events
        if "RECURRENCE-ID" in event
    }
    found = set()
    for event in filter(_takes_time, events):
        try:
            for start, end in _instances(event, since, until, zone):
                is_moved = "RECURRENCE-ID" not in event and (str(event.get("UID")), start) in moved
                if not is_moved and start < until and end > since:
                    found.add(Booking(start, end))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise CalendarError(f"An event of the booking calendar cannot be read ({error}).") from error
    return sorted(found)


def _events(text: bytes) -> list[Any]:
    from icalendar import Calendar  # takes time and memory, and many a site has no calendar

    try:
        calendars = Calendar.from_ical(text, multiple=True)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise CalendarError(f"The booking calendar is no iCalendar ({error}).") from error
    events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    if not calendars or any(calendar.name != "VCALENDAR" for calendar in calendars):
        raise CalendarError("The booking calendar holds no VCALENDAR.")
    if broken := [event for event in events if event.errors or "DTSTART" not in event]:
        told = broken[0].errors or [("DTSTART", "is missing")]
        raise CalendarError(f"An event of the booking calendar cannot be read ({told[0][0]}: {told[0][1]}).")
    return events


def _takes_time(event: Any) -> bool:
    is_cancelled = str(event.get("STATUS", "")).upper() == "CANCELLED"
    return not is_cancelled and str(event.get("TRANSP", "OPAQUE")).upper() != "TRANSPARENT"


def _instances(
    event: Any, since: datetime, until: datetime, zone: tzinfo
) -> Iterator[tuple[datetime, datetime]]:
    """Yield start and end of every instance that may reach into a time."""
    first = event["DTSTART"].dt
    length, is_day = _length(event, first, zone), not isinstance(first, datetime)
    if isinstance(length, datetime):
        length = length - _moment(first, zone)
    local = first.tzinfo if isinstance(first, datetime) and first.tzinfo else zone
    begin = _naive(first, local)

    def at(moment: datetime) -> tuple[datetime, datetime]:
        start = moment.replace(tzinfo=local).astimezone(UTC)
        end = (moment + length).replace(tzinfo=local).astimezone(UTC) if is_day else start + length
        return start, end

    excluded = {_naive(one, local) for one in _dates(event, "EXDATE")}
    starts = {begin, *(_naive(one, local) for one in _dates(event, "RDATE"))}
    if "RRULE" in event and "RECURRENCE-ID" not in event:
        from dateutil.rrule import rrulestr  # as icalendar: only where there is a calendar

        earliest = since.astimezone(local).replace(tzinfo=None) - abs(length) - timedelta(days=1)
        latest = until.astimezone(local).replace(tzinfo=None) + timedelta(days=1)
        for rule in _listed(event["RRULE"]):
            starts |= set(
                rrulestr(_rule_text(rule, local), dtstart=begin).between(earliest, latest, inc=True)
            )
    yield from (at(moment) for moment in sorted(starts - excluded))


def _length(event: Any, first: date | datetime, zone: tzinfo) -> timedelta | datetime:
    if "DURATION" in event:
        return event["DURATION"].dt
    if "DTEND" not in event:
        return timedelta(0) if isinstance(first, datetime) else timedelta(days=1)
    end = event["DTEND"].dt
    if not isinstance(first, datetime) and not isinstance(end, datetime):
        return end - first
    return _moment(end, zone)


def _rule_text(rule: Any, local: tzinfo) -> str:
    """Return a rule whose end, if any, is in the same zone as its beginning."""
    parts = dict(rule)
    if {str(one).upper() for one in _listed(parts.get("FREQ", []))} & _TOO_OFTEN:
        raise ValueError("it repeats every minute or second")
    ends = _listed(parts.pop("UNTIL", []))
    text = ";".join(
        f"{name}={','.join(str(_text(one)) for one in _listed(values))}" for name, values in parts.items()
    )
    if not ends:
        return text
    end = _naive(ends[0], local) if isinstance(ends[0], datetime) else datetime.combine(ends[0], time.max)
    return f"{text};UNTIL={end:%Y%m%dT%H%M%S}"


def _text(value: Any) -> Any:
    return value.to_ical().decode() if hasattr(value, "to_ical") else value


def _dates(event: Any, name: str) -> Iterator[date | datetime]:
    for listed in _listed(event.get(name, [])):
        for one in listed.dts:
            yield one.dt[0] if isinstance(one.dt, tuple) else one.dt


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _naive(moment: date | datetime, local: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    return moment.astimezone(local).replace(tzinfo=None) if moment.tzinfo else moment


def _moment(moment: date | datetime, zone: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


class BookingGuard:
    """The calendar is free until the run will have ended.

    Parameters
    ----------
    place : str
        File or address of the calendar.
    cache : Path
        Where it is kept.
    zone : tzinfo
        Of times without a zone.
    refresh, stale : timedelta
        How often it is read, and from when on it counts as taken.
    margin : timedelta
        Free time wanted after the run.
    read : callable, optional
        Reads it; tests pass their own.
    """

    name = "booking"

    def __init__(
        self,
        place: str,
        cache: Path,
        zone: tzinfo,
        *,
        refresh: timedelta,
        stale: timedelta,
        margin: timedelta,
        private_hosts: tuple[str, ...] = (),
        read: Callable[[str, Path, datetime], Feed] | None = None,
    ) -> None:
        self._place, self._cache, self._zone = place, cache, zone
        self._refresh, self._stale, self._margin = refresh, stale, margin
        self._read = read or (
            lambda place, cache, now: read_feed(place, cache, now, private_hosts=private_hosts)
        )
        self._feed = kept_feed(place, cache)
        self._tried_at: datetime | None = None
        self._problem = ""

    def why_not(self, plan: Plan) -> str:
        """Return the booking that is in the way, or why there is no telling."""
        self._look(plan.now)
        age = plan.now - self._feed.read_at if self._feed else None
        if self._feed is None or age is None or not timedelta(0) <= age + timedelta(minutes=1):
            return f"The booking calendar could not be read. {self._problem}".strip()
        if age > self._stale:
            return f"The booking calendar is {age.total_seconds() / 3600:.1f} h old. {self._problem}".strip()
        try:
            taken = bookings(self._feed.text, plan.now, plan.until + self._margin, self._zone)
        except CalendarError as error:
            return str(error)
        if not taken:
            return ""
        start, end = (moment.astimezone(self._zone) for moment in (taken[0].start, taken[0].end))
        return f"Booked from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}."

    def taken(self, now: datetime, until: datetime) -> list[Booking] | None:
        """Return the bookings from now on, as they were read last; None when that cannot be told."""
        self._look(now)
        try:
            return bookings(self._feed.text, now, until, self._zone) if self._feed else None
        except CalendarError:
            return None

    def _look(self, now: datetime) -> None:
        is_due = self._tried_at is None or not timedelta(0) <= now - self._tried_at < self._refresh
        if not is_due:
            return
        self._tried_at = now
        try:
            self._feed, self._problem = self._read(self._place, self._cache, now), ""
        except CalendarError as error:
            self._problem = str(error)
