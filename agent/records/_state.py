"""The state of an instrument: a snapshot of it, and what changed in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from agent.records._base import Frozen, Instant, Reading, Record


class SystemState(Frozen):
    """Every property of every device at one moment, each with how it was obtained."""

    taken: Instant = Field(description="When reading began.")
    duration_ms: float = Field(description="How long reading took.", ge=0)
    devices: dict[str, dict[str, Reading]] = Field(description="Device label to property name to reading.")
    presets: dict[str, Reading] = Field(
        default_factory=dict,
        description="Configuration group to the preset its devices are in; absent when in none.",
    )
    pixel_size: Reading | None = Field(default=None, description="Size of a pixel in the sample plane, um.")


class SnapshotReason(StrEnum):
    """Why a snapshot was taken."""

    STARTUP = "startup"
    KEY_FRAME = "key_frame"
    CONFIGURATION_LOADED = "configuration_loaded"
    REQUESTED = "requested"


class StateSnapshot(Record):
    """The whole state of the instrument, outside an acquisition."""

    kind: Literal["state_snapshot"] = "state_snapshot"
    reason: SnapshotReason = Field(description="Why it was taken.")
    state: SystemState = Field(description="The state itself.")


class Cause(StrEnum):
    """Who moved a value."""

    COMMANDED = "commanded"
    NOTIFIED = "notified"
    DRIFTED = "drifted"


class Change(Frozen):
    """One property that went from one value to another."""

    device: str = Field(description="Device label.")
    property: str = Field(description="Property name.")
    before: Reading | None = Field(
        default=None, description="The last value known; absent when none was known."
    )
    after: Reading = Field(description="The value now.")
    cause: Cause = Field(
        description="commanded: software set it; notified: the device announced it (by command or by hand); "
        "drifted: found by polling, nobody had commanded or announced it."
    )
    first_at: Instant = Field(description="When the first change since the last report was seen.")
    last_at: Instant = Field(description="When the last one was seen.")
    n_changes: int = Field(default=1, ge=1, description="How many changes this entry sums up.")


class StateChange(Record):
    """An entry of the change log: what changed since the entry before."""

    kind: Literal["state_change"] = "state_change"
    changes: tuple[Change, ...] = Field(min_length=1, description="What changed.")
    acquisition_id: UUID | None = Field(
        default=None, description="The acquisition that was running, if one was."
    )
