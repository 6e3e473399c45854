"""What a conformance run saw and what it makes of it, in frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How much a finding matters: an error makes metadata wrong or missing; a warning makes it late."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a vendor can see to."""

    severity: Severity
    check: str  # read, speed, type, limits, allowed values, round trip, restore, notification, preset, move, standard
    device: str
    property: str
    text: str


@dataclass(frozen=True, slots=True)
class PropertyFacts:
    """What a device declares of a property."""

    device: str
    device_type: str
    name: str
    value_type: str
    is_read_only: bool
    is_pre_init: bool
    lower_limit: float | None
    upper_limit: float | None
    allowed_values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A property, read from hardware some times over."""

    facts: PropertyFacts
    status: str  # ok, failed, hung or crashed
    raw: str | None
    took_ms: tuple[float, ...]
    error: str = ""

    @property
    def median_ms(self) -> float | None:
        """The middle of the times it took; None when it gave no value."""
        return sorted(self.took_ms)[len(self.took_ms) // 2] if self.took_ms else None


@dataclass(frozen=True, slots=True)
class Trial:
    """A property, set to a value and read back."""

    facts: PropertyFacts
    before: str
    value: str
    status: str
    read_back: str | None = None
    set_ms: float | None = None
    notified_ms: float | None = None
    waited_ms: float = 0.0
    is_restore: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class PresetTrial:
    """A configuration group, set to a preset; then what it changed was put back."""

    group: str
    preset: str
    status: str
    changed: tuple[str, ...] = ()
    notified_ms: Mapping[str, float] | None = None
    set_ms: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class MoveTrial:
    """A stage, moved a little and back."""

    device: str
    distance_um: float
    status: str
    moved_um: float | None = None
    move_ms: float | None = None
    notified_ms: float | None = None
    is_back: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class AcquisitionTrial:
    """A small acquisition, captured as the agent captures every other."""

    status: str  # ok, failed, hung or crashed
    n_frames: int = 0
    n_expected: int | None = None
    channels: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """One export of that acquisition."""

    name: str
    title: str
    size_bytes: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """What was not set or moved, and why."""

    device: str
    property: str
    why: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Which standard properties a device offers and which it lacks."""

    device: str
    device_type: str
    library: str
    adapter_name: str
    offered: Mapping[str, str]  # what is meant: the property that tells it
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """What a standard asks for and neither hardware nor profile tells."""

    standard: str
    tier: int
    name: str
    place: str
    who: str


@dataclass(frozen=True, slots=True)
class Filled:
    """A field of a standard that hardware or profile fills."""

    tier: int
    name: str
    place: str
    ome: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what a standard asks at a tier, of the instrument's parts or of an acquisition, is there."""

    scope: str  # instrument or acquisition
    standard: str
    tier: int
    n_present: int
    n_required: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one run."""

    configuration: str
    started_at: str
    duration_s: float
    software: Mapping[str, str]
    offers: tuple[Offer, ...]
    reads: tuple[Read, ...]
    trials: tuple[Trial, ...]
    presets: tuple[PresetTrial, ...]
    moves: tuple[MoveTrial, ...]
    left_alone: tuple[LeftAlone, ...]
    coverage: tuple[Coverage, ...]
    filled: tuple[Filled, ...]
    gaps: tuple[Gap, ...]
    acquisition: AcquisitionTrial | None
    exports: tuple[Exported, ...]
    findings: tuple[Finding, ...]

    def n_of(self, severity: Severity) -> int:
        """Return how many findings are so severe."""
        return sum(finding.severity is severity for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        return {"format": "scopestamp-conformance", "version": 1, **asdict(self)}
