"""Looking through the logbooks of all instruments: by instrument, sort, work, device, person, day and words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, tzinfo
from typing import Any

from server.logbook import KINDS, MOST_NOTES, Invalidation, Maintenance, Signed, notes
from server.store.base import Reads

COLUMNS = (
    "written_at", "written_by", "instrument_id", "kind", "day", "work", "title", "text", "device", "done_by",
    "n_minutes", "run_record_id", "files", "entry_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What notes must have; what is empty does not matter. Words, device and person may be parts, in any case."""

    instrument_id: str = ""
    kind: str = ""
    """A kind of note, or a sort of maintenance work."""
    device: str = ""
    person: str = ""
    words: str = ""
    since: date | None = None
    until: date | None = None
    zone: tzinfo = UTC
    """By whose calendar a note was written on a day; maintenance says its day itself."""

    def takes(self, one: Signed) -> bool:
        """Return whether a note has it all."""
        row = row_of(one)
        day = one.note.day if isinstance(one.note, Maintenance) else one.at.astimezone(self.zone).date()
        told = f"{row['title']} {row['text']} {row['device']} {row['done_by']}".casefold()
        return (
            self.kind in ("", one.note.kind, row["work"])
            and self.device.casefold() in row["device"].casefold()
            and self.person.casefold() in f"{row['written_by']}\n{row['done_by']}".casefold()
            and all(word in told for word in self.words.casefold().split())
            and (self.since is None or day >= self.since)
            and (self.until is None or day <= self.until)
        )


def find(reads: Reads, wanted: Wanted, before: int | None = None) -> Iterator[Signed]:
    """Yield the notes that have what is wanted, the last written first, those with a position below `before`."""
    kinds = (wanted.kind,) if wanted.kind in KINDS else KINDS if not wanted.kind else ("maintenance",)
    while page := notes(reads, wanted.instrument_id or None, kinds, before=before, limit=MOST_NOTES):
        yield from filter(wanted.takes, page)
        before = page[-1].position


def row_of(one: Signed) -> dict[str, Any]:
    """Return a note as a row of a table, for audits: who, when, what and why."""
    note = one.note
    is_work = isinstance(note, Maintenance)
    text = note.text if is_work else note.reason if isinstance(note, Invalidation) else note.comment
    return {
        "written_at": one.at,
        "written_by": one.by,
        "instrument_id": one.instrument_id,
        "kind": note.kind,
        "day": note.day.isoformat() if is_work else "",
        "work": note.work if is_work else "",
        "title": note.title if is_work else "",
        "text": text,
        "device": note.device if is_work else "",
        "done_by": note.done_by if is_work else "",
        "n_minutes": note.minutes if is_work else None,
        "run_record_id": one.subject or "",
        "files": " ".join(file.sha256 for file in note.files) if is_work else "",
        "entry_id": one.entry_id,
    }
