"""What became of planned quality control: one record for every step of an occurrence, the last of which is its end."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from agent.records._base import Frozen, Record, UtcTime
from agent.records._qc import QcStatus

ScheduleSource = Literal["file", "collector"]


class ScheduleState(StrEnum):
    """How far an occurrence has come. The last five are ends."""

    WAITING = "waiting"
    WAITING_FOR_PERSON = "waiting_for_person"
    POSTPONED = "postponed"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    MISSED = "missed"
    ABORTED_BY_USER = "aborted_by_user"

    @property
    def is_end(self) -> bool:
        """Whether nothing more comes of it."""
        return self in _ENDS


_ENDS = frozenset(
    {
        ScheduleState.DONE,
        ScheduleState.FAILED,
        ScheduleState.SKIPPED,
        ScheduleState.MISSED,
        ScheduleState.ABORTED_BY_USER,
    }
)


class OperatorTask(Frozen):
    """What a person is to put where before a routine can go on."""

    slide: str = Field(description="What is to lie on the stage.")
    slot: int = Field(default=1, ge=1, description="Which place of the holder, from the left.")
    n_slots: int = Field(default=1, ge=1, le=8, description="Places the holder has.")
    steps: tuple[str, ...] = Field(default=(), description="What to do, in order.")
    until: UtcTime = Field(description="It is wanted until then.")


class ScheduleRun(Record):
    """One step of one planned occurrence of a routine."""

    kind: Literal["schedule_run"] = "schedule_run"
    run_id: UUID = Field(description="Names the occurrence; the same in all its steps.")
    schedule_id: str = Field(description="The schedule that planned it.")
    source: ScheduleSource = Field(description="file: of this PC; collector: written there.")
    routine: str = Field(description="Name of the routine.")
    planned_at: UtcTime = Field(description="When it was planned to start.")
    zone: str = Field(description="Time zone of the schedule (IANA).")
    state: ScheduleState = Field(
        description="waiting, waiting_for_person, postponed, running; or its end: done, failed, skipped, missed, "
        "aborted_by_user."
    )
    reason: str = Field(default="", description="Why it is so, in words.")
    guards: dict[str, str] = Field(
        default_factory=dict, description="What stands in the way: guard to its words."
    )
    task: OperatorTask | None = Field(default=None, description="What a person is asked to do.")
    started_at: UtcTime | None = Field(default=None, description="When the routine was started.")
    ended_at: UtcTime | None = Field(default=None, description="When the hardware was given back.")
    qc_run_id: UUID | None = Field(default=None, description="The result it gave, as in qc_result.")
    qc_status: QcStatus | None = Field(default=None, description="Verdict of that result.")
    confirmed_by: str | None = Field(default=None, description="Who said that the slide is in place.")
    supersedes: UUID | None = Field(
        default=None,
        description="An end told earlier, under a clock that was wrong, which no longer holds: its record_id.",
    )


class PlannedSchedule(Frozen):
    """A schedule as the agent understands it."""

    schedule_id: str = Field(description="The schedule.")
    source: ScheduleSource = Field(description="file or collector.")
    version: int = Field(default=0, ge=0, description="Version at the collector; 0 for a file.")
    routine: str = Field(description="Name of the routine.")
    rule: str = Field(default="", description="When it runs, in words.")
    zone: str = Field(default="", description="Time zone (IANA).")
    refused: str = Field(default="", description="Why the agent does not run it; empty when it does.")
    next_at: tuple[UtcTime, ...] = Field(default=(), description="The next times it is planned for.")


class Booked(Frozen):
    """The booking calendar has the microscope taken; by whom and what for is not told."""

    start: UtcTime = Field(description="From.")
    end: UtcTime = Field(description="Until.")


class SchedulePlan(Record):
    """The schedules an agent goes by, told when they or the bookings change and once a day."""

    kind: Literal["schedule_plan"] = "schedule_plan"
    schedules: tuple[PlannedSchedule, ...] = Field(description="All of them.")
    problem: str = Field(default="", description="What is wrong with the schedules as a whole.")
    booked: tuple[Booked, ...] = Field(
        default=(), description="When the booking calendar has the microscope taken, up to booked_until."
    )
    booked_until: UtcTime | None = Field(
        default=None, description="As far as bookings are told; absent without a calendar that could be read."
    )
