"""The result of a quality-control measurement."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import Field

from agent.records._base import Frozen, Quantity, Record, Scalar, UtcTime


class QcStatus(StrEnum):
    """Verdict of a rule; the value is kept whatever it says."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class QcMetric(Frozen):
    """One measured figure."""

    metric: str = Field(description="Name of the figure, such as fwhm_x.")
    measured: Quantity | None = Field(
        default=None, description="The value; absent when it could not be measured."
    )
    uncertainty: Quantity | None = Field(default=None, description="Standard uncertainty, same unit.")
    expected: Quantity | None = Field(default=None, description="From theory.")
    baseline: Quantity | None = Field(default=None, description="Time zero of this instrument.")
    lower_limit: float | None = Field(default=None, description="Lowest value that passes, same unit.")
    upper_limit: float | None = Field(default=None, description="Highest value that passes, same unit.")
    status: QcStatus = Field(description="pass, warn, fail or unknown.")
    rule: str = Field(description="The rule that said so.")


class QcInput(Frozen):
    """What was measured on."""

    name: str = Field(description="File name or description.")
    sha256: str = Field(description="Of the file, or of the array in C order, little endian.")


class QcAdvice(Frozen):
    """Something to check when a figure is out of limits."""

    finding: str = Field(description="The likely cause, in a few words.")
    check: str = Field(description="How a person finds out, and what mends it.")
    source: str = Field(description="Who says so.")


class QcResult(Record):
    """One run of one routine."""

    kind: Literal["qc_result"] = "qc_result"
    run_id: UUID = Field(description="Names the run.")
    routine: str = Field(description="Name of the routine.")
    routine_version: str = Field(description="Version of the routine's method.")
    acquisition_id: UUID | None = Field(
        default=None, description="The acquisition that was measured, if one was."
    )
    light_path: dict[str, str] = Field(
        default_factory=dict, description="Objective, camera, channel it holds for."
    )
    metrics: tuple[QcMetric, ...] = Field(description="The figures.")
    status: QcStatus = Field(description="The worst of the figures.")
    n_used: int = Field(ge=0, description="Objects or frames that entered.")
    n_rejected: dict[str, int] = Field(default_factory=dict, description="Reason to count.")
    parameters: dict[str, Scalar] = Field(default_factory=dict, description="Settings of the routine.")
    seeds: dict[str, int] = Field(default_factory=dict, description="Of random number generators.")
    inputs: tuple[QcInput, ...] = Field(default=(), description="What was measured on.")
    remarks: tuple[str, ...] = Field(default=(), description="What a reader must know, in sentences.")
    advice: tuple[QcAdvice, ...] = Field(default=(), description="Likely causes, likeliest first.")
    software: dict[str, str] = Field(default_factory=dict, description="Versions.")
    valid_until: UtcTime | None = Field(
        default=None, description="When the routine is due again; absent when nobody says how often."
    )


class QcFigure(Frozen):
    """One figure of quality control as it stood when an acquisition began."""

    routine: str = Field(description="Name of the routine.")
    routine_version: str = Field(description="Version of the routine's method.")
    light_path: dict[str, str] = Field(description="Objective, camera, channel it was measured on.")
    figure: QcMetric = Field(description="Value, theory, time zero, limits and verdict.")
    n_used: int = Field(ge=0, description="Objects or frames that entered.")
    measured_at: UtcTime = Field(description="When it was measured.")
    age_s: float = Field(ge=0, description="From there to the start of the acquisition, s.")
    valid_until: UtcTime = Field(description="When it was due again.")
    is_valid: bool = Field(description="It was not yet due again.")
    run_id: UUID = Field(description="The run.")
    record_id: UUID = Field(description="Its record.")
    record_sha256: str = Field(description="SHA-256 of that record's canonical JSON.")


class QcOfLightPath(Frozen):
    """Whether one light path of an acquisition was under quality control."""

    light_path: dict[str, str] = Field(description="Objective, camera, channel that was used.")
    is_valid: bool = Field(description="At least one valid figure was measured on it.")
    status: QcStatus = Field(description="The worst verdict of its valid figures; unknown without one.")
    statement: str = Field(description="The same in words; 'no valid QC' and why, where there is none.")


class QcStamp(Frozen):
    """The quality control that held when an acquisition was taken."""

    light_paths: tuple[QcOfLightPath, ...] = Field(description="One entry per channel.")
    figures: tuple[QcFigure, ...] = Field(
        default=(), description="Of every figure the latest before the acquisition, valid or not."
    )
