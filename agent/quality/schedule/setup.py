"""A scheduler on the daemon's real parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from agent.hardware.others import studio_process
from agent.hardware.resources import resources_of_settings
from agent.idle import Idle, input_idle
from agent.local import Local
from agent.profile import load_profile
from agent.quality.history import History
from agent.quality.restore import Hardware
from agent.quality.schedule.booking import BookingGuard
from agent.quality.schedule.conditions import ConditionsGuard
from agent.quality.schedule.dates import zone_named
from agent.quality.schedule.fetch import Ask, Fetcher, unless_ending
from agent.quality.schedule.guards import (
    ActivityGuard,
    Guard,
    HardwareGuard,
    InputGuard,
    Interlock,
    OwnerGuard,
    Status,
    TouchGuard,
)
from agent.quality.schedule.person import PersonWatch
from agent.quality.schedule.scheduler import FOLDER, Parts, Report, Scheduler
from agent.records import Objective
from agent.settings import AgentSettings, HardwareSettings, ScheduleSettings


def scheduler_of(
    settings: AgentSettings,
    local: Local,
    report: Report,
    ends: threading.Event,
    *,
    hardware: Hardware | None,
    status: Callable[[], Status],
    ask: Ask | None,
    others: Callable[[], str] | None = None,
    idle: Callable[[], Idle] = input_idle,
    monotonic_s: Callable[[], float] = time.monotonic,
) -> Scheduler:
    """Return a scheduler.

    Parameters
    ----------
    settings : AgentSettings
        Of the daemon.
    local : Local
        Its share of the data folder.
    report : Report
        Takes its events.
    ends : Event
        Set when the daemon is told to end.
    hardware : Hardware or None
        Passes calls on to the hardware process; None when the daemon owns none.
    status : callable
        The hardware process' last answer to a ping.
    ask : Ask or None
        Asks the collector for schedules.
    others : callable, optional
        Says which other program has the microscope; default: a running Studio.
    idle, monotonic_s : callable
        Input of people, and a clock that does not jump.

    Raises
    ------
    SettingsError
        The time zone of the settings is none.
    SpoolError
        The journal cannot be opened.
    """
    section = settings.schedule
    folder = local.data_dir / FOLDER
    others = others or studio_of(settings.hardware)
    ignores_unknown = section.unknown_input == "ignore"
    guards: list[Guard] = [
        HardwareGuard(status, is_owned=hardware is not None),
        ActivityGuard(status),
        OwnerGuard(others),
        InputGuard(idle, ignores_unknown),
        TouchGuard(status, monotonic_s),
    ]
    calendar = _booking_guard(section, folder) if section.calendar else None
    if calendar is not None:
        guards.append(calendar)
    if hardware is not None:
        guards.append(ConditionsGuard(hardware, monotonic_s))

    def watch(most_min: float) -> PersonWatch:
        return PersonWatch(
            idle, monotonic_s, most_min * 60, folder, ends, others, ignores_unknown=ignores_unknown
        )

    def objectives() -> tuple[Objective, ...]:
        path = settings.instrument.profile_file
        return load_profile(Path(path)).objectives if path else ()

    return Scheduler(
        Parts(
            settings=section,
            local=local,
            interlock=Interlock(tuple(guards), monotonic_s, section.least_quiet_min * 60),
            watch=watch,
            report=report,
            monotonic_s=monotonic_s,
            hardware=hardware,
            fetcher=Fetcher(
                unless_ending(ask, ends),
                folder,
                section.fetch_interval_s,
                monotonic_s,
                History(local.data_dir).heed,
            )
            if ask
            else None,
            objectives=objectives,
            bookings=calendar.taken if calendar is not None else lambda since, until: None,
        )
    )


def studio_of(hardware: HardwareSettings) -> Callable[[], str]:
    """Return what says which Micro-Manager Studio runs beside real hardware of ours; empty: none.

    Whoever asks for a lease finds ours; Studio asks for none.
    """
    if not hardware.look_for_owners or not resources_of_settings(hardware):
        return lambda: ""

    def look() -> str:
        holder = studio_process()
        return f"{holder} wants the microscope." if holder else ""

    return look


def _booking_guard(section: ScheduleSettings, folder: Path) -> BookingGuard:
    return BookingGuard(
        section.calendar,
        folder / "calendar.ics",
        zone_named(section.zone or "UTC"),
        refresh=timedelta(minutes=section.calendar_refresh_min),
        stale=timedelta(minutes=section.calendar_stale_min),
        margin=timedelta(minutes=section.calendar_margin_min),
        private_hosts=section.calendar_hosts,
    )
