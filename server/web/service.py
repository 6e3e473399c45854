"""What vendors see of the instruments they service: health and the agents' log, without people, samples and files."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from agent.records import AgentEvent
from server.dependencies import TheCollector, TheServicePerson, found
from server.health import health_of
from server.ingest.evidence import records_of
from server.order import by_name
from server.store.base import Reads
from server.web.render import render

MOST_EVENTS = 100

router = APIRouter(include_in_schema=False)


@router.get("/service")
def instruments(request: Request, collector: TheCollector, person: TheServicePerson) -> Response:
    """Show the instruments and whether their agents are alive."""
    with collector.store.reading() as reads:
        now = collector.now()
        healths = [health_of(reads, one, now, collector.silent_after) for one in by_name(reads.instruments())]
    return render(request, "service.html", person, healths=healths)


@router.get("/service/{instrument_id}")
def instrument(
    request: Request, instrument_id: str, collector: TheCollector, person: TheServicePerson
) -> Response:
    """Show one instrument's health, its quality control and what its agent logged."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        return render(
            request,
            "service_instrument.html",
            person,
            health=health_of(reads, row, collector.now(), collector.silent_after),
            series=reads.qc_series(instrument_id),
            events=_events(reads, instrument_id),
        )


def _events(reads: Reads, instrument_id: str) -> list[AgentEvent]:
    """Return what the agent logged. Pages show what happened and when; the words may name files and people."""
    records = records_of(reads, reads.recent(instrument_id, "agent_event", MOST_EVENTS))
    return [record for record in records if isinstance(record, AgentEvent)]
