"""What is watched for. Rules are documents that staff edit; `DEFAULT_RULES` hold where nobody has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from server.sites import is_within
from server.store.base import Reads

DOCUMENT = "alert_rule"


class Severity(StrEnum):
    """How much it matters; the order is that of urgency."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}

Figure = Literal[
    "spool_waiting",
    "spool_oldest_h",
    "spool_mb",
    "disk_free_gb",
    "clock_offset_s",
    "memory_mb",
    "restarts",
    "events_lost",
    "records_set_aside",
]
"""Figures of a heartbeat; `clock_offset_s` is taken without its sign."""


MOST_DAYS = 3_660
"""Ten years: what is longer is a slip, and beyond what a date can hold it would stop all alerts."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Silent(_Model):
    """Nothing signed by its agents has come for that long, by the collector's own clock."""

    of: Literal["silent"] = "silent"
    minutes: float = Field(default=10, gt=0, le=MOST_DAYS * 1440)


class QcOverdue(_Model):
    """A series of quality-control runs has had no run for that long."""

    of: Literal["qc_overdue"] = "qc_overdue"
    days: float = Field(default=35, gt=0, le=MOST_DAYS)
    routine: str = Field(default="", description="Only this routine; empty for all.")


class QcVerdict(_Model):
    """The newest run of a series ended with this verdict or a worse one."""

    of: Literal["qc_verdict"] = "qc_verdict"
    worst: Literal["warn", "fail"] = "fail"


class OutOfControl(_Model):
    """The newest values of a figure break rules of its control chart, though they may be within their limits.

    Of a thousand charts ten break a rule by chance at any time; that the next value breaks one too is rare.
    """

    of: Literal["out_of_control"] = "out_of_control"
    in_a_row: int = Field(default=2, ge=1, le=20, description="So many of the newest values, all of them.")


class DriftToLimit(_Model):
    """A figure drifts, and its line reaches a limit within that many days."""

    of: Literal["drift_to_limit"] = "drift_to_limit"
    days: float = Field(default=14, gt=0, le=MOST_DAYS)


class HeartbeatFigure(_Model):
    """A figure of the last heartbeat is beyond a threshold; it clears only at `clears_at`, so that it does not flutter."""

    of: Literal["heartbeat_figure"] = "heartbeat_figure"
    figure: Figure
    above: float | None = None
    below: float | None = None
    clears_at: float | None = Field(default=None, description="Default: the threshold itself.")

    @model_validator(mode="after")
    def _one_side(self) -> HeartbeatFigure:
        if (self.above is None) == (self.below is None):
            raise ValueError("expected either above or below, not both and not none")
        return self


class AgentVersion(_Model):
    """An agent older than this release."""

    of: Literal["agent_version"] = "agent_version"
    older_than: str = Field(pattern=r"^\d+(\.\d+)*$")


class AgentError(_Model):
    """The agent reported an error of its own within that many hours."""

    of: Literal["agent_error"] = "agent_error"
    hours: float = Field(default=24, gt=0, le=MOST_DAYS * 24)


class PartStopped(_Model):
    """A part of the agent has ended, or has not been heard of although it should have been."""

    of: Literal["part_stopped"] = "part_stopped"


class AcquisitionTrouble(_Model):
    """The last acquisition ended in an error or is missing frames."""

    of: Literal["acquisition_trouble"] = "acquisition_trouble"


Condition = Annotated[
    Silent
    | QcOverdue
    | QcVerdict
    | OutOfControl
    | DriftToLimit
    | HeartbeatFigure
    | AgentVersion
    | AgentError
    | PartStopped
    | AcquisitionTrouble,
    Field(discriminator="of"),
]


class Grade(_Model):
    """Another severity for what a finding is about: a figure, a routine, or a verdict."""

    of: str = Field(min_length=1, max_length=100, description="Such as fwhm_x_um, fwhm_*, psf or warn.")
    severity: Severity


