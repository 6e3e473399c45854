"""The logbook of an instrument, and what people say of one quality-control run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from server.access.people import Person
from server.collector import Collector
from server.dependencies import TheAddress, TheCollector, TheOperator, ThePerson, TheStaff, found
from server.errors import RefusedError
from server.logbook import (
    WORK,
    AttachedFile,
    Invalidation,
    Maintenance,
    Note,
    SignOff,
    baseline_choice,
    notes,
    standing_of,
    write,
)
from server.quality.runs import find_run
from server.store.base import Writes
from server.store.rows import Attachment, AuditEntry
from server.web.render import render

PAGE = 50
MAX_FILES = 5
MAX_FILE_BYTES = 10 << 20
SHOWN_AS = {"image/png", "image/jpeg", "application/pdf", "text/plain", "text/csv"}
"""Media types that are sent as they are; anything else is a mere download."""

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=4000)]
Short = Annotated[str, Form(max_length=200)]


@router.get("/instruments/{instrument_id}/logbook")
def logbook(
    request: Request,
    instrument_id: str,
    collector: TheCollector,
    person: ThePerson,
    before: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Show what people wrote of the instrument, newest first, and let them write."""
    with collector.store.reading() as reads:
        instrument = found(reads.instrument(instrument_id), "instrument")
        page = notes(reads, instrument_id, before=before, limit=PAGE)
    return render(
        request,
        "logbook.html",
        person,
        instrument=instrument,
        notes=page,
        works=WORK,
        today=collector.now().date(),
        is_first=before is None,
        before=page[-1].position if len(page) == PAGE else None,
    )


@router.post("/instruments/{instrument_id}/logbook")
def add_maintenance(
    instrument_id: str,
    collector: TheCollector,
    person: TheOperator,
    address: TheAddress,
    work: Short,
    day: Annotated[date, Form()],
    title: Short,
    form_token: Annotated[str, Form()] = "",
    text: Text = "",
    device: Short = "",
    done_by: Short = "",
    minutes: Annotated[int, Form(ge=0)] = 0,
    files: Annotated[list[UploadFile] | None, File()] = None,
) -> Response:
    """Write down something that was done to the instrument."""
    person.must_have_sent(form_token)
    with collector.store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
    kept = _kept(files or [])
    said = dict(work=work, day=day, title=title, text=text, device=device, done_by=done_by, minutes=minutes)
    try:
        note = Maintenance(**said, files=tuple(told for told, _ in kept))
    except ValidationError as error:
        first = error.errors()[0]
        raise RefusedError(
            400, "malformed_request", f"{'.'.join(map(str, first['loc']))}: {first['msg']}."
        ) from error
    _put(collector, note, instrument_id, person, address, None, [attachment for _, attachment in kept])
    return _back(f"/instruments/{quote(instrument_id, safe='')}/logbook")


@router.get("/attachments/{sha256}")
def attachment(
    sha256: str, collector: TheCollector, person: ThePerson, name: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Give a file back; it is never shown inside our pages."""
    with collector.store.reading() as reads:
        kept = found(reads.attachment(sha256), "attachment")
    media_type = kept.media_type if kept.media_type in SHOWN_AS else "application/octet-stream"
    disposition = f"attachment; filename*=UTF-8''{quote(name or sha256, safe='')}"
    return Response(kept.content, media_type=media_type, headers={"Content-Disposition": disposition})


@dataclass(frozen=True, slots=True)
class Said:
    """Somebody of the staff who says something of a run, on a form of ours."""

    collector: Collector
    person: Person
    address: str

    def of_run(self, note: Note, record_id: str) -> Response:
        """Keep what is said, and go back to the run's page."""
        with self.collector.store.reading() as reads:
            run = found(find_run(reads, record_id), "quality-control run")
        subject = str(run.row.record_id)
        _put(self.collector, note, run.row.instrument_id, self.person, self.address, subject, [])
        return _back(f"/qc/{subject}#said")


def said_by_staff(
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    form_token: Annotated[str, Form()] = "",
) -> Said:
    """Return who speaks, once the form is known to be ours."""
    person.must_have_sent(form_token)
    return Said(collector, person, address)


TheSaid = Annotated[Said, Depends(said_by_staff)]


@router.post("/qc/{record_id}/sign-off")
def sign_off(record_id: str, said: TheSaid, comment: Text = "") -> Response:
    """Answer for a run."""
    return said.of_run(SignOff(comment=comment), record_id)


@router.post("/qc/{record_id}/invalidate")
def invalidate(record_id: str, said: TheSaid, reason: Text = "") -> Response:
    """Declare a run invalid. It stays, with the reason."""
    if not reason.strip():
        raise RefusedError(
            400, "malformed_request", "Say why the run is invalid: the reason is kept with it."
        )
    return said.of_run(Invalidation(reason=reason), record_id)


@router.post("/qc/{record_id}/baseline")
def make_baseline(record_id: str, said: TheSaid, comment: Text = "") -> Response:
    """Make a run time zero of its series."""
    with said.collector.store.reading() as reads:
        choice = found(baseline_choice(reads, record_id, comment), "quality-control run")
        if standing_of(reads, record_id).invalidation is not None:
            raise RefusedError(
                409, "invalid_run", "This run was declared invalid; make another one the baseline."
            )
    return said.of_run(choice, record_id)


def _put(
    collector: Collector,
    note: Note,
    instrument_id: str,
    person: Person,
    address: str,
    subject: str | None,
    attachments: list[Attachment],
) -> None:
    """Keep the note, its files and the audit entry together or not at all."""
    now = collector.now()
    about = f"{instrument_id}, {subject}" if subject else instrument_id

    def job(writes: Writes) -> None:
        for one in attachments:
            writes.add_attachment(one)
        write(writes, note, instrument_id, person.name, now, subject)
        writes.add_audit(AuditEntry(now, person.name, f"logbook {note.kind}", "done", about, address))

    collector.writer.do(job)


def _kept(files: list[UploadFile]) -> list[tuple[AttachedFile, Attachment]]:
    given = [file for file in files if file.filename]
    if len(given) > MAX_FILES:
        raise RefusedError(413, "too_many_files", f"At most {MAX_FILES} files a note; {len(given)} came.")
    kept = []
    for file in given:
        content = file.file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise RefusedError(
                413,
                "file_too_large",
                f"{file.filename} is larger than {MAX_FILE_BYTES >> 20} MiB; attach a smaller copy.",
            )
        media_type = file.content_type or "application/octet-stream"
        sha256 = hashlib.sha256(content).hexdigest()
        told = AttachedFile(
            name=(file.filename or "")[-200:], sha256=sha256, media_type=media_type, size_bytes=len(content)
        )
        kept.append((told, Attachment(sha256, media_type, content)))
    return kept


def _back(path: str) -> Response:
    return RedirectResponse(path, status_code=303)
