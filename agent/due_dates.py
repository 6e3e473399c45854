"""When a schedule falls due: a rule in a time zone to moments in UTC.

Agents go by it, and the collector's calendar of what is to come shows the same; it knows the schedules and nothing else of
the agent. The calendar is cronsim's, which does as Debian's cron: a time that the clocks leave out in spring falls due when
they have moved on, a time that comes twice in autumn falls due the first time. The moments are the same wherever one
begins to look, so that a planner may ask for them piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from agent.records.schedules import Schedule, Window

_LOOK_BACK = timedelta(hours=6)
"""A rule is followed from well before, no change of clocks being larger."""
_CRON_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class RuleError(ValueError):
    """A rule that never falls due."""


def occurrences(schedule: Schedule, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the moments after `after` at which a schedule falls due, in UTC and in order, each once.

    Raises
    ------
    RuleError
        It is no cron expression.
    """
    begin = (after - _LOOK_BACK).astimezone(zone)
    last = after.astimezone(UTC)
    for moment in _local_moments(schedule, begin):
        at = moment.astimezone(UTC)
        if at > last:
            last = at
            yield at


def due_between(
    schedule: Schedule, zone: ZoneInfo, after: datetime, until: datetime, most: int
) -> list[datetime]:
    """Return the first moments with ``after < moment <= until``, `most` at most."""
    found = []
    for at in islice(occurrences(schedule, zone, after), most):
        if at > until:
            break
        found.append(at)
    return found


def is_open(window: Window | None, zone: ZoneInfo, at: datetime) -> bool:
    """Return whether a moment lies within a window; without one, every moment does."""
    if window is None:
        return True
    local = at.astimezone(zone)
    clock = local.time().replace(tzinfo=None)
    yesterday = (local.weekday() - 1) % 7
    if window.start < window.end:
        return local.weekday() in window.days and window.start <= clock < window.end
    return (local.weekday() in window.days and clock >= window.start) or (
        yesterday in window.days and clock < window.end
    )


def _local_moments(schedule: Schedule, begin: datetime) -> Iterator[datetime]:
    if schedule.cron is not None:
        yield from _cron(schedule.cron, begin)
        return
    window, every = schedule.hours, schedule.every_days
    assert window is not None and every is not None  # the schedule's own checks
    days = ",".join(_CRON_DAYS[day] for day in window.days)
    for moment in _cron(f"{window.start.minute} {window.start.hour} * * {days}", begin):
        if _is_turn(moment.date(), window, every):
            yield moment


def _is_turn(day: date, window: Window, every_days: int) -> bool:
    """Return whether a multiple of `every_days` lies between the open day before and this one.

    Counted from the beginning of the calendar, so that it does not matter when somebody looks.
    """
    back = next(k for k in range(1, 8) if (day.weekday() - k) % 7 in window.days)
    return day.toordinal() // every_days != (day.toordinal() - back) // every_days


def _cron(expression: str, begin: datetime) -> Iterator[datetime]:
    try:
        yield from CronSim(expression, begin)
    except CronSimError as error:
        raise RuleError(
            f"{expression!r} is no cron expression ({error}). Wanted are minute, hour, day, month and weekday, such as "
            "'0 3 * * mon' for Mondays at three."
        ) from error
