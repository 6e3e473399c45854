"""A dataset that was found on disk, whoever wrote it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from agent.records._base import Record, Scalar, UtcTime
from agent.records._qc import QcStamp
from agent.records._state import SystemState


class DatasetFound(Record):
    """A dataset was found on disk and its writer has let go of it."""

    kind: Literal["dataset_found"] = "dataset_found"
    dataset_id: UUID = Field(description="Names the dataset.")
    acquisition_id: UUID | None = Field(
        default=None, description="The acquisition that produced it; absent when none is known."
    )
    joined_by: Literal["path", "time", "stamp", "nothing"] = Field(
        description="How it was joined to the acquisition: path: the acquisition had announced it; time: it was written "
        "while that acquisition ran on the same computer; stamp: the acquisition's record came with it; nothing: no acquisition is known, this record stands alone."
    )
    path: str = Field(description="Where it is, as the watching computer sees it.")
    format: str = Field(
        description="ome-zarr, ome-tiff, mmstack, ndtiff, image-sequence, tiff, or the vendor's: czi, nd2, lif, oir …"
    )
    completeness: Literal["complete", "settled", "incomplete"] = Field(
        description="complete: the format's own mark of completeness is there; settled: the format has no such mark, and "
        "nothing has changed for a while; incomplete: marks or frames are missing, and nothing has changed for long."
    )
    completeness_note: str = Field(description="How that was judged, in words.")
    n_frames: int | None = Field(default=None, ge=0, description="Planes of pixels known to be in it.")
    n_frames_expected: int | None = Field(
        default=None, ge=0, description="Planes that its own metadata promises."
    )
    size_bytes: int = Field(ge=0, description="Sum over its files.")
    n_files: int = Field(ge=1, description="1 for a file, more for several.")
    sha256: str | None = Field(
        default=None,
        description="Before a stamp was written; same rule as OutputFile.sha256. Absent when hashing is switched off.",
    )
    first_seen_at: UtcTime = Field(description="When the agent saw it first, by this computer's clock.")
    began_at: UtcTime = Field(description="Oldest time stamp among its files, or when it was seen first.")
    last_written_at: UtcTime = Field(description="Newest time stamp among its files.")
    facts: dict[str, Scalar] = Field(
        default_factory=dict,
        description="What a reader of the format says of it, such as size_x or objective.",
    )
    reader: str | None = Field(default=None, description="The reader, with its version.")
    state: SystemState | None = Field(
        default=None,
        description="State of the instrument when it was last written, as far as it was captured; absent when the "
        "acquisition is known and carries it.",
    )
    qc: QcStamp | None = Field(default=None, description="The quality control that held.")
    supersedes: UUID | None = Field(
        default=None, description="The record of what stood at this path before it was written again."
    )
    problems: tuple[str, ...] = Field(default=(), description="What could not be learnt, in words.")
