"""The schedules that hold on this PC: its own file, and the last good ones of the collector.

What the collector asks for is judged here: a routine that is installed and allowed, and no property that staff have not
allowed in the PC's own settings.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from agent.errors import CaptureError, SettingsError
from agent.quality.schedule.dates import check_rule, zone_named
from agent.records import ScheduleSource
from agent.records.schedules import Confirmation, Schedule
from agent.settings import ScheduleSettings

FETCHED_FILE = "collector.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule as this PC takes it.

    Attributes
    ----------
    schedule_id : str
        Names it.
    source : str
        file or collector.
    version : int
        Version at the collector; 0 for the file.
    schedule : Schedule or None
        None when it could not be read.
    zone : ZoneInfo or None
        In which it falls due.
    refused : str
        Why it is not run; empty when it is.
    """

    schedule_id: str
    source: ScheduleSource
    version: int = 0
    schedule: Schedule | None = None
    zone: ZoneInfo | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Book:
    """All schedules, and what was confirmed at the collector."""

    entries: tuple[Entry, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    problem: str = ""

    @property
    def accepted(self) -> dict[str, Entry]:
        """Those that are run, by id."""
        return {
            one.schedule_id: one
            for one in self.entries
            if not one.refused and one.schedule is not None and one.schedule.is_enabled
        }


def read_book(settings: ScheduleSettings, folder: Path) -> Book:
    """Return the schedules as they are on disk now; never raises for what somebody wrote.

    Parameters
    ----------
    settings : ScheduleSettings
        The [schedule] section.
    folder : Path
        The scheduler's folder, with what was fetched last.
    """
    own, problem = _own_entries(settings)
    fetched, confirmations = _fetched_entries(settings, folder / FETCHED_FILE)
    names = {one.schedule_id for one in own}
    return Book(
        tuple([*own, *(one for one in fetched if one.schedule_id not in names)]), confirmations, problem
    )


def _own_entries(settings: ScheduleSettings) -> tuple[list[Entry], str]:
    if not settings.file:
        return [], ""
    try:
        table = tomllib.loads(Path(settings.file).read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return (
            [],
            f"{settings.file} cannot be read ({error}); its schedules are not run until it is mended.",
        )
    listed = table.pop("schedule", [])
    if table or not isinstance(listed, list):
        return (
            [],
            f"{settings.file}: wanted are [[schedule]] tables alone; got {', '.join(table) or listed!r}.",
        )
    return [_entry(one, "file", 0, settings) for one in listed], ""


def _fetched_entries(settings: ScheduleSettings, path: Path) -> tuple[list[Entry], tuple[Confirmation, ...]]:
    if not settings.allow_collector:
        return [], ()
    try:
        held = json.loads(path.read_bytes())["reply"]
        entries = [
            _entry(one["schedule"], "collector", int(one["version"]), settings) for one in held["schedules"]
        ]
        confirmed = tuple(Confirmation.model_validate(one) for one in held.get("confirmations", ()))
    except (OSError, ValueError, LookupError, TypeError):
        return [], ()  # none fetched yet; what is damaged is fetched again
    return entries, confirmed


def _entry(table: Any, source: ScheduleSource, version: int, settings: ScheduleSettings) -> Entry:
    name = str(table.get("schedule_id", "")) if isinstance(table, Mapping) else ""
    try:
        schedule = Schedule.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Entry(name or "?", source, version, refused=f"{where or 'schedule'}: {first['msg']}.")
    try:
        zone = _checked(schedule, source, settings)
    except (SettingsError, CaptureError) as error:
        return Entry(name, source, version, schedule, refused=str(error))
    return Entry(name, source, version, schedule, zone)


def _checked(schedule: Schedule, source: ScheduleSource, settings: ScheduleSettings) -> ZoneInfo:
    """Return the zone of a schedule that may be run here, or raise `SettingsError`."""
    from agent.quality.assess import routine_named
    from agent.quality.stated import check_stated

    if settings.allowed_routines and schedule.routine not in settings.allowed_routines:
        raise SettingsError(
            f"The routine {schedule.routine} is not allowed on this PC ([schedule] allowed_routines)."
        )
    routine = routine_named(schedule.routine)  # refuses what is not installed
    foreign = [key for key in schedule.properties if key not in settings.allowed_properties]
    if source == "collector" and foreign:
        raise SettingsError(
            f"It would set {foreign[0]}, which this PC does not allow ([schedule] allowed_properties)."
        )
    zone = schedule.zone or settings.zone
    if not zone:
        raise SettingsError(
            "No time zone is set. Set [schedule] zone in the PC's settings, or the schedule's."
        )
    found = zone_named(zone)
    check_rule(schedule, found)
    check_stated(routine, schedule.options, schedule.channels)
    return found
