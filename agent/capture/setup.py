"""The settings, as the capture wants them."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

from agent.capture.close import Stamping
from agent.capture.instrument import Stated
from agent.capture.usage import UsageOptions
from agent.capture.worker import CaptureOptions
from agent.people import person_here
from agent.privacy import Privacy
from agent.profile import load_profile, nameplate_of, publishable, stated_of
from agent.records import Quantity, Scalar, Source
from agent.settings import AgentSettings, InstrumentSettings
from drivers import Key


def options_of(settings: AgentSettings, left_alone: frozenset[Key] = frozenset()) -> CaptureOptions:
    """Return the [capture] section; `left_alone` are readings that hung before and are not tried again."""
    section = settings.capture
    return CaptureOptions(
        queue_size=section.queue_size,
        poll_interval_s=section.poll_interval_s,
        poll_pause_s=section.poll_pause_ms / 1e3,
        key_frame_interval_s=section.key_frame_interval_s,
        ledger_flush_s=section.ledger_flush_s,
        after_deadline_s=settings.hardware.call_deadline_s,
        stall_s=settings.hardware.call_deadline_s,
        stamping=Stamping(
            beside=section.write_sidecar, inside=section.stamp_inside, hash_files=section.hash_files
        ),
        left_alone=left_alone,
        usage=partial(usage_options, settings) if settings.usage.enabled else None,
    )


def usage_options(settings: AgentSettings, data_dir: Path) -> UsageOptions:
    """Return the [usage] and [privacy] sections.

    Raises
    ------
    SettingsError
        The secret for hashed names cannot be used.
    """
    return UsageOptions(settings.usage.idle_gap_s, Privacy.of(settings.privacy, data_dir), person_here)


def stated_by(settings: InstrumentSettings, now: datetime) -> Stated:
    """Return what the facility states: the [instrument] section, and before it the profile it names.

    People who have not consented are left out here, before anything is published.

    Raises
    ------
    ProfileError
        The profile cannot be read; the message names line and key.
    """
    profile = publishable(load_profile(Path(settings.profile_file))) if settings.profile_file else None
    nameplate = {name: _stated(text, None, now) for name, text in settings.nameplate.items()}
    devices = {
        label: {name: _stated(fact.value, fact.unit, now) for name, fact in facts.items()}
        for label, facts in settings.devices.items()
    }
    if profile is None:
        return Stated(nameplate, devices)
    for label, facts in stated_of(profile, now).items():
        devices[label] = {**devices.get(label, {}), **facts}
    return Stated({**nameplate, **nameplate_of(profile, now)}, devices, profile)


def _stated(value: Scalar, unit: str | None, now: datetime) -> Quantity:
    return Quantity(value=value, unit=unit, source=Source.PROFILE, observed_at=now)
