"""Schedules of quality control, as staff write them at the collector or in a file of the PC.

An agent asks for those of its instrument with a signed ``GET /v1/schedules`` (with ``If-None-Match``), which is answered
304 or with a `SchedulesReply`. A schedule can only ask for a routine that is installed and allowed on the PC: the
agent decides.
"""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, FiniteFloat, field_validator, model_validator

from agent.records._base import Frozen, Scalar, UtcTime

SCHEDULES_PATH = "/v1/schedules"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"(?:([a-z,-]+) )?([0-2]\d:[0-5]\d)[-–]([0-2]\d:[0-5]\d)")
_CRON_FIELD = re.compile(r"[0-9A-Za-z*,/#-]+")
_NAMED = {"weekdays": "mon-fri", "weekends": "sat-sun", "daily": "mon-sun"}

Option = Scalar | tuple[FiniteFloat, ...]
Minutes = Annotated[float, Field(gt=0, le=60 * 24 * 31)]


class Window(Frozen):
    """Hours of the day in which a run may start; it may reach over midnight, and then belongs to the day it began."""

    days: tuple[int, ...] = Field(description="Days of the week, 0 is Monday.")
    start: time = Field(description="From.")
    end: time = Field(description="Until.")

    @classmethod
    def parse(cls, text: str) -> Window:
        """Return the window in a text.

        >>> Window.parse("weekdays 01:00–05:00").days
        (0, 1, 2, 3, 4)
        """
        found = _WINDOW.fullmatch(text.strip().lower())
        if found is None:
            raise ValueError(
                f"a window such as 'weekdays 01:00-05:00' or 'mon,thu 22:00-04:00'; got {text!r}"
            )
        days, start, end = found.groups()
        try:
            window = cls(
                days=_days(days or "daily"), start=time.fromisoformat(start), end=time.fromisoformat(end)
            )
        except ValueError as error:
            raise ValueError(f"a window such as 'weekdays 01:00-05:00'; got {text!r}: {error}") from error
        if window.start == window.end:
            raise ValueError(f"a window that lasts; {text!r} ends when it begins")
        return window


def _days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in _NAMED.get(text, text).split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{part!r} are no days; wanted are {', '.join(DAYS)}, weekdays, weekends")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update((begin + k) % 7 for k in range((end - begin) % 7 + 1))
    return tuple(sorted(found))


class StartCondition(Frozen):
    """What a property must say before a run may start: a warm lamp, a steady temperature."""

    device: str = Field(min_length=1, description="Device label.")
    property: str = Field(min_length=1, description="Property name.")
    equals: Scalar | None = Field(default=None, description="It must say this.")
    at_least: float | None = Field(default=None, description="Not less than this.")
    at_most: float | None = Field(default=None, description="Not more than this.")
    steady_within: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Largest less smallest value over for_min."
    )
    for_min: float = Field(default=0, ge=0, le=600, description="It must have been so for this long.")

    @model_validator(mode="after")
    def _says_something(self) -> StartCondition:
        if (self.equals, self.at_least, self.at_most, self.steady_within) == (None,) * 4:
            raise ValueError("equals, at_least, at_most or steady_within")
        if self.steady_within is not None and not self.for_min:
            raise ValueError("for_min with steady_within: steady for how long?")
        return self


class RunLimits(Frozen):
    """What a run may ask of the sample and the stages; the PC's own limits hold besides."""

    light_s: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Exposure with light, summed over all frames, s."
    )
    travel_um: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Furthest the stage goes from where it stood, um."
    )
    focus_um: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Furthest the focus goes from where it stood, um."
    )


