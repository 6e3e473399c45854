"""Who used an instrument, when and for what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class SessionFacts(NamedTuple):
    """What a record tells of one session of use; `ended_at` is `began_at` plus its duration, whatever the wall clock did."""

    session_id: UUID
    began_at: datetime
    ended_at: datetime
    person: str | None
    person_how: str
    acquiring_s: float
    live_s: float
    shutter_open_s: float | None
    n_acquisitions: int
    n_frames: int


class PlannedRunFacts(NamedTuple):
    """What a record tells of a planned run that had the hardware."""

    run_id: UUID
    began_at: datetime
    ended_at: datetime
    routine: str
    state: str
    qc_run_id: UUID | None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of use. `person` is as the agent published it: a name, a hash of 64 digits, or None."""

    instrument_id: str
    began_at: datetime
    ended_at: datetime
    person: str | None
    person_how: str
    acquiring_s: float
    live_s: float
    shutter_open_s: float | None
    n_acquisitions: int
    n_frames: int


@dataclass(frozen=True, slots=True)
class AcquisitionTime:
    """When an acquisition that has ended had the instrument, and what it made; `is_qc` when quality control measured it."""

    instrument_id: str
    began_at: datetime
    ended_at: datetime
    n_frames: int | None
    n_files: int | None
    size_bytes: int | None
    is_qc: int


@dataclass(frozen=True, slots=True)
class PlannedRunRow:
    """When a planned run of quality control had the hardware, and how it ended."""

    instrument_id: str
    began_at: datetime
    ended_at: datetime
    routine: str
    state: str


class Use(NamedTuple):
    """What an instrument did in some time: seconds in each mode (no moment in two), and what it made."""

    first_at: datetime | None
    """The first moment of it in which the instrument was used."""
    acquiring_s: float
    manual_s: float
    qc_s: float
    n_acquisitions: int
    n_datasets: int
    n_frames: int
    n_bytes: int


class PersonsUse(NamedTuple):
    """What a person did in some time; sessions, acquisitions and frames count when the session began in it."""

    person: str | None
    person_how: str
    seconds: float
    n_sessions: int
    n_acquisitions: int
    n_frames: int


class UsageDay(NamedTuple):
    """A day of an instrument by the site's calendar, ``2026-05-04``; as day '' all time before the first."""

    day: str
    since_at: datetime
    until_at: datetime
    last_at: datetime
    """When the last of what began by then ended."""
    use: Use
    people: tuple[PersonsUse, ...] = ()


class RolledUp(NamedTuple):
    """From when to when the days of an instrument are rolled up; before the first there was nothing."""

    instrument_id: str
    first_day: str
    last_day: str
    until_at: datetime
    last_at: datetime | None
    """When the last of what began by the last day ended; None when that day is spoiled."""
