"""How much one agent or one address may ask for: buckets that fill with time, and bytes a day.

Everything is counted in this process's memory; several collectors on one store each grant the whole of it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from threading import Lock

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.access.attempts import neighbourhood
from server.answers import refusal_answer
from server.clock import Now
from server.errors import RefusedError
from server.settings import LimitSettings

MAX_KEYS = 20_000
"""Agents or addresses remembered; beyond it the oldest is forgotten, so that memory is bounded whoever calls."""

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 << 10
FOR_AGENTS = ("/v1/ingest", "/v1/cursor", "/v1/enrol", "/v1/rotate-key", "/v1/forward")
"""Paths whose callers sign; they are counted by agent, because a site's agents often share one address."""


class Buckets:
    """A token bucket for each key.

    Parameters
    ----------
    per_s : float
        Requests given back each second; 0 means no limit.
    burst : float
        Requests allowed at once.
    now : Now
        The clock.
    """

    def __init__(self, per_s: float, burst: float, now: Now) -> None:
        self._per_s = per_s
        self._burst = max(burst, 1.0)
        self._now = now
        self._left: dict[str, tuple[float, datetime]] = {}
        self._lock = Lock()

    def take(self, key: str) -> int:
        """Take one request; return 0, or in how many seconds there will be one to take."""
        if not self._per_s:
            return 0
        now = self._now()
        with self._lock:
            left, at = self._left.pop(key, (self._burst, now))
            left = min(left + max((now - at).total_seconds(), 0.0) * self._per_s, self._burst)
            self._left[key] = (left - 1 if left >= 1 else left, now)
            if len(self._left) > MAX_KEYS:
                self._left.pop(next(iter(self._left)))
        return 0 if left >= 1 else int((1 - left) / self._per_s) + 1


class AgentLimits:
    """What one agent may send: requests a second, and bytes a day (UTC)."""

    def __init__(self, limits: LimitSettings, now: Now) -> None:
        self._buckets = Buckets(limits.agent_requests_per_s, 10 * limits.agent_requests_per_s, now)
        self._quota_bytes = limits.agent_mb_per_day * 1_000_000
        self._now = now
        self._day = date.min
        self._sent: dict[str, int] = {}
        self._lock = Lock()

    def check(self, agent_id: str, n_bytes: int) -> None:
        """Count a signed request of an agent, or refuse it with 429 and Retry-After."""
        if wait_s := self._buckets.take(agent_id):
            raise _too_many("This agent sends too many requests", wait_s)
        if not self._quota_bytes:
            return
        now = self._now().astimezone(UTC)
        with self._lock:
            if now.date() != self._day:
                self._day, self._sent = now.date(), {}
            n_sent = self._sent.get(agent_id, 0) + n_bytes
            if n_sent <= self._quota_bytes:
                self._sent[agent_id] = n_sent
                return
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
        wait_s = int((midnight - now).total_seconds()) + 1
        raise _too_many("This agent has sent as much as it may in a day ([limits] agent_mb_per_day)", wait_s)


class RequestLimits:
    """ASGI middleware: requests of one address, size of headers and body, and how long a body may take."""

    def __init__(self, app: ASGIApp, limits: LimitSettings, now: Now) -> None:
        self.app = app
        self._limits = limits
        self._buckets = Buckets(limits.address_requests_per_s, 10 * limits.address_requests_per_s, now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = refusal_of_size(scope, self._limits.max_upload_bytes) or self._refusal_of_many(scope)
        if refused is not None:
            await refusal_answer(refused)(scope, receive, send)
            return
        n_bytes, has_begun = 0, False
        ends_at = asyncio.get_running_loop().time() + self._limits.request_timeout_s
        is_whole = False

        async def limited_receive() -> Message:
            nonlocal n_bytes, is_whole
            if is_whole:  # from here on it waits for the client to go, as long as the answer takes
                return await receive()
            async with asyncio.timeout_at(ends_at):
                message = await receive()
            n_bytes += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if n_bytes > self._limits.max_upload_bytes:
                raise _too_large(self._limits.max_upload_bytes)
            return message

        async def noted_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, limited_receive, noted_send)
        except (TimeoutError, RefusedError) as error:
            if has_begun:
                raise
            refused = error if isinstance(error, RefusedError) else too_slow()
            await refusal_answer(refused)(scope, receive, send)

    def _refusal_of_many(self, scope: Scope) -> RefusedError | None:
        if scope["path"].startswith((*FOR_AGENTS, "/static/")):
            return None
        address = scope["client"][0] if scope.get("client") else "unknown"
        wait_s = self._buckets.take(neighbourhood(address))
        return _too_many("Too many requests from this address", wait_s) if wait_s else None


def refusal_of_size(scope: Scope, limit_bytes: int) -> RefusedError | None:
    """Return why a request is too large by its headers, None when it may be read."""
    headers = scope["headers"]
    if (
        len(headers) > MAX_HEADERS
        or sum([len(name) + len(value) for name, value in headers]) > MAX_HEADER_BYTES
    ):
        return RefusedError(431, "headers_too_large", "The request's headers are too many or too long.")
    told = dict(headers).get(b"content-length", b"0")
    if not told.isdigit() or int(told) > limit_bytes:
        return _too_large(limit_bytes)
    return None


def too_slow() -> RefusedError:
    """Return what is answered to a request that did not come to its end."""
    return RefusedError(408, "too_slow", "The request did not come within its time; send it again.")


def _too_many(what: str, wait_s: int) -> RefusedError:
    return RefusedError(429, "too_many_requests", f"{what}; wait {wait_s} s.", retry_after_s=wait_s)


def _too_large(limit_bytes: int) -> RefusedError:
    return RefusedError(413, "too_large", f"A request has at most {limit_bytes} bytes.")
