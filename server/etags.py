"""Conditional answers: a program that asks again and again is told in a few bytes that nothing has changed."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST = 1 << 20


class ETags:
    """ASGI middleware: answers ``GET /v1/…`` with an ETag, and 304 when the asker has it already.

    Only answers that come in one piece are looked at; streams pass as they are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("if-none-match", "")
        held: list[Message] = []

        async def send_with_etag(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                held.append(message)
                return
            if held and message["type"] == "http.response.body":
                start = held.pop()
                body = message.get("body", b"")
                if not message.get("more_body") and len(body) <= LONGEST:
                    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
                    headers = MutableHeaders(scope=start)
                    headers["ETag"] = etag
                    if etag in (one.strip().removeprefix("W/") for one in asked.split(",")):
                        start["status"] = 304
                        del headers["content-length"]
                        message = {"type": "http.response.body", "body": b""}
                await send(start)
            await send(message)

        await self.app(scope, receive, send_with_etag)
