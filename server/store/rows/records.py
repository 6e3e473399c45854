"""Records that were understood, under what they are filed, and lines that were not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

from server.store.rows.acquisitions import AcquisitionFacts, SearchFacts
from server.store.rows.changes import FiledChange
from server.store.rows.quality import QcFacts
from server.store.rows.use import PlannedRunFacts, SessionFacts


class Filed(Struct, frozen=True, gc=False):
    """A record that was understood: under what it is filed, and what it adds to the tables."""

    # A struct, as `Line` is: they are made for every record, in a fifth of a dataclass's time.
    record_id: UUID
    kind: str
    schema_version: str
    instrument_id: str
    captured_at: datetime
    boot_id: str
    monotonic_ns: int
    acquisition_id: UUID | None = None
    changes: tuple[FiledChange, ...] = ()
    facts: AcquisitionFacts | None = None
    qc: QcFacts | None = None
    search: SearchFacts | None = None
    model: str | None = None
    use: SessionFacts | PlannedRunFacts | None = None


@dataclass(frozen=True, slots=True)
class RecordRow:
    """Under what a record is filed, and where its bytes are."""

    position: int
    record_id: str
    kind: str
    schema_version: str
    instrument_id: str
    acquisition_id: str | None
    captured_at: datetime
    received_at: datetime
    agent_id: str
    spool_id: str
    seq: int
    batch_id: int
    line: int


@dataclass(frozen=True, slots=True)
class LatestRecord:
    """The newest record of one kind of one instrument, with its bytes."""

    kind: str
    record_id: str
    captured_at: datetime
    received_at: datetime
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OldRecord:
    """A record that retention looks at."""

    position: int
    record_id: str
    instrument_id: str
    captured_at: datetime
    batch_id: int
    line: int


FlagReason = Literal["unknown_kind", "newer_version", "malformed", "foreign_agent"]


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """A line that was kept and acknowledged but not filed, and why."""

    position: int
    agent_id: str
    spool_id: str
    seq: int
    batch_id: int
    line: int
    reason: FlagReason
    message: str
    kind: str | None
    record_id: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of a time-ordered list ended; the next page starts strictly before it."""

    at: datetime
    position: int
