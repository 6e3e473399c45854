"""Tells by which schedules this PC goes, what they bring next, and when its calendar has the microscope taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from agent.due_dates import due_between
from agent.errors import SpoolError
from agent.local import Local
from agent.quality.schedule.book import Book, Entry
from agent.quality.schedule.booking import Booking
from agent.records import Booked, PlannedSchedule, SchedulePlan

Bookings = Callable[[datetime, datetime], list[Booking] | None]
"""Returns what is booked from one time to another; None when that cannot be told."""

_FEW, _MANY = 5, 30
_AHEAD = timedelta(days=8)
"""What falls due within it is told, as far as it is not too many; a week's calendar shows it."""
_BOOKED_AHEAD = timedelta(days=15)
_MOST_BOOKED = 200
_FAR = timedelta(days=800)
_TELL_S = 86_400.0
_LOOK_AT_BOOKINGS_S = 600.0
_log = logging.getLogger("scopestamp.schedule")


class PlanTeller:
    """Puts a record into the outbox when schedules or bookings have changed, and once a day.

    Parameters
    ----------
    local : Local
        Mint and outbox.
    monotonic_s : callable
        A clock that does not jump.
    bookings : callable
        Asks the booking calendar.
    """

    def __init__(self, local: Local, monotonic_s: Callable[[], float], bookings: Bookings) -> None:
        self._local, self._monotonic_s, self._bookings = local, monotonic_s, bookings
        self._told: tuple[PlannedSchedule, ...] | None = None
        self._told_s = 0.0
        self._told_booked: SchedulePlan | None = None
        self._looked_s: float | None = None

    def tell(self, book: Book, now: datetime) -> None:
        """Tell what is to be told now, if anything."""
        now_s = self._monotonic_s()
        faces = tuple(_face(one) for one in book.entries)
        if self._told is None and not faces:
            return
        is_due = faces != self._told or now_s - self._told_s >= _TELL_S
        if not is_due and not self._is_booked_otherwise(now, now_s):
            return
        record = self._made(book, now)
        try:
            self._local.outbox.put(record)
        except SpoolError as error:
            _log.error("The plan of schedules cannot be recorded now: %s", error)
            return
        self._told, self._told_s, self._told_booked, self._looked_s = faces, now_s, record, now_s

    def _made(self, book: Book, now: datetime) -> SchedulePlan:
        taken = self._bookings(now, now + _BOOKED_AHEAD)
        return self._local.mint.make(
            SchedulePlan,
            schedules=tuple(planned(one, now) for one in book.entries),
            problem=book.problem,
            booked=tuple(Booked(start=one.start, end=one.end) for one in (taken or ())[:_MOST_BOOKED]),
            booked_until=None if taken is None else now + _BOOKED_AHEAD,
        )

    def _is_booked_otherwise(self, now: datetime, now_s: float) -> bool:
        """Ask the calendar now and then whether what it says of the days that were told is still so."""
        if self._looked_s is not None and now_s - self._looked_s < _LOOK_AT_BOOKINGS_S:
            return False
        self._looked_s = now_s
        told, until = self._told_booked, now + _BOOKED_AHEAD
        if told is None or told.booked_until is None:
            return self._bookings(now, until) is not None
        taken = self._bookings(now, told.booked_until)
        if taken is None:
            return False  # it is away; what was told is the best there is
        return {(one.start, one.end) for one in taken[:_MOST_BOOKED]} != _still_to_come(told.booked, now)


def planned(entry: Entry, now: datetime) -> PlannedSchedule:
    """Return a schedule as it is told: its rule in words, and when it falls due next."""
    schedule, zone, next_at = entry.schedule, entry.zone, ()
    if not entry.refused and schedule is not None and zone is not None and schedule.is_enabled:
        soon = due_between(schedule, zone, now, now + _AHEAD, _MANY)
        next_at = tuple(soon if len(soon) >= _FEW else due_between(schedule, zone, now, now + _FAR, _FEW))
    return _face(entry).model_copy(update={"next_at": next_at})


def _face(entry: Entry) -> PlannedSchedule:
    """Return what of a schedule does not change by itself as time goes on."""
    schedule = entry.schedule
    switched_off = "" if schedule is None or schedule.is_enabled else "It is switched off."
    return PlannedSchedule(
        schedule_id=entry.schedule_id,
        source=entry.source,
        version=entry.version,
        routine=schedule.routine if schedule else "",
        rule=schedule.rule if schedule else "",
        zone=entry.zone.key if entry.zone else "",
        refused=entry.refused or switched_off,
    )


def _still_to_come(booked: Iterable[Booked], now: datetime) -> set[tuple[datetime, datetime]]:
    return {(one.start, one.end) for one in booked if one.end > now}
