"""The settings, as the capture wants them."""

from __future__ import annotations

from datetime import datetime

from agent.capture.close import Stamping
from agent.capture.instrument import Profile
from agent.capture.worker import CaptureOptions
from agent.records import Quantity, Source
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
        stamping=Stamping(
            beside=section.write_sidecar, inside=section.stamp_inside, hash_files=section.hash_files
        ),
        left_alone=left_alone,
    )


def profile_of(settings: InstrumentSettings, now: datetime) -> Profile:
    """Return the [instrument] section as stated quantities."""
    return Profile(
        nameplate={
            name: Quantity(value=text, source=Source.PROFILE, observed_at=now)
            for name, text in settings.nameplate.items()
        },
        devices={
            label: {
                name: Quantity(value=fact.value, unit=fact.unit, source=Source.PROFILE, observed_at=now)
                for name, fact in facts.items()
            }
            for label, facts in settings.devices.items()
        },
    )
