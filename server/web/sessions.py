"""Signing in and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from server.access.people import Person, person_of, sign_in, sign_in_by_link, sign_out
from server.access.roles import Permission
from server.collector import Collector
from server.dependencies import (
    SESSION_COOKIE,
    AnyPerson,
    TheAddress,
    WholeCollector,
    collector_of,
    from_our_pages,
)
from server.errors import RefusedError
from server.languages import LANGUAGE_COOKIE, LANGUAGES
from server.web.render import render

router = APIRouter(include_in_schema=False)


@router.get("/login")
def login_page(request: Request, next: str = "/") -> Response:
    """Ask for name and password."""
    return render(
        request,
        "login.html",
        None,
        target=_own_path(next),
        refusal=None,
        name="",
        provider=label_of(collector_of(request)),
        way_out=None,
    )


@router.post("/login", dependencies=[Depends(from_our_pages)])
def login(
    request: Request,
    collector: WholeCollector,
    address: TheAddress,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Start a session, or say why not."""
    target = _own_path(next)
    try:
        secret = sign_in(collector, name, password, address)
    except RefusedError as refused:
        return render(
            request,
            "login.html",
            None,
            refused.status,
            target=target,
            refusal=refused.refusal,
            name=name,
            provider=label_of(collector_of(request)),
            way_out=None,
        )
    collector.note(name, "sign-in", "with password", address=address)
    return with_session(request, collector, secret, target)


@router.get("/sign-in/{secret}")
def login_by_link(request: Request, secret: str, collector: WholeCollector, address: TheAddress) -> Response:
    """Start a session with a one-time link."""
    name, session = sign_in_by_link(collector, secret, address)
    collector.note(name, "sign-in", "with one-time link", address=address)
    return with_session(request, collector, session, "/")


@router.post("/language", dependencies=[Depends(from_our_pages)])
def choose_language(language: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:
    """Show the pages in another language from now on, in this browser."""
    response = RedirectResponse(_own_path(next), status_code=303)
    if language in LANGUAGES:
        response.set_cookie(LANGUAGE_COOKIE, language, max_age=365 * 86_400, httponly=True, samesite="lax")
    return response


@router.post("/logout")
def logout(
    request: Request,
    collector: WholeCollector,
    person: AnyPerson,
    address: TheAddress,
    form_token: Annotated[str, Form()] = "",
) -> Response:
    """End the session."""
    person.must_have_sent(form_token)
    sign_out(collector, request.cookies.get(SESSION_COOKIE, ""))
    collector.note(person.name, "sign-out", address=address)
    response = RedirectResponse(
        "/oidc/out" if _came_by_provider(collector, person) else "/login", status_code=303
    )
    response.delete_cookie(SESSION_COOKIE)
    return response


def with_session(request: Request, collector: Collector, secret: str, target: str) -> Response:
    """Return the way into the pages with a new session; vendors start at what they may see."""
    with collector.store.reading_newest() as reads:
        person = person_of(reads, secret, "session", collector.now())
    if target == "/" and not person.may(Permission.VIEW):
        target = "/service"
    response = RedirectResponse(target, status_code=303)
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(collector.settings.sessions.hours * 3600),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


def label_of(collector: Collector) -> str:
    """Return what the single sign-on is called, empty without one."""
    oidc = collector.settings.oidc
    return oidc.label if oidc.issuer else ""


def _came_by_provider(collector: Collector, person: Person) -> bool:
    with collector.store.reading_newest() as reads:
        user = reads.user(person.name)
    return collector.provider is not None and user is not None and bool(user.subject)


def _own_path(target: str) -> str:
    """Return the path when it is one of ours; anything a browser could take for another site becomes the start page."""
    is_ours = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_ours and target.isprintable() else "/"
