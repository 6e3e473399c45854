"""One instrument: what it is, how it stands, what happened to it; its change log and its acquisitions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from agent.records import AgentEvent, UsageSession
from server.alerts.book import Alert, book_of
from server.dependencies import TheAddress, TheCollector, ThePerson, TheStaff, found
from server.errors import RefusedError
from server.fleet import FACTS, Facts, model_of
from server.health import health_of
from server.ingest.evidence import records_of
from server.logbook import notes
from server.places import from_cursor, next_cursor, to_cursor
from server.quality.runs import standing_series
from server.quality.schedules import groups, plan_told
from server.store.base import Reads, Writes
from server.store.rows import AuditEntry, ChangeRow, Instrument, Place
from server.web.alerts import in_words, urgency
from server.web.render import render
from server.web.state import description_of, state_now

PAGE = 50
FEW = 8
MOST_NEXT = 8
SCANNED = 2000
"""Entries of the change log looked at for one page of a filter that no index answers."""

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Query(max_length=200)]
Line = Annotated[str, Form(max_length=200)]


@router.get("/instruments/{instrument_id}")
def instrument(request: Request, instrument_id: str, collector: TheCollector, person: ThePerson) -> Response:
    """Show one instrument: what it is, how it stands, what happened."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        latest = reads.latest(instrument_id)
        acquisitions = reads.acquisitions(instrument_id, limit=FEW)
        return render(
            request,
            "instrument.html",
            person,
            instrument=row,
            model=model_of(reads, instrument_id, row.model),
            groups=[name for name, members in groups(reads).items() if instrument_id in members],
            health=health_of(reads, row, collector.now(), collector.silent_after),
            agents=reads.agents(instrument_id),
            description=description_of(latest),
            latest=latest,
            state=state_now(reads, instrument_id, latest),
            changes=reads.changes(instrument_id, limit=FEW),
            acquisitions=acquisitions,
            datasets=reads.datasets([one.acquisition_id for one in acquisitions]),
            quality=standing_series(reads, instrument_id),
            alerts=_alerts(reads, instrument_id),
            notes=notes(reads, instrument_id, limit=FEW),
            sessions=_sessions(reads, instrument_id),
            planned=_planned(reads, instrument_id, collector.now()),
            events=_events(reads, instrument_id),
        )


@router.post("/instruments/{instrument_id}/facts")
def write_facts(
    instrument_id: str,
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    name: Line,
    site: Line,
    model: Line = "",
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Name an instrument, its site and its model."""
    person.must_have_sent(form_token)
    if not name.strip() or not site.strip():
        raise RefusedError(400, "malformed_request", "An instrument needs a name and a site.")
    with collector.store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
    now = collector.now()

    def job(writes: Writes) -> None:
        row = found(writes.instrument(instrument_id), "instrument")
        writes.put_instrument(Instrument(instrument_id, name.strip(), site.strip(), row.added_at))
        facts = Facts(model=model.strip() if model.strip() != row.model else "")
        writes.put_document(FACTS, instrument_id, facts.model_dump_json(), now, person.name)
        told = f"{instrument_id}: {name.strip()}, {site.strip()}, {model.strip()}"
        writes.add_audit(AuditEntry(now, person.name, "instrument named", "done", told, address))

    collector.writer.do(job)
    return RedirectResponse(f"/instruments/{quote(instrument_id, safe='')}", status_code=303)


@router.get("/instruments/{instrument_id}/changes")
def changes(
    request: Request,
    instrument_id: str,
    collector: TheCollector,
    person: ThePerson,
    before: Annotated[str | None, Query()] = None,
    device: Short = "",
    what: Short = "",
    cause: Short = "",
    until: Short = "",
) -> Response:
    """Show the change log, newest first."""
    place = from_cursor(before) or _end_of(until)
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        page, following = _changes(reads, instrument_id, place, device, what, cause)
        description = description_of(reads.latest(instrument_id))
    given = {"device": device, "what": what, "cause": cause, "until": until}
    return render(
        request,
        "changes.html",
        person,
        instrument=row,
        changes=page,
        wanted=given,
        query=urlencode({name: value for name, value in given.items() if value}),
        devices=sorted(description.devices) if description else [],
        before=to_cursor(following) if following else None,
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
        datasets = reads.datasets([one.acquisition_id for one in page])
    return render(
        request,
        "acquisitions.html",
        person,
        instrument=row,
        acquisitions=page,
        datasets=datasets,
        before=next_cursor(page, PAGE),
        is_first=before is None,
    )


def _changes(
    reads: Reads, instrument_id: str, before: Place | None, device: str, what: str, cause: str
) -> tuple[list[ChangeRow], Place | None]:
    """Return a page of the change log, and the place behind it when there may be more."""
    taken: list[ChangeRow] = []
    n_seen = 0
    while n_seen < SCANNED:
        rows = reads.changes(instrument_id, before, 500 if what or cause else PAGE, device or None)
        for row in rows:
            before = Place(row.change.last_at.wall_at, row.position)
            if what.casefold() in row.change.property.casefold() and cause in ("", row.change.cause.value):
                taken.append(row)
                if len(taken) == PAGE:
                    return taken, before
        n_seen += len(rows)
        if len(rows) < (500 if what or cause else PAGE):
            return taken, None
    return taken, before


def _end_of(day: str) -> Place | None:
    """Return the place after a day that a form tells, None without one."""
    if not day:
        return None
    try:
        at = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise RefusedError(400, "malformed_request", "Expected a day such as 2026-05-04.") from error
    return Place(at, 0)


def _alerts(reads: Reads, instrument_id: str) -> list[tuple[Alert, str]]:
    firing = [one for one in book_of(reads).values() if one.state == "firing"]
    own = sorted((one for one in firing if one.instrument_id == instrument_id), key=urgency)
    return [(one, in_words(one)) for one in own]


def _sessions(reads: Reads, instrument_id: str) -> list[UsageSession]:
    records = records_of(reads, reads.recent(instrument_id, "usage_session", FEW))
    return [record for record in records if isinstance(record, UsageSession)]


def _planned(reads: Reads, instrument_id: str, now: datetime) -> list[tuple[datetime, str, str]]:
    """Return when which routine runs next, by which schedule."""
    plan = plan_told(reads, instrument_id)
    told = [
        (at, one.routine, one.schedule_id)
        for one in (plan.schedules if plan else ())
        for at in one.next_at
        if at > now and not one.refused
    ]
    return sorted(told)[:MOST_NEXT]


def _events(reads: Reads, instrument_id: str) -> list[AgentEvent]:
    records = records_of(reads, reads.recent(instrument_id, "agent_event", FEW))
    return [record for record in records if isinstance(record, AgentEvent)]
