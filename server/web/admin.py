"""What administrators do: let instruments in, shut agents out, see who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from server.dependencies import TheAddress, TheAdmin, TheCollector, found
from server.enrolment import join_code_row
from server.errors import RefusedError
from server.people import Person
from server.secrets import new_join_code
from server.web.render import render

MAX_NAME = 120

router = APIRouter(include_in_schema=False)


@router.get("/admin")
def admin(request: Request, collector: TheCollector, person: TheAdmin) -> Response:
    """Show agents, join codes, people and the audit log."""
    return _page(request, person, new_code=None)


@router.post("/admin/join-codes")
def make_join_code(
    request: Request,
    collector: TheCollector,
    person: TheAdmin,
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
    code = new_join_code()
    row = join_code_row(
        code, instrument.strip(), site.strip(), instrument_id.strip(), person.name, collector.now(), hours
    )
    collector.writer.do(lambda writes: writes.add_join_code(row))
    collector.note(person.name, "join-code new", f"for {row.instrument_name} at {row.site}", address=address)
    return _page(request, person, new_code=code)


@router.post("/admin/agents/{agent_id}/revoke")
def revoke(
    agent_id: str,
    collector: TheCollector,
    person: TheAdmin,
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


def _page(request: Request, person: Person, new_code: str | None) -> Response:
    with request.app.state.collector.store.reading() as reads:
        return render(
            request,
            "admin.html",
            person,
            new_code=new_code,
            agents=reads.agents(),
            instruments={one.instrument_id: one for one in reads.instruments()},
            join_codes=reads.join_codes(),
            users=reads.users(),
            audit=reads.audit(50),
        )
