"""Refusals as a person meets them: a page that says what to do, or the way to sign in."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from server.access.people import Person
from server.dependencies import signed_in
from server.errors import NotSignedInError, RefusedError
from server.web.render import render


def page(request: Request, refused: RefusedError) -> Response:
    """Return the page of a refusal; whoever is not signed in is led to the sign-in page and back."""
    if isinstance(refused, NotSignedInError):
        target = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/login?next={quote(target)}", status_code=303)
    person = _person(request, refused)
    response = render(
        request, "refused.html", person, refused.status, refusal=refused.refusal, status=refused.status
    )
    if refused.retry_after_s is not None:
        response.headers["Retry-After"] = str(refused.retry_after_s)
    return response


def _person(request: Request, refused: RefusedError) -> Person | None:
    """Return who is signed in, so that the page still leads on; where the collector itself fails it is not asked again."""
    if refused.status not in (403, 404):
        return None
    try:
        return signed_in(request)
    except RefusedError:
        return None
