"""What routes ask for: the collector, the person, the client's address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from server.access.people import Person, person_of
from server.access.roles import Permission
from server.collector import Collector
from server.errors import NotSignedInError, RefusedError

SESSION_COOKIE = "scopestamp_session"

T = TypeVar("T")


async def the_whole_collector(request: Request) -> Collector:
    """Return the collector the app was made with; async, or every request would go through a thread for it."""
    return collector_of(request)


def collector_of(request: Request) -> Collector:
    """Return the collector the app was made with."""
    return request.app.state.collector


async def the_address(request: Request) -> str:
    """Return the client's address."""
    return address_of(request)


def address_of(request: Request) -> str:
    """Return the client's address, as the trusted proxy in front reports it."""
    return request.client.host if request.client else "unknown"


def signed_in(request: Request) -> Person:
    """Return the person behind a bearer token or a session cookie, or raise `NotSignedInError`."""
    person = _person_behind(request)
    request.state.person_name = person.name
    return person


def _person_behind(request: Request) -> Person:
    collector = collector_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    cookie = request.cookies.get(SESSION_COOKIE)
    with collector.store.reading_newest() as reads:
        if scheme.lower() == "bearer" and token:
            return person_of(reads, token.strip(), "token", collector.now())
        if cookie:
            return person_of(reads, cookie, "session", collector.now())
    raise NotSignedInError


async def the_collector(request: Request, person: Annotated[Person, Depends(signed_in)]) -> Collector:
    """Return the collector as the person who asks may see it; who is not signed in sees nothing."""
    return collector_of(request).seen_in(person.scope)


def allowed(permission: Permission) -> Callable[[Person], Person]:
    """Return a dependency that gives the signed-in person when the role allows it, and refuses with 403 otherwise."""

    def person_who_may(person: Annotated[Person, Depends(signed_in)]) -> Person:
        person.must(permission)
        return person

    return person_who_may


def from_our_pages(request: Request) -> None:
    """Refuse a form that a browser says comes from another site; for forms sent before there is a session."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RefusedError(403, "foreign_form", "This form came from another site; open the page itself.")


def found(value: T | None, what: str) -> T:
    """Return the value, or refuse with 404 naming what there is none of."""
    if value is None:
        raise RefusedError(404, "not_found", f"There is no such {what}.")
    return value


def allowed_everywhere(permission: Permission) -> Callable[[Person], Person]:
    """Return a dependency as `allowed` does, for what concerns all instruments: a limited scope is refused."""

    def person_who_may(person: Annotated[Person, Depends(signed_in)]) -> Person:
        person.must(permission)
        person.must_see_everything()
        return person

    return person_who_may


TheCollector = Annotated[Collector, Depends(the_collector)]
"""In the scope of the person who asks. This is what routes for people take."""
WholeCollector = Annotated[Collector, Depends(the_whole_collector)]
"""For agents, which sign for themselves, and for signing in."""
TheAddress = Annotated[str, Depends(the_address)]
AnyPerson = Annotated[Person, Depends(signed_in)]
ThePerson = Annotated[Person, Depends(allowed(Permission.VIEW))]
TheOperator = Annotated[Person, Depends(allowed(Permission.OPERATE))]
TheStaff = Annotated[Person, Depends(allowed(Permission.MAINTAIN))]
TheSiteAdmin = Annotated[Person, Depends(allowed(Permission.ADMINISTER))]
"""Also one of a few sites; the route must keep within the scope what it changes."""
TheAdmin = Annotated[Person, Depends(allowed_everywhere(Permission.ADMINISTER))]
TheAuditor = Annotated[Person, Depends(allowed_everywhere(Permission.AUDIT))]
TheServicePerson = Annotated[Person, Depends(allowed(Permission.VIEW_HEALTH))]
"""Everybody who may see health, vendors too: such a route shows no people, samples and files."""
