"""The instruments: all of them, one of them, its change log and its acquisitions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from agent.records import AgentEvent
from server.dependencies import TheCollector, ThePerson, found
from server.health import health_of
from server.ingest.evidence import record_of
from server.places import from_cursor, next_cursor
from server.quality import recent_runs, series_of
from server.store.base import Reads
from server.web.render import render
from server.web.state import description_of, state_now

PAGE = 50
FEW = 8

router = APIRouter(include_in_schema=False)


@router.get("/")
def instruments(request: Request, collector: TheCollector, person: ThePerson) -> Response:
    """Show all instruments and how they fare."""
    with collector.store.reading() as reads:
        now = collector.now()
        healths = [health_of(reads, one, now, collector.silent_after) for one in reads.instruments()]
        n_quarantined = reads.n_quarantined()
    return render(request, "instruments.html", person, healths=healths, n_quarantined=n_quarantined)


@router.get("/instruments/{instrument_id}")
def instrument(request: Request, instrument_id: str, collector: TheCollector, person: ThePerson) -> Response:
    """Show one instrument: what it is, how it stands, what happened."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        latest = reads.latest(instrument_id)
        return render(
            request,
            "instrument.html",
            person,
            instrument=row,
            health=health_of(reads, row, collector.now(), collector.silent_after),
            agents=[agent for agent in reads.agents() if agent.instrument_id == instrument_id],
            description=description_of(latest),
            latest=latest,
            state=state_now(reads, instrument_id, latest),
            changes=reads.changes(instrument_id, limit=FEW),
            acquisitions=reads.acquisitions(instrument_id, limit=FEW),
            quality=series_of(recent_runs(reads, instrument_id)),
            events=_events(reads, instrument_id),
        )


@router.get("/instruments/{instrument_id}/changes")
def changes(
    request: Request,
    instrument_id: str,
    collector: TheCollector,
    person: ThePerson,
    before: Annotated[str | None, Query()] = None,
    device: Annotated[str | None, Query()] = None,
) -> Response:
    """Show the change log, newest first."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        page = reads.changes(instrument_id, from_cursor(before), PAGE, device or None)
    return render(
        request,
        "changes.html",
        person,
        instrument=row,
        changes=page,
        device=device or "",
        before=next_cursor(page, PAGE),
        is_first=before is None,
    )


@router.get("/instruments/{instrument_id}/acquisitions")
def acquisitions(
    request: Request,
    instrument_id: str,
    collector: TheCollector,
    person: ThePerson,
    before: Annotated[str | None, Query()] = None,
) -> Response:
    """Show the acquisitions, newest first."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        page = reads.acquisitions(instrument_id, from_cursor(before), PAGE)
    return render(
        request,
        "acquisitions.html",
        person,
        instrument=row,
        acquisitions=page,
        before=next_cursor(page, PAGE),
        is_first=before is None,
    )


def _events(reads: Reads, instrument_id: str) -> list[AgentEvent]:
    rows = reads.recent(instrument_id, "agent_event", FEW)
    records = [record_of(reads, row) for row in rows]
    return [record for record in records if isinstance(record, AgentEvent)]
