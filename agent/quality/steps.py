"""What a run does, one thing after the other: frames, readings, trials, and what is set between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

Key = tuple[str, str]
"""Device and property."""


@dataclass(frozen=True)
class Shot:
    """One acquisition of frames.

    Attributes
    ----------
    role : str
        What the measurement takes it for.
    sequence : mapping
        Of useq-schema, bound to places and channels.
    is_dark : bool
        No light is let onto the sample nor the camera.
    """

    role: str
    sequence: Mapping[str, Any]
    is_dark: bool = False

    @property
    def n_counts(self) -> int:
        """Frames it takes."""
        z_plan, time_plan = self.sequence.get("z_plan"), self.sequence.get("time_plan") or {}
        planes = round(z_plan["range"] / z_plan["step"]) + 1 if z_plan else 1
        counts = (
            len(self.sequence.get("channels") or (1,)),
            len(self.sequence.get("stage_positions") or (1,)),
        )
        return prod((planes, time_plan.get("loops", 1), *counts))

    @property
    def light_ms(self) -> float:
        """How long light falls onto the sample."""
        channels = self.sequence.get("channels") or ()
        each_ms = sum(channel["exposure"] for channel in channels)
        return 0.0 if self.is_dark else each_ms * self.n_counts / max(len(channels), 1)


@dataclass(frozen=True)
class Set:
    """Set a property and wait for it."""

    key: Key
    value: str
    n_counts: int = 0


@dataclass(frozen=True)
class Preset:
    """Set a preset of a configuration group and wait for it."""

    group: str
    name: str
    n_counts: int = 0


@dataclass(frozen=True)
class Wait:
    """Let time pass."""

    duration_s: float
    n_counts: int = 0


@dataclass(frozen=True)
class Readings:
    """Read properties, once or in equal intervals.

    Attributes
    ----------
    columns : mapping
        Argument of the measurement to the property that is read for it and the factor to its unit.
    constants : mapping
        Further columns and what stands in them.
    n_counts : int
        How often.
    interval_s : float
        From one to the next.
    has_time : bool
        Whether there is a column ``time_s``.
    """

    columns: Mapping[str, tuple[Key, float]]
    constants: Mapping[str, float] = field(default_factory=dict)
    n_counts: int = 1
    interval_s: float = 0.0
    has_time: bool = False


@dataclass(frozen=True)
class Trial:
    """Defocus, let the autofocus recover, and take a stack about where it stopped.

    Attributes
    ----------
    focus_um : float
        Where the focus drive stood before all trials.
    defocus_um : float
        With sign.
    stack : Shot
        Its stage positions get their z from where the drive stands.
    """

    focus_um: float
    defocus_um: float
    stack: Shot

    @property
    def n_counts(self) -> int:
        """Frames it takes."""
        return self.stack.n_counts


Step = Shot | Set | Preset | Wait | Readings | Trial


def touched_by(steps: Iterable[Step]) -> tuple[Key, ...]:
    """Return the properties that steps set."""
    return tuple(dict.fromkeys(step.key for step in steps if isinstance(step, Set)))
