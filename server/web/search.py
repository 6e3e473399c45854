"""Looking acquisitions up: by file name, hash, person, time, light path, verdict, instrument."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from agent.records import QcStatus
from server.dependencies import TheCollector, ThePerson
from server.errors import RefusedError
from server.ingest.searching import SORTS, words_of
from server.order import by_name
from server.places import from_cursor, next_cursor
from server.store.base import Reads
from server.store.connection import to_uuid
from server.store.rows import AcquisitionQuery
from server.web.render import render

PAGE = 50
MOST_CHOICES = 300
VERDICTS = [status.value for status in QcStatus]

_HASH = re.compile(r"[0-9a-f]{12,64}", re.IGNORECASE)

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Query(max_length=200)]


@router.get("/acquisitions")
def search(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    q: Short = "",
    instrument: Short = "",
    since: Short = "",
    until: Short = "",
    objective: Short = "",
    channel: Short = "",
    camera: Short = "",
    who: Annotated[str, Query(alias="person", max_length=200)] = "",
    qc: Short = "",
    before: Annotated[str | None, Query()] = None,
) -> Response:
    """Show the acquisitions of all instruments that have all that is asked for, newest first."""
    chosen = {"objective": objective, "channel": channel, "camera": camera, "person": who, "qc": qc}
    given = {"q": q.strip(), "instrument": instrument, "since": since, "until": until, **chosen}
    with collector.store.reading() as reads:
        acquisition_id = to_uuid(q.strip())
        if acquisition_id and reads.acquisition(str(acquisition_id)):
            return RedirectResponse(f"/acquisitions/{acquisition_id}", status_code=303)
        page = reads.find_acquisitions(_query(given, chosen), from_cursor(before), PAGE)
        datasets = reads.datasets([one.acquisition_id for one in page])
        shown = {one.instrument_id for one in page}
        names = {key: one.name for key in shown if (one := reads.instrument(key))}
        instruments = instrument_choices(reads)
        choices = {sort: reads.search_terms(sort, MOST_CHOICES) for sort in SORTS} | {"qc": VERDICTS}
    return render(
        request,
        "search.html",
        person,
        acquisitions=page,
        datasets=datasets,
        names=names,
        instruments=instruments,
        choices=choices,
        given=given,
        query=urlencode({name: value for name, value in given.items() if value}),
        before=next_cursor(page, PAGE),
        is_first=before is None,
    )


def instrument_choices(reads: Reads) -> dict[str, str] | None:
    """Return the instruments to choose from, by id; None when they are too many for a list."""
    everything = by_name(reads.instruments(MOST_CHOICES + 1))
    return {one.instrument_id: one.name for one in everything} if len(everything) <= MOST_CHOICES else None


def _query(given: dict[str, str], chosen: dict[str, str]) -> AcquisitionQuery:
    is_hash = _HASH.fullmatch(given["q"]) is not None
    until = _day(given["until"])
    return AcquisitionQuery(
        instrument_id=given["instrument"] or None,
        since=_day(given["since"]),
        until=until + timedelta(days=1) if until else None,
        words=() if is_hash else tuple(words_of(given["q"])),
        terms=tuple((sort, text) for sort, text in chosen.items() if text),
        sha256=given["q"] if is_hash else "",
    )


def _day(text: str) -> datetime | None:
    """Return the start of a day that a form tells, in UTC; None without one."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise RefusedError(400, "malformed_request", "Expected a day such as 2026-05-04.") from error
    return day if day.year < 9999 else None
