"""An acquisition: how it began, every frame, how it ended, and where it was stamped."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, FiniteFloat, model_validator

from agent.records._base import Frozen, How, Instant, Quantity, Record
from agent.records._qc import QcStamp
from agent.records._state import Change, SystemState


class ChannelPlan(Frozen):
    """One channel as it was planned."""

    group: str = Field(description="Configuration group.")
    preset: str = Field(description="Preset of the group.")
    exposure: Quantity | None = Field(default=None, description="Planned exposure, ms.")
    settings: dict[str, str] = Field(
        default_factory=dict, description="'device-property' to the value the preset commands."
    )


class AcquisitionPlan(Frozen):
    """What was asked for."""

    axes: dict[str, int] = Field(description="Axis letter (t, p, g, c, z) to its planned length.")
    n_frames_expected: int | None = Field(
        default=None, ge=0, description="Absent when the run has no planned end."
    )
    channels: tuple[ChannelPlan, ...] = Field(default=(), description="The channels.")
    z_step: Quantity | None = Field(default=None, description="Planned step between planes, um.")
    time_interval: Quantity | None = Field(
        default=None, description="Planned interval between time points, s."
    )
    sequence: dict[str, Any] | None = Field(
        default=None, description="The plan as its own program wrote it (useq-schema); NaN becomes null."
    )


class ImageDescription(Frozen):
    """What one camera delivers."""

    camera: str = Field(description="Camera label.")
    width_px: int = Field(ge=0, description="Columns.")
    height_px: int = Field(ge=0, description="Rows.")
    dtype: str = Field(description="numpy name of the pixel type.")
    pixel_format: str | None = Field(default=None, description="Micro-Manager pixel format, such as Mono16.")
    pixel_size: Quantity | None = Field(
        default=None, description="In the sample plane, um; absent when not calibrated."
    )
    pixel_size_preset: str | None = Field(default=None, description="The pixel size preset that held.")


class AcquisitionStarted(Record):
    """An acquisition has begun."""

    kind: Literal["acquisition_started"] = "acquisition_started"
    acquisition_id: UUID = Field(description="Names the acquisition in all its records.")
    started: Instant = Field(description="When it began.")
    plan: AcquisitionPlan = Field(description="What was asked for.")
    images: tuple[ImageDescription, ...] = Field(default=(), description="One entry per camera.")
    before: SystemState | None = Field(default=None, description="State of the instrument at the start.")
    outputs: tuple[str, ...] = Field(default=(), description="Where the data goes, as the writer was told.")


class FrameColumns(Frozen):
    """Per-frame stamps as columns of equal length; null where the frame has no such value."""

    frame: tuple[int, ...] = Field(description="Running number of the frame in the acquisition, from 0.")
    seen_monotonic_ns: tuple[int, ...] = Field(
        description="When the frame was seen; same clock as Record.captured."
    )
    runner_time_ms: tuple[FiniteFloat | None, ...] = Field(
        description="The engine's own time since start, ms."
    )
    index: tuple[dict[str, int], ...] = Field(description="Axis letter to index.")
    camera: tuple[str | None, ...] = Field(description="Camera that delivered the frame.")
    channel: tuple[str | None, ...] = Field(description="Channel preset commanded.")
    exposure_ms: tuple[FiniteFloat | None, ...] = Field(description="Exposure, ms.")
    x_um: tuple[FiniteFloat | None, ...] = Field(description="Stage X, um.")
    y_um: tuple[FiniteFloat | None, ...] = Field(description="Stage Y, um.")
    z_um: tuple[FiniteFloat | None, ...] = Field(description="Focus, um.")
    position_how: tuple[How | None, ...] = Field(
        description="How x, y and z were obtained: hardware or commanded."
    )
    state: tuple[int, ...] = Field(
        description="Index into FrameLedger.states: the state that held for the frame."
    )

    @model_validator(mode="after")
    def _columns_of_equal_length(self) -> FrameColumns:
        lengths = {name: len(getattr(self, name)) for name in type(self).model_fields}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns must have equal length; got {lengths}")
        return self


class FrameState(Frozen):
    """Property values that held from one frame on, as differences to the state before them."""

    from_frame: int = Field(description="First frame it holds for.")
    how: How = Field(description="How the values were obtained.")
    values: dict[str, dict[str, str]] = Field(
        description="Device to property to value, only those that differ."
    )


class FrameLedger(Record):
    """A batch of per-frame stamps."""

    kind: Literal["frame_ledger"] = "frame_ledger"
    acquisition_id: UUID = Field(description="The acquisition.")
    first_frame: int = Field(ge=0, description="Running number of the first frame in this batch.")
    columns: FrameColumns = Field(description="The stamps.")
    states: tuple[FrameState, ...] = Field(
        description="States the batch refers to; the first holds all differences to AcquisitionStarted.before so far."
    )


class FinishReason(StrEnum):
    """How an acquisition ended."""

    COMPLETED = "completed"
    CANCELED = "canceled"
    ERRORED = "errored"
    INTERRUPTED = "interrupted"


class FrameCount(Frozen):
    """Frames of one acquisition, counted."""

    expected: int | None = Field(default=None, description="By the plan; absent when it has no end.")
    seen: int = Field(ge=0, description="Frames stamped in the ledger.")
    unstamped: int = Field(
        default=0, ge=0, description="Frames seen but lost to the ledger because the agent's queue was full."
    )
    dropped: int | None = Field(
        default=None, description="Planned frames that never came; absent when there is no plan."
    )


class OutputFile(Frozen):
    """A dataset that the acquisition wrote, as its writer left it."""

    path: str = Field(description="Where it is, on the computer that wrote it.")
    format: str = Field(description="ome-zarr, ome-tiff, tiff or other.")
    size_bytes: int = Field(ge=0, description="Sum over its files.")
    n_files: int = Field(ge=1, description="1 for a file, more for a folder.")
    sha256: str = Field(
        description="Before the stamp was written. Of a folder: SHA-256 over the lines '<sha256>  <relative path>\\n' "
        "of its files, sorted by path."
    )


class AcquisitionFinished(Record):
    """An acquisition has ended; complete in itself, and stamped onto the data."""

    kind: Literal["acquisition_finished"] = "acquisition_finished"
    acquisition_id: UUID = Field(description="Names the acquisition in all its records.")
    started: Instant = Field(description="When it began.")
    finished: Instant = Field(
        description="When it ended; for an interrupted one, when its last frame was seen."
    )
    reason: FinishReason = Field(
        description="completed, canceled, errored, or interrupted: the process died."
    )
    plan: AcquisitionPlan = Field(description="What was asked for.")
    images: tuple[ImageDescription, ...] = Field(default=(), description="One entry per camera.")
    frames: FrameCount = Field(description="Frames, counted.")
    before: SystemState | None = Field(default=None, description="State at the start.")
    after: SystemState | None = Field(
        default=None, description="State after the end; absent when interrupted."
    )
    changed: tuple[Change, ...] = Field(default=(), description="What differs between before and after.")
    files: tuple[OutputFile, ...] = Field(default=(), description="What was written.")
    ledger_sha256: str | None = Field(
        default=None, description="Of the local frame ledger, newline-delimited JSON."
    )
    capture_overflow: int = Field(
        default=0, ge=0, description="Events lost to a full capture queue during the run."
    )
    problems: tuple[str, ...] = Field(default=(), description="What went wrong while capturing, in words.")
    profile_sha256: str | None = Field(
        default=None, description="Of the instrument profile that held; see the record instrument_profile."
    )
    qc: QcStamp | None = Field(
        default=None, description="The quality control that held; absent when the agent could not look it up."
    )


class StampedFile(Frozen):
    """A dataset after the stamp was written into it."""

    path: str = Field(description="Where it is.")
    sidecar: str | None = Field(
        default=None, description="The record beside the data; absent when it could not be written."
    )
    is_stamped_inside: bool = Field(description="The dataset itself carries the record's id and SHA-256.")
    size_bytes: int | None = Field(default=None, description="With the stamp.")
    sha256: str | None = Field(default=None, description="With the stamp; same rule as OutputFile.sha256.")
    error: str | None = Field(default=None, description="Why a stamp is missing.")


class DatasetStamp(Record):
    """Where a record was stamped onto the data it speaks of."""

    kind: Literal["dataset_stamp"] = "dataset_stamp"
    acquisition_id: UUID | None = Field(
        default=None, description="The acquisition; absent when none is known that produced the data."
    )
    stamped_record_id: UUID = Field(
        description="The record that was stamped: AcquisitionFinished, or DatasetFound when no acquisition is known."
    )
    stamped_record_sha256: str = Field(description="SHA-256 of that record's canonical JSON.")
    files: tuple[StampedFile, ...] = Field(description="The datasets.")
