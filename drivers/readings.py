"""What the hardware said, in small frozen types.

A `Key` names one thing that can be read: (device label, property name). Names that begin with '@' are not
properties of the adapter but readings of the core's own calls: '@x', '@y', '@position' (um), '@exposure' (ms),
'@roi', and, of the pseudo-device 'Core', '@pixel_size' (um) and '@preset <group>'.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

Value = str | int | float | bool


class Key(NamedTuple):
    """One thing that can be read."""

    device: str
    property: str


class Moment(NamedTuple):
    """A moment on the wall clock and on the monotonic clock, nanoseconds."""

    wall_ns: int
    monotonic_ns: int

    @classmethod
    def now(cls) -> Moment:
        """Return this moment."""
        return cls(time.time_ns(), time.monotonic_ns())


class Status(StrEnum):
    """How a reading ended."""

    OK = "ok"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    TIMEOUT = "timeout"


class How(StrEnum):
    """How a value was obtained."""

    EVENT = "event"
    CACHE = "cache"
    HARDWARE = "hardware"
    COMMANDED = "commanded"


@dataclass(frozen=True, slots=True)
class PropertyReading:
    """One reading; it has a value exactly when its status is ok."""

    key: Key
    status: Status
    how: How
    moment: Moment
    value: Value | None = None
    unit: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """What a device declares of one of its properties."""

    value_type: str  # string, float, integer or undefined
    unit: str | None = None
    is_read_only: bool = False
    is_pre_init: bool = False
    is_sequenceable: bool = False
    lower_limit: float | None = None
    upper_limit: float | None = None
    allowed_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """One loaded device."""

    label: str
    device_type: str
    library: str
    adapter_name: str
    description: str = ""
    parent: str | None = None
    state_labels: tuple[str, ...] = ()
    properties: Mapping[str, Property] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset of a configuration group: what it commands."""

    group: str
    name: str
    settings: Mapping[Key, str]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Everything that is loaded."""

    devices: Mapping[str, Device]
    presets: tuple[Preset, ...] = ()
    pixel_sizes_um: Mapping[str, float] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    configuration_file: str | None = None

    def declared(self, key: Key) -> Property | None:
        """Return what the device declares of a property; None for what is not a property of a loaded device."""
        device = self.devices.get(key.device)
        return device.properties.get(key.property) if device else None

    def typed(self, key: Key, raw: Any) -> Value | None:
        """Return a value as its property declares it: C++ adapters give text for everything.

        What is not finite stays text, because records are JSON; a value that is None stays None.
        """
        declared = self.declared(key)
        if raw is None or declared is None or declared.value_type not in ("integer", "float"):
            return None if raw is None else str(raw)
        text = str(raw)
        try:
            number = float(text)
        except ValueError:
            return text
        if declared.value_type == "integer" and number.is_integer():
            return int(text) if text.lstrip("+-").isdecimal() else int(number)
        return number if math.isfinite(number) else text

    def preset(self, group: str, name: str) -> Preset | None:
        """Return the preset, or None when there is no such one."""
        return next((preset for preset in self.presets if (preset.group, preset.name) == (group, name)), None)

    @property
    def has_camera(self) -> bool:
        """Whether any loaded device is a camera."""
        return any(device.device_type == "CameraDevice" for device in self.devices.values())


@dataclass(frozen=True, slots=True)
class Channel:
    """One planned channel."""

    group: str
    preset: str
    exposure_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SequencePlan:
    """What a sequence was asked to do."""

    axes: Mapping[str, int]
    n_frames: int | None
    channels: tuple[Channel, ...] = ()
    z_step_um: float | None = None
    time_interval_s: float | None = None
    longest_pause_s: float | None = None  # between two frames, exposure included; None where nobody can tell
    source: Mapping[str, Any] | None = None  # the plan as its own program writes it


@dataclass(frozen=True, slots=True)
class Image:
    """What one camera delivers."""

    camera: str
    width_px: int
    height_px: int
    dtype: str
    pixel_format: str | None = None
    pixel_size_um: float | None = None
    pixel_size_preset: str | None = None


class FramePosition(NamedTuple):
    """Stage position of a frame, um; None where unknown."""

    x_um: float | None
    y_um: float | None
    z_um: float | None
    how: How | None


@dataclass(frozen=True, slots=True)
class FrameStamp:
    """What is known of one frame, beside the time it was seen."""

    index: Mapping[str, int]
    runner_time_ms: float | None
    camera: str | None
    channel: str | None
    exposure_ms: float | None
    position: FramePosition
