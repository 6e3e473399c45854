"""One record with its provenance, and the quarantine."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson, found
from server.ingest.evidence import batch_of, is_signature_good, raw_line
from server.web.render import render

PAGE = 50

router = APIRouter(include_in_schema=False)


@router.get("/records/{record_id}")
def record(request: Request, record_id: str, collector: TheCollector, person: ThePerson) -> Response:
    """Show one record as readable JSON, and how it came here."""
    with collector.store.reading() as reads:
        row = found(reads.record(record_id.lower()), "record")
        raw = raw_line(reads, row)
        batch = batch_of(reads, row)
        return render(
            request,
            "record.html",
            person,
            row=row,
            instrument=reads.instrument(row.instrument_id),
            batch=batch,
            is_signature_good=is_signature_good(reads, batch),
            text=json.dumps(json.loads(raw), indent=2, ensure_ascii=False),
            n_bytes=len(raw),
        )


@router.get("/quarantine")
def quarantine(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Show what was kept but not filed, and why."""
    with collector.store.reading() as reads:
        rows = reads.quarantine(before, PAGE)
    following = rows[-1].position if len(rows) == PAGE else None
    return render(request, "quarantine.html", person, rows=rows, before=following, is_first=before is None)
