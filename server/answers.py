"""Answers to programs, sent as they are: hundreds of batches a second are answered, each with the same few headers."""

from __future__ import annotations

from starlette.types import Scope, Send

from server.errors import RefusedError
from server.headers import secured

_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_UNREAD = (408, 413)
"""Answers to what was not read to its end: nothing else can come on that connection."""


async def send_json(
    send: Send, scope: Scope, body: bytes, status: int = 200, more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Answer a request with JSON, and with the headers that every answer has.

    Parameters
    ----------
    send, scope
        Of the request.
    body : bytes
        JSON in UTF-8.
    status : int
        Of HTTP.
    more : tuple of (name, value)
        Headers beside the usual ones, names in lower case.
    """
    headers = secured([_JSON, (b"content-length", b"%d" % len(body)), *more], scope)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_refusal(send: Send, scope: Scope, refused: RefusedError) -> None:
    """Answer a request with why it is declined."""
    more = [_CLOSE] if refused.status in _UNREAD else []
    if refused.retry_after_s is not None:
        more.append((b"retry-after", b"%d" % refused.retry_after_s))
    body = refused.refusal.model_dump_json(exclude_none=True).encode()
    await send_json(send, scope, body, refused.status, tuple(more))
