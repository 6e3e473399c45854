"""What programs are answered that ask for what cannot be."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from server.errors import NotSignedInError, RefusedError

_UNREAD = (408, 413)
"""Answers to what was not read to its end: nothing else can come on that connection."""


def refusal_answer(refused: RefusedError) -> JSONResponse:
    """Return the answer that says why a request is declined."""
    headers = {}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    if refused.status in _UNREAD:
        headers["Connection"] = "close"
    if isinstance(refused, NotSignedInError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(refused.refusal.model_dump(exclude_none=True), refused.status, headers)
