"""The audit log: who did what, from where, and how it ended; searched, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from server.dependencies import TheAddress, TheAuditor, TheCollector
from server.store.base import Store
from server.web.render import render

PAGE = 100
COLUMNS = ("position", "at", "who", "action", "outcome", "detail", "address", "chain")

router = APIRouter(include_in_schema=False)

Search = Annotated[str, Query(max_length=200)]


@router.get("/audit")
def audit(
    request: Request,
    collector: TheCollector,
    person: TheAuditor,
    q: Search = "",
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Show entries, the last written first."""
    with collector.store.reading() as reads:
        entries = reads.audit(PAGE, before, q)
    following = entries[-1].position if len(entries) == PAGE else None
    return render(
        request,
        "audit.html",
        person,
        entries=entries,
        q=q,
        older=urlencode({"q": q, "before": following}) if following else "",
        is_first=before is None,
        as_csv=urlencode({"q": q}),
    )


@router.get("/audit.csv")
def audit_csv(collector: TheCollector, person: TheAuditor, address: TheAddress, q: Search = "") -> Response:
    """Give the entries as CSV; that they were taken is an entry too."""
    collector.note(person.name, "audit exported", q, address=address)
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    return StreamingResponse(_csv(collector.store, q), media_type="text/csv; charset=utf-8", headers=headers)


def _csv(store: Store, q: str) -> Iterator[str]:
    before: int | None = None
    yield ",".join(COLUMNS) + "\r\n"
    with store.reading() as reads:
        while entries := reads.audit(PAGE, before, q):
            buffer = io.StringIO()
            writer = csv.writer(buffer)
            for entry in entries:
                writer.writerow(_cell(getattr(entry, name)) for name in COLUMNS)
            yield buffer.getvalue()
            before = entries[-1].position


def _cell(value: object) -> str:
    """Return a value for a cell; what a spreadsheet would take for a formula is quoted (ASVS 5.0 1.2.10)."""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
