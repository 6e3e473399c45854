"""The time zone and the rule of a schedule, refused in words where they are none."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agent.due_dates import RuleError, occurrences
from agent.errors import SettingsError
from agent.records.schedules import Schedule


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"{name!r} is no time zone. Wanted is a name such as Europe/Zurich, UTC or America/New_York; set it in "
            "[schedule] zone, or in the schedule itself."
        ) from error


def check_rule(schedule: Schedule, zone: ZoneInfo) -> None:
    """Refuse a rule that never falls due.

    Raises
    ------
    SettingsError
        It is no cron expression, or no day matches it.
    """
    try:
        first = next(occurrences(schedule, zone, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except RuleError as error:
        raise SettingsError(str(error)) from error
    if first is None:
        raise SettingsError(f"{schedule.schedule_id}: no day matches {schedule.rule!r}.")
