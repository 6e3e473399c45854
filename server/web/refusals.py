"""Refusals as a person meets them: a page that says what to do, or the way to sign in."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from server.errors import NotSignedInError, RefusedError
from server.web.render import render


def page(request: Request, refused: RefusedError) -> Response:
    """Return the page of a refusal; whoever is not signed in is led to the sign-in page and back."""
    if isinstance(refused, NotSignedInError):
        target = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/login?next={quote(target)}", status_code=303)
    response = render(
        request, "refused.html", None, refused.status, refusal=refused.refusal, status=refused.status
    )
    if refused.retry_after_s is not None:
        response.headers["Retry-After"] = str(refused.retry_after_s)
    return response
