"""One conformance run, from settings to report."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from agent.conformance.choice import Permission
from agent.conformance.coverage import coverage_of, profile_from
from agent.conformance.exercise import Pace, exercise
from agent.conformance.findings import Report
from agent.conformance.judge import judge
from agent.conformance.offer import offer_of
from agent.conformance.process import bench
from agent.errors import HardwareError
from agent.records import Profile
from agent.settings import AgentSettings


def run_conformance(
    settings: AgentSettings,
    profile: Profile | None = None,
    may: Permission | None = None,
    pace: Pace | None = None,
) -> Report:
    """Exercise the configured hardware in a process of its own and return what was found.

    Parameters
    ----------
    settings : AgentSettings
        Their section ``hardware`` says what to load.
    profile : Profile, optional
        The instrument's profile; what the configuration alone tells when omitted.
    may : Permission, optional
        Whether stages' settings, turrets and light sources may be worked; not when omitted.
    pace : Pace, optional
        Deadlines.

    Raises
    ------
    HardwareError
        No hardware is configured, or it does not load.
    """
    if not settings.hardware.config_file:
        raise HardwareError("No hardware is configured. Give --cfg FILE.cfg, or set hardware.config_file.")
    started_at, begun = datetime.now(UTC), time.monotonic()
    with bench(settings) as opened:
        seen = exercise(opened, may or Permission(), pace or Pace())
    offers = tuple(offer for offer in map(offer_of, seen.description["devices"]) if offer)
    coverage, filled, gaps = coverage_of(profile or profile_from(seen.description))
    return Report(
        configuration=settings.hardware.config_file,
        started_at=started_at.isoformat(timespec="seconds"),
        duration_s=round(time.monotonic() - begun, 1),
        software=seen.description["software"],
        offers=offers,
        reads=tuple(seen.reads),
        trials=tuple(seen.trials),
        presets=tuple(seen.presets),
        moves=tuple(seen.moves),
        left_alone=tuple(seen.left_alone),
        coverage=coverage,
        filled=filled,
        gaps=gaps,
        findings=judge(seen, offers),
    )