class Rule(_Model):
    """A condition, how much it matters, and how long it must hold before anybody is told."""

    key: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")
    name: str = Field(min_length=1, max_length=120)
    condition: Condition
    severity: Severity = Severity.WARNING
    grades: tuple[Grade, ...] = Field(
        default=(), max_length=50, description="Other severities; the first that fits holds."
    )
    is_on: bool = True
    holds_for_min: float = Field(
        default=0, ge=0, le=MOST_DAYS * 1440, description="It fires when it has held that long."
    )
    clears_for_min: float = Field(
        default=10, ge=0, le=MOST_DAYS * 1440, description="It is over when it has been away that long."
    )
    sites: tuple[str, ...] = Field(default=(), description="Only these sites; empty for all.")
    instruments: tuple[str, ...] = Field(default=(), description="Only these instruments; empty for all.")

    def severity_of(self, values: Mapping[str, str]) -> Severity:
        """Return how much a finding with these values matters."""
        names = [values[key] for key in ("figure", "routine", "verdict") if key in values]
        fitting = (one.severity for one in self.grades if any(fnmatchcase(name, one.of) for name in names))
        return next(fitting, self.severity)

    def concerns(self, instrument_id: str, site: str) -> bool:
        """Whether the rule looks at this instrument."""
        if self.sites and not is_within(site, self.sites):
            return False
        return not self.instruments or instrument_id in self.instruments


def _heartbeat(key: str, name: str, severity: Severity, holds_for_min: float, **figure: object) -> Rule:
    condition = HeartbeatFigure.model_validate(figure)
    return Rule(key=key, name=name, condition=condition, severity=severity, holds_for_min=holds_for_min)


DEFAULT_RULES = (
    Rule(
        key="silent", name="No sign of life", condition=Silent(), severity=Severity.CRITICAL, clears_for_min=2
    ),
    Rule(
        key="qc_failed",
        name="Out of limits",
        condition=QcVerdict(),
        severity=Severity.CRITICAL,
        grades=(Grade(of="warn", severity=Severity.WARNING),),
        clears_for_min=0,
    ),
    Rule(key="qc_overdue", name="Quality control overdue", condition=QcOverdue(), clears_for_min=0),
    Rule(key="out_of_control", name="Out of control", condition=OutOfControl(), clears_for_min=0),
    Rule(key="drift", name="Drifts to a limit", condition=DriftToLimit(), clears_for_min=0),
    Rule(key="agent_error", name="The agent reports an error", condition=AgentError()),
    Rule(key="part_stopped", name="A part of the agent stopped", condition=PartStopped(), clears_for_min=2),
    Rule(
        key="acquisition_trouble",
        name="Acquisition in trouble",
        condition=AcquisitionTrouble(),
        clears_for_min=0,
    ),
    _heartbeat(
        "spool_grows", "Records wait", Severity.WARNING, 30, figure="spool_oldest_h", above=6, clears_at=1
    ),
    _heartbeat(
        "disk", "Disk nearly full", Severity.CRITICAL, 5, figure="disk_free_gb", below=5, clears_at=10
    ),
    _heartbeat(
        "clock", "Clock is off", Severity.WARNING, 10, figure="clock_offset_s", above=30, clears_at=10
    ),
    _heartbeat("restarts", "Hardware keeps crashing", Severity.WARNING, 0, figure="restarts", above=5),
)
"""What a collector watches for when nobody has set anything."""


def rules_of(reads: Reads) -> list[Rule]:
    """Return all rules: those edited, and the defaults that nobody has replaced. What cannot be read is left out."""
    edited = {document.key: _rule(document.body) for document in reads.documents(DOCUMENT)}
    defaults = {rule.key: rule for rule in DEFAULT_RULES}
    return [rule for rule in {**defaults, **edited}.values() if rule is not None]


def overdue_after_days(rules: Iterable[Rule], instrument_id: str, site: str, routine: str) -> float | None:
    """Return how old the newest run of a routine may be before a rule says that another is overdue, None without a rule."""
    days = [
        condition.days
        for rule in rules
        if isinstance(condition := rule.condition, QcOverdue)
        and rule.is_on
        and rule.concerns(instrument_id, site)
        and condition.routine in ("", routine)
    ]
    return min(days, default=None)


def rules_on(rules: Iterable[Rule]) -> list[Rule]:
    """Return those that are switched on."""
    return [rule for rule in rules if rule.is_on]


def _rule(body: str) -> Rule | None:
    """Return a stored rule; one that a newer collector wrote and this one cannot read watches for nothing here."""
    try:
        return Rule.model_validate_json(body)
    except ValidationError:
        return None
