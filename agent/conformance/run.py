"""One conformance run, from settings to report."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from agent.conformance.choice import Permission
from agent.conformance.coverage import exports_of, of_acquisition, of_instrument, profile_from
from agent.conformance.ending import ending_in_order
from agent.conformance.exercise import Pace, Seen, exercise
from agent.conformance.findings import AcquisitionTrial, Report
from agent.conformance.judge import judge
from agent.conformance.offer import offer_of
from agent.conformance.process import bench
from agent.errors import HardwareError
from agent.exports import AcquisitionView, bundle_of, view_of
from agent.records import AcquisitionFinished, FinishReason, Profile, canonical_json, decode
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
    with ending_in_order(), bench(settings) as opened:
        seen = exercise(opened, may or Permission(), pace or Pace())
    offers = tuple(offer for offer in map(offer_of, seen.description["devices"]) if offer)
    stated = profile or profile_from(seen.description)
    standards, exports = of_instrument(stated), ()
    trial = seen.acquisition
    if (view := _view(seen, stated)) is not None and trial is not None:
        standards, exports = standards + of_acquisition(view), exports_of(view)
        trial = _told(trial, view)
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
        coverage=standards.coverage,
        filled=standards.filled,
        gaps=standards.gaps,
        acquisition=trial,
        exports=exports,
        findings=judge(seen, offers, trial),
    )


def _view(seen: Seen, profile: Profile) -> AcquisitionView | None:
    """Return the acquisition that was run, joined to the profile; none when there was none to its end."""
    records = [decode(canonical_json(record)) for record in seen.records]
    if not any(isinstance(record, AcquisitionFinished) for record in records):
        return None
    return view_of(bundle_of(records, profile))


def _told(trial: AcquisitionTrial, view: AcquisitionView) -> AcquisitionTrial:
    finished = view.bundle.finished
    is_complete = finished.reason is FinishReason.COMPLETED
    return replace(
        trial,
        status=trial.status if is_complete else "failed",
        n_frames=finished.frames.seen,
        n_expected=finished.frames.expected,
        channels=tuple(channel.name for channel in view.channels),
        problems=finished.problems,
        error=trial.error if is_complete else f"it ended as {finished.reason.value}",
    )
