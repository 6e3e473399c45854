"""Response headers that keep a browser from doing anything but showing our own pages."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PLAIN = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_NEVER_CACHED = (b"cache-control", b"no-store")
_ONLY_TLS = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """ASGI middleware that adds the headers to every answer; all but static files are also never cached."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _secured(message.get("headers", ()), scope)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _secured(headers: Iterable[tuple[bytes, bytes]], scope: Scope) -> list[tuple[bytes, bytes]]:
    ours = [*_PLAIN]
    if not scope["path"].startswith("/static/"):
        ours.append(_NEVER_CACHED)
    if scope["scheme"] == "https":
        ours.append(_ONLY_TLS)
    names = {name for name, _ in ours}
    return [*(one for one in headers if one[0].lower() not in names), *ours]
