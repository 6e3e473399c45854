"""Who may sign in, as what, for which instruments and until when; and the tokens of programs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from server.access.letting_in import (
    Admission,
    end_of,
    new_token,
    put_person,
    remove_person,
    remove_token,
    scope_told,
    sign_in_link_for,
)
from server.access.people import Person
from server.access.roles import ROLES, Role
from server.access.scope import Scope
from server.collector import Collector
from server.dependencies import TheAddress, TheCollector, TheSiteAdmin, found
from server.web.render import render

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Form(max_length=200)]
Long = Annotated[str, Form(max_length=4000)]


def admission_told(
    name: Short,
    role: Annotated[Role, Form()],
    sites: Long = "",
    instruments: Long = "",
    last_day: Short = "",
) -> Admission:
    """Return whom a form lets in, as what, for which instruments and until when."""
    return Admission(name.strip(), role, scope_told(sites, instruments, role), end_of(last_day))


TheAdmission = Annotated[Admission, Depends(admission_told)]


@router.get("/admin/people")
def people(request: Request, collector: TheCollector, person: TheSiteAdmin) -> Response:
    """Show people and tokens."""
    return _page(request, collector, person)


@router.post("/admin/people")
def put(
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    wanted: TheAdmission,
    form_token: Short = "",
) -> Response:
    """Add a person, or change role, scope and end of somebody."""
    person.must_have_sent(form_token)
    put_person(collector, person, wanted, address)
    return _back()


@router.post("/admin/people/{name}/remove")
def remove(
    name: str, collector: TheCollector, person: TheSiteAdmin, address: TheAddress, form_token: Short = ""
) -> Response:
    """Remove a person and end all their sessions."""
    person.must_have_sent(form_token)
    found(remove_person(collector, person, name, address) or None, "person")
    return _back()


@router.post("/admin/people/{name}/link")
def link(
    request: Request,
    name: str,
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    form_token: Short = "",
) -> Response:
    """Make a one-time sign-in link and show it, this once."""
    person.must_have_sent(form_token)
    secret = sign_in_link_for(collector, person, name, address)
    base = (collector.settings.collector.url or str(request.base_url)).rstrip("/")
    return _page(request, collector, person, new_link=f"{base}/sign-in/{secret}", link_for=name)


@router.post("/admin/tokens")
def make_token(
    request: Request,
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    wanted: TheAdmission,
    form_token: Short = "",
) -> Response:
    """Make an API token and show it, this once."""
    person.must_have_sent(form_token)
    return _page(request, collector, person, new_token=new_token(collector, person, wanted, address))


@router.post("/admin/tokens/{secret_sha256}/remove")
def end_token(
    secret_sha256: str,
    collector: TheCollector,
    person: TheSiteAdmin,
    address: TheAddress,
    form_token: Short = "",
) -> Response:
    """Shut a token out."""
    person.must_have_sent(form_token)
    found(remove_token(collector, person, secret_sha256, address) or None, "token")
    return _back()


def _page(
    request: Request,
    collector: Collector,
    person: Person,
    new_token: str = "",
    new_link: str = "",
    link_for: str = "",
) -> Response:
    with collector.store.reading() as reads:
        users, tokens, instruments = reads.users(), reads.tokens(), reads.instruments()
    return render(
        request,
        "people.html",
        person,
        users=[(user, Scope.kept(user.scope)) for user in users],
        tokens=[(token, Scope.kept(token.scope)) for token in tokens],
        roles=ROLES,
        sites=sorted({one.site for one in instruments}),
        instruments=instruments,
        new_token=new_token,
        new_link=new_link,
        link_for=link_for,
    )


def _back() -> Response:
    return RedirectResponse("/admin/people", status_code=303)
