"""Signing in by an identity provider: to it, and back with a session."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from server.access.knowing import let_in
from server.access.oidc import Provider
from server.access.secrets import new_secret
from server.collector import Collector
from server.dependencies import TheAddress, WholeCollector
from server.errors import RefusedError
from server.web.render import render
from server.web.sessions import label_of, with_session

COOKIE = "scopestamp_oidc"
MINUTES = 10

router = APIRouter(include_in_schema=False, prefix="/oidc")


@router.get("/start")
def start(request: Request, collector: WholeCollector, address: TheAddress) -> Response:
    """Send the browser to the provider."""
    collector.attempts.check(address)
    secret = new_secret()
    url = _provider(collector).start(secret, _back_uri(request, collector))
    response = RedirectResponse(url, status_code=303)
    response.set_cookie(
        COOKIE,
        secret,
        max_age=MINUTES * 60,
        path="/oidc",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.get("/back")
def back(request: Request, collector: WholeCollector, address: TheAddress) -> Response:
    """Check what the provider says, and start a session."""
    collector.attempts.check(address)
    try:
        provider = _provider(collector)
        secret = request.cookies.get(COOKIE, "")
        told = provider.finish(secret, request.query_params, _back_uri(request, collector))
        name, session = let_in(collector, told)
    except RefusedError as refused:
        if collector.attempts.failed(address):
            said = f"single sign-on: {refused}"
            collector.note("nobody", "sign-in", said, address=address, refused=True)
        raise
    collector.note(name, "sign-in", "with single sign-on", address=address)
    response = with_session(request, collector, session, "/")
    response.delete_cookie(COOKIE, path="/oidc")
    return response


@router.get("/out")
def out(request: Request, collector: WholeCollector) -> Response:
    """Say that the session here has ended, with the way to end the provider's too; a redirect would break our CSP."""
    base = (collector.settings.collector.url or str(request.base_url)).rstrip("/")
    try:
        way_out = _provider(collector).sign_out(f"{base}/login")
    except RefusedError:  # the provider is away; here the session has ended all the same
        way_out = None
    return render(
        request,
        "login.html",
        None,
        target="/",
        refusal=None,
        name="",
        provider=label_of(collector),
        way_out=way_out,
    )


def _provider(collector: Collector) -> Provider:
    if collector.provider is None:
        raise RefusedError(404, "not_found", "There is no single sign-on here; see [oidc] in the settings.")
    return collector.provider


def _back_uri(request: Request, collector: Collector) -> str:
    return f"{(collector.settings.collector.url or str(request.base_url)).rstrip('/')}/oidc/back"
