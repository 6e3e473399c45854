"""What people and jobs put down: documents that change, entries that never do, files."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Document:
    """What people or jobs may change, as JSON: a schedule, an alert rule, the group an instrument belongs to.

    `version` counts the changes of this key, so that two editors notice each other.
    """

    kind: str
    key: str
    body: str
    version: int
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What was put down once and is never changed: a service visit, a sign-off, a run declared invalid and why.

    `subject` is what it is about (a record, a run, a document), `body` is JSON. A correction is another entry.
    """

    entry_id: str
    kind: str
    at: datetime
    by: str
    body: str
    instrument_id: str | None = None
    subject: str | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file a person added, kept once under the hash of its bytes."""

    sha256: str
    media_type: str
    content: bytes = field(repr=False)