class Schedule(Frozen):
    """A routine and when it is to be run."""

    schedule_id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Names it; letters, digits, '.', '_', '-'."
    )
    routine: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="As 'scopestamp qc list' names it.")
    is_enabled: bool = Field(default=True, description="False: nothing new is planned.")
    cron: str | None = Field(
        default=None, description="When: minute hour day month weekday, such as '0 3 * * mon'."
    )
    every_days: int | None = Field(
        default=None, ge=1, le=366, description="Instead of cron: every so many days, when the window opens."
    )
    window: str | None = Field(
        default=None, description="Hours in which it may start, such as 'weekdays 01:00-05:00'."
    )
    zone: str = Field(
        default="", max_length=64, description="Time zone (IANA), such as Europe/Zurich; empty: the PC's."
    )
    deadline_min: Minutes = Field(
        default=120.0, description="It is due from the planned time until so much later."
    )
    missed: Literal["once", "skip", "all"] = Field(
        default="once",
        description="If it could not start until then: once, as soon as possible and until the next is due; skip; all, "
        "each of them later.",
    )
    priority: int = Field(default=0, ge=-100, le=100, description="The higher goes first.")
    max_duration_min: Annotated[float, Field(gt=0, le=24 * 60)] = Field(
        default=60.0, description="It is ended after this; the calendar must be free for so long."
    )
    on_person: Literal["wait", "skip"] = Field(
        default="wait", description="When someone is at the microscope as it falls due."
    )
    quiet_min: Annotated[float, Field(ge=0, le=24 * 60)] = Field(
        default=15.0, description="Everything must have been quiet for so long."
    )
    slide: str = Field(default="", max_length=200, description="What is to lie on the stage.")
    slot: int = Field(default=1, ge=1, le=8, description="Which place of the slide holder, from the left.")
    n_slots: int = Field(default=1, ge=1, le=8, description="Places of the slide holder.")
    asks_person: bool = Field(default=False, description="Somebody has to put the slide in and confirm it.")
    ask_before_h: Annotated[float, Field(ge=0, le=24 * 7)] = Field(
        default=12.0, description="How long before the planned time the person is asked."
    )
    channels: tuple[str, ...] = Field(default=(), max_length=16, description="Presets of the channel group.")
    options: dict[str, Option] = Field(
        default_factory=dict, max_length=50, description="Facts and arguments of the routine."
    )
    properties: dict[str, Scalar] = Field(
        default_factory=dict, max_length=50, description="'Device-Property' to the value set for the run."
    )
    conditions: tuple[StartCondition, ...] = Field(
        default=(), max_length=20, description="What must be true before it starts."
    )
    limits: RunLimits = Field(default=RunLimits(), description="Light and travel.")

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str | None) -> str | None:
        fields = (cron or "0 0 * * *").split()
        if len(fields) != 5 or not all(_CRON_FIELD.fullmatch(field) for field in fields):
            raise ValueError(f"five fields: minute hour day month weekday; got {cron!r}")
        return cron

    @field_validator("window")
    @classmethod
    def _is_window(cls, window: str | None) -> str | None:
        if window:
            Window.parse(window)
        return window or None

    @model_validator(mode="after")
    def _makes_sense(self) -> Schedule:
        if (self.cron is None) == (self.every_days is None):
            raise ValueError("either cron or every_days")
        if self.every_days is not None and self.window is None:
            raise ValueError("a window with every_days, such as 'daily 01:00-05:00'")
        if self.slot > self.n_slots:
            raise ValueError(f"slot {self.slot} within the {self.n_slots} of the holder")
        if self.asks_person and not self.slide:
            raise ValueError("the slide that a person is asked for")
        if bad := [key for key in self.properties if "-" not in key.strip("-")]:
            raise ValueError(f"properties named 'Device-Property'; got {bad[0]!r}")
        return self

    @property
    def hours(self) -> Window | None:
        """The window, parsed."""
        return Window.parse(self.window) if self.window else None

    @property
    def rule(self) -> str:
        """When it runs, in words.

        >>> Schedule(schedule_id="psf", routine="psf", cron="0 3 * * mon", window="daily 01:00-05:00").rule
        '0 3 * * mon, within daily 01:00-05:00'
        """
        if self.cron is not None:
            return self.cron + (f", within {self.window}" if self.window else "")
        how_often = "every day" if self.every_days == 1 else f"every {self.every_days} days"
        return f"{how_often}, {self.window}"


class StoredSchedule(Frozen):
    """A schedule as the collector keeps it."""

    schedule: Schedule = Field(description="The schedule.")
    version: int = Field(ge=1, description="Raised by every change.")


class Confirmation(Frozen):
    """Somebody says that the slide is in place."""

    run_id: UUID = Field(description="The occurrence, as in its schedule_run records.")
    by: str = Field(max_length=120, description="Who.")
    at: UtcTime = Field(description="When.")


class InvalidRun(Frozen):
    """Somebody at the collector declared a run invalid; it is kept, and counts no more."""

    run_id: UUID = Field(description="The run, as in its qc_result record.")
    reason: str = Field(description="Why.")
    by: str = Field(description="Who.")
    at: UtcTime = Field(description="When.")


class BaselineRun(Frozen):
    """Somebody at the collector chose a run as time zero of its routine and light path."""

    run_id: UUID = Field(description="The run, as in its qc_result record.")
    routine: str = Field(description="Its routine.")
    light_path: dict[str, str] = Field(description="Its light path.")
    by: str = Field(description="Who.")
    at: UtcTime = Field(description="When.")


class SchedulesReply(Frozen):
    """Answer to ``GET /v1/schedules``."""

    schedules: tuple[StoredSchedule, ...] = Field(description="Of the agent's instrument, by id.")
    confirmations: tuple[Confirmation, ...] = Field(
        default=(), description="Tasks confirmed at the collector."
    )
    invalid_runs: tuple[InvalidRun, ...] = Field(
        default=(), description="All runs of the instrument that must not be relied on, by id."
    )
    baselines: tuple[BaselineRun, ...] = Field(
        default=(),
        description="Time zero of each series of the instrument for which people chose one, by id.",
    )
    time: UtcTime = Field(description="The collector's clock; no part of the ETag.")
