"""What administrators do for instruments: let them in, shut agents out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from server.access.enrolment import WAITING, join_code_row
from server.access.people import Person
from server.access.secrets import new_join_code
from server.collector import Collector
from server.dependencies import TheAddress, TheCollector, TheSiteAdmin, found
from server.errors import RefusedError
from server.forwarding.revoked import revoked_below
from server.web.render import render

MAX_NAME = 120

router = APIRouter(include_in_schema=False)


@router.get("/admin")
def admin(request: Request, collector: TheCollector, person: TheSiteAdmin) -> Response:
    """Show agents and join codes."""
    return _page(request, collector, person, new_code=None)


@router.post("/admin/join-codes")
def make_join_code(
    request: Request,
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    form_token: Annotated[str, Form()] = "",
    instrument: Annotated[str, Form(max_length=MAX_NAME)] = "",
    site: Annotated[str, Form(max_length=MAX_NAME)] = "",
    instrument_id: Annotated[str, Form(max_length=MAX_NAME)] = "",
    hours: Annotated[float, Form(gt=0, le=720)] = 24,
) -> Response:
    """Make a join code and show it, this once."""
    person.must_have_sent(form_token)
    if not instrument.strip() or not site.strip():
        raise RefusedError(400, "malformed_request", "A join code needs the instrument's name and its site.")
    _check_site(collector, person, site.strip(), instrument_id.strip())
    code = new_join_code()
    row = join_code_row(
        code, instrument.strip(), site.strip(), instrument_id.strip(), person.name, collector.now(), hours
    )
    collector.writer.do(lambda writes: writes.add_join_code(row))
    collector.note(person.name, "join-code new", f"for {row.instrument_name} at {row.site}", address=address)
    return _page(request, collector, person, new_code=code)


@router.post("/admin/agents/{agent_id}/revoke")
def revoke(
    agent_id: str,
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Shut an agent out; what it sent stays."""
    person.must_have_sent(form_token)
    with collector.store.reading() as reads:
        found(reads.agent(agent_id), "agent")
    collector.writer.do(lambda writes: writes.revoke_agent(agent_id, collector.now()))
    collector.note(person.name, "agent revoked", agent_id, address=address)
    return RedirectResponse("/admin", status_code=303)


@router.post("/admin/agents/{agent_id}/approve")
def approve(
    agent_id: str,
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """Let an enrolled agent send: its fingerprint is the one its computer shows."""
    person.must_have_sent(form_token)
    with collector.store.reading() as reads:
        found(reads.agent(agent_id), "agent")
    found(
        collector.writer.do(lambda writes: writes.remove_document(WAITING, agent_id)) or None, "waiting agent"
    )
    collector.note(person.name, "agent approved", agent_id, address=address)
    return RedirectResponse("/admin", status_code=303)


def _check_site(collector: Collector, person: Person, site: str, instrument_id: str) -> None:
    """Refuse a code for another site, or one that would take an instrument over, beyond the person's scope."""
    if not person.scope.has_site(site):
        raise RefusedError(403, "not_allowed", f"You may let instruments in at {person.scope} only.")
    if instrument_id and person.scope.is_limited:
        with collector.store.reading() as reads:
            found(reads.instrument(instrument_id), "instrument")


def _page(request: Request, collector: Collector, person: Person, new_code: str | None) -> Response:
    with collector.store.reading() as reads:
        return render(
            request,
            "admin.html",
            person,
            new_code=new_code,
            agents=reads.agents(),
            revoked_below=revoked_below(reads),
            instruments={one.instrument_id: one for one in reads.instruments()},
            join_codes=reads.join_codes(),
            waiting={one.key for one in reads.documents(WAITING)},
        )
