"""The logbook: what people say of an instrument and of its quality-control runs.

Every note is an entry of the store, so it is kept for ever as it was written: who, when, about what and why (ISO 9001:2015
§ 7.5.3, ISO 20387:2018 § 7.8 ask for records that stay legible and traceable). A mistake is corrected by another note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from agent.records.schedules import BaselineRun, InvalidRun
from server.quality.runs import find_run, key_of
from server.store.base import Reads, Writes
from server.store.rows import Entry

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]

WORK = ("service", "alignment", "cleaning", "repair", "replacement", "consumable", "software", "observation")
MOST_NOTES = 500
MOST_TOLD = 500
"""Characters of a reason that an agent is told."""


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttachedFile(_Note):
    """A file that belongs to a note."""

    name: Line
    sha256: str
    media_type: str
    size_bytes: int


class Maintenance(_Note):
    """Something that was done to the instrument, or seen on it."""

    kind: Literal["maintenance"] = "maintenance"
    work: Literal[WORK] = Field(description="What sort of work it was.")
    day: date = Field(description="When it was done, by the site's calendar.")
    title: Annotated[Line, StringConstraints(min_length=1)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""
    device: Line = Field(
        default="", description="Label of the device concerned; empty for the whole instrument."
    )
    done_by: Line = Field(default="", description="Person or company that did it.")
    minutes: int = Field(default=0, ge=0, le=100_000, description="Minutes of work.")
    files: tuple[AttachedFile, ...] = ()


class SignOff(_Note):
    """A person answers for a run."""

    kind: Literal["sign_off"] = "sign_off"
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""


class Invalidation(_Note):
    """A run that must not be relied on. It stays, and the reason with it."""

    kind: Literal["invalidation"] = "invalidation"
    reason: Words


class BaselineChoice(_Note):
    """A run is time zero of its series from now on."""

    kind: Literal["baseline"] = "baseline"
    series: str
    comment: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""


Note = Annotated[Maintenance | SignOff | Invalidation | BaselineChoice, Field(discriminator="kind")]
_NOTES: TypeAdapter[Note] = TypeAdapter(Note)
KINDS = ("maintenance", "sign_off", "invalidation", "baseline")


@dataclass(frozen=True, slots=True)
class Signed:
    """A note with who wrote it and when."""

    entry_id: str
    at: datetime
    by: str
    note: Note
    instrument_id: str
    subject: str | None
    position: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What people said of one run."""

    sign_offs: tuple[Signed, ...] = ()
    invalidation: Signed | None = None
    is_baseline: bool = False


def write(
    writes: Writes, note: Note, instrument_id: str, by: str, at: datetime, subject: str | None = None
) -> Entry:
    """Put a note down; inside a transaction of the store."""
    entry = Entry(str(uuid4()), note.kind, at, by, note.model_dump_json(), instrument_id, subject)
    writes.add_entry(entry)
    if isinstance(note, Invalidation) and subject is not None:
        writes.judge_anew(instrument_id, subject)
    return entry


def notes(
    reads: Reads,
    instrument_id: str | None = None,
    kinds: Sequence[str] = KINDS,
    subject: str | None = None,
    before: int | None = None,
    limit: int = MOST_NOTES,
) -> list[Signed]:
    """Return notes of those kinds, the last written first."""
    return [signed(entry) for entry in reads.entries(kinds, instrument_id, subject, before, limit)]


def every_note(reads: Reads, instrument_id: str, *kinds: str) -> Iterator[Signed]:
    """Yield all notes of some kinds, however many there are, the last written first."""
    before: int | None = None
    while page := notes(reads, instrument_id, kinds, before=before):
        yield from page
        before = page[-1].position


def signed(entry: Entry) -> Signed:
    """Return a stored entry as the note it is."""
    note = _NOTES.validate_json(entry.body)
    return Signed(
        entry.entry_id, entry.at, entry.by, note, entry.instrument_id or "", entry.subject, entry.position
    )


def standing_of(reads: Reads, record_id: str) -> Standing:
    """Return what people said of the run in a record."""
    said = notes(reads, subject=record_id, kinds=KINDS[1:])
    invalidation = next((one for one in said if isinstance(one.note, Invalidation)), None)
    chosen = any(_is_in_force(reads, one) for one in said if isinstance(one.note, BaselineChoice))
    return Standing(
        sign_offs=tuple(one for one in said if isinstance(one.note, SignOff)),
        invalidation=invalidation,
        is_baseline=chosen and invalidation is None,
    )


def invalid_runs(reads: Reads, instrument_id: str) -> dict[str, Signed]:
    """Return the records of an instrument's runs that must not be relied on, each with the note that says why."""
    return invalidations(every_note(reads, instrument_id, "invalidation"))


def invalidations(said: Iterable[Signed]) -> dict[str, Signed]:
    """Return, by record, the notes that declare a run invalid."""
    return {one.subject: one for one in said if isinstance(one.note, Invalidation) and one.subject}


def baselines(said: Iterable[Signed]) -> dict[str, Signed]:
    """Return, by series, the note that chose the baseline in force: the last one written."""
    chosen: dict[str, Signed] = {}
    for one in sorted(said, key=lambda one: one.position):
        if isinstance(one.note, BaselineChoice):
            chosen[one.note.series] = one
    return chosen


def baseline_choice(reads: Reads, record_id: str, comment: str) -> BaselineChoice | None:
    """Return the note that makes a run the baseline of its series, None when there is no such run."""
    run = find_run(reads, record_id)
    return BaselineChoice(series=key_of(run.result), comment=comment) if run else None


def told_to_agent(reads: Reads, instrument_id: str) -> tuple[tuple[InvalidRun, ...], tuple[BaselineRun, ...]]:
    """Return what an instrument's agent is to know: its runs that count no more, and those that are time zero."""
    invalid, zero = [], []
    for record_id, one in invalid_runs(reads, instrument_id).items():
        if (run := find_run(reads, record_id)) is not None and isinstance(one.note, Invalidation):
            reason = one.note.reason[:MOST_TOLD]
            invalid.append(InvalidRun(run_id=run.result.run_id, reason=reason, by=one.by, at=one.at))
    for one in baselines(every_note(reads, instrument_id, "baseline")).values():
        if (run := find_run(reads, one.subject or "")) is not None:
            result = run.result
            zero.append(
                BaselineRun(
                    run_id=result.run_id,
                    routine=result.routine,
                    light_path=result.light_path,
                    by=one.by,
                    at=one.at,
                )
            )
    return tuple(sorted(invalid, key=_by_id)), tuple(sorted(zero, key=_by_id))


def _by_id(one: InvalidRun | BaselineRun) -> str:
    return str(one.run_id)


def _is_in_force(reads: Reads, one: Signed) -> bool:
    assert isinstance(one.note, BaselineChoice)
    in_force = baselines(every_note(reads, one.instrument_id, "baseline"))
    return in_force[one.note.series].entry_id == one.entry_id
