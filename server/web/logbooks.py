"""The logbooks of all instruments, looked through together."""

from __future__ import annotations

from datetime import date
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson
from server.errors import RefusedError
from server.logbook import KINDS, WORK
from server.logbook_search import Wanted, find
from server.web.render import render

PAGE = 50

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Query(max_length=200)]


@router.get("/logbook")
def logbooks(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    instrument: Short = "",
    kind: Short = "",
    device: Short = "",
    who: Short = "",
    q: Short = "",
    since: Short = "",
    until: Short = "",
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Show the notes that have what is wanted, the last written first."""
    wanted = Wanted(
        instrument, kind, device, who, q, _day(since), _day(until), collector.settings.collector.zone
    )
    with collector.store.reading() as reads:
        page = list(islice(find(reads, wanted, before), PAGE + 1))
        names = {one.instrument_id: one.name for one in reads.instruments()}
    given = {
        "instrument": instrument,
        "kind": kind,
        "device": device,
        "who": who,
        "q": q,
        "since": since,
        "until": until,
    }

    def link(path: str, **different: Any) -> str:
        told = {name: value for name, value in {**given, **different}.items() if value}
        return f"{path}?{urlencode(told)}" if told else path

    return render(
        request,
        "logbooks.html",
        person,
        notes=page[:PAGE],
        wanted=wanted,
        kinds=(*WORK, *KINDS[1:]),
        names=names,
        link=link,
        is_first=before is None,
        is_narrowed=any(given.values()),
        before=page[PAGE - 1].position if len(page) > PAGE else None,
    )


def _day(text: str) -> date | None:
    """Return a day of a form, in which an empty field is no day."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise RefusedError(
            400, "malformed_request", f"{text[:20]!r} is no day; such as 2026-05-04."
        ) from error
