"""What hardware tells by itself.

Events are made on the hardware's own threads, so making one must cost next to nothing: what needs work is a
callable that the listener's thread calls later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.readings import FrameStamp, Image, Key, Moment, PropertyReading, SequencePlan


@dataclass(frozen=True, slots=True)
class PropertyMoved:
    """A value changed; `is_commanded` when software set it, else the device announced it."""

    reading: PropertyReading
    is_commanded: bool


@dataclass(frozen=True, slots=True)
class PresetSet:
    """Software set a configuration group to a preset."""

    moment: Moment
    group: str
    preset: str


@dataclass(frozen=True, slots=True)
class ConfigurationLoaded:
    """Other devices may be loaded now: describe the hardware again."""

    moment: Moment


@dataclass(frozen=True, slots=True)
class InstrumentLeft:
    """The instrument cannot be reached any more; `ConfigurationLoaded` says when there is one again."""

    moment: Moment
    why: str


@dataclass(frozen=True, slots=True)
class LiveToggled:
    """Free-running acquisition without a plan has begun or ended."""

    moment: Moment
    is_live: bool


@dataclass(frozen=True, slots=True)
class ImageSnapped:
    """A single frame was taken outside a planned acquisition."""

    moment: Moment


@dataclass(frozen=True, slots=True)
class SequenceStarted:
    """A planned acquisition has begun; the callables are for the listener's thread."""

    moment: Moment
    sequence_key: int
    plan: Callable[[], SequencePlan]
    images: Callable[[], tuple[Image, ...]]
    readings: Callable[[], Mapping[Key, PropertyReading]]
    outputs: Callable[[], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class FrameSeen:
    """A frame was delivered. `state` holds every cached value when something changed since the frame before."""

    moment: Moment
    stamp: Callable[[], FrameStamp]
    state: Mapping[Key, str] | None


def _at_once(timeout_s: float) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class SequenceFinished:
    """A planned acquisition has ended and its writer was told to close: completed, canceled or errored.

    `n_frames` is how many `FrameSeen` there were since it began, or since somebody listens. `wait_written` waits until the
    writer has let go of the data, for that many seconds at most, and returns whether it has.
    """

    moment: Moment
    sequence_key: int
    reason: str
    n_frames: int
    wait_written: Callable[[float], bool] = field(default=_at_once, compare=False)


HardwareEvent = (
    PropertyMoved
    | PresetSet
    | ConfigurationLoaded
    | InstrumentLeft
    | LiveToggled
    | ImageSnapped
    | SequenceStarted
    | FrameSeen
    | SequenceFinished
)
