"""The collector as an agent sees it: signed requests out, answers in words or errors that say what to do."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from agent.clock import Clock
from agent.errors import CollectorAwayError, CollectorRefusedError, SettingsError
from agent.outbox.identity import Identity
from agent.pulse import Pulse
from agent.records.schedules import SCHEDULES_PATH
from agent.records.wire import (
    CURSOR_PATH,
    ENROL_PATH,
    INGEST_PATH,
    ROTATE_PATH,
    TIME_HEADER,
    CursorReply,
    EnrolReply,
    EnrolRequest,
    IngestReply,
    Refusal,
    RotateReply,
    RotateRequest,
)

TIMEOUT_S = 60.0
_MOST_CONNECT_S = 10.0
_ANSWERED_WITHIN = 2  # time-outs: one to be heard at all, one for the whole answer
_LATE_S = 30.0
_MAX_REPLY_BYTES = 4 << 20
_MAX_RETRY_AFTER_S = 3600.0

Reply = TypeVar("Reply", IngestReply, CursorReply, EnrolReply, RotateReply)


class Collector:
    """One collector, spoken to in the name of one identity.

    Parameters
    ----------
    url : str
        ``https://host[:port][/prefix]``; plain http is meant for the same computer.
    identity : Identity
        Signs every request.
    clock : Clock
        Our side of the clock offset.
    verify : Path, str or bool
        A CA file that vouches for the collector, or True for the usual authorities.
    transport : httpx.BaseTransport, optional
        Used instead of the network.
    timeout_s : float
        Longest silence within a request; twice that is the longest answer.

    Attributes
    ----------
    clock_offset_s : float or None
        The collector's clock minus ours at the last answer, taken at the middle of the request.
    pulse : Pulse
        Beats before every request about records.

    Raises
    ------
    SettingsError
        The address or the CA file cannot be used.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        *,
        clock: Clock,
        verify: Path | str | bool = True,
        transport: httpx.BaseTransport | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.url = url.rstrip("/")
        self.clock_offset_s: float | None = None
        self.pulse = Pulse()
        self._timeout_s = timeout_s
        self._identity = identity
        self._clock = clock
        host = _host_of(self.url)
        self._http = httpx.Client(
            verify=_trust(verify),
            transport=transport,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _MOST_CONNECT_S)),
            # A proxy of the environment is used, but never to reach this very computer.
            trust_env=not _is_loopback(host),
        )

    def ingest(self, headers: Mapping[str, str], body: bytes) -> IngestReply:
        """Send a batch; return once the collector has it on its disk."""
        return self._ask("POST", INGEST_PATH, headers, body, IngestReply)

    def cursor(self, spool_id: str) -> CursorReply:
        """Ask how far the collector has come with a spool."""
        return self._ask("GET", f"{CURSOR_PATH}?spool={quote(spool_id)}", {}, b"", CursorReply)

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Make the agent's key known."""
        body = request.model_dump_json().encode()
        return self._ask("POST", ENROL_PATH, {"Content-Type": "application/json"}, body, EnrolReply)

    def rotate(self, request: RotateRequest) -> RotateReply:
        """Replace our key by another; signed with the one there is."""
        body = request.model_dump_json().encode()
        return self._ask("POST", ROTATE_PATH, {"Content-Type": "application/json"}, body, RotateReply)

    def schedules(self, etag: str | None) -> tuple[bytes, str | None] | None:
        """Ask for the schedules of our instrument; return the answer and its ETag, or None when nothing is new."""
        path, began_at = SCHEDULES_PATH, self._clock.wall_at()
        headers = {"If-None-Match": etag} if etag else {}
        signed = self._identity.sign("GET", path, {**headers, TIME_HEADER: began_at.isoformat()}, b"")
        status, told, answer = self._exchange("GET", path, signed, b"")
        if status == 304:
            return None
        if status != 200:
            raise self._error(status, told, answer)
        return answer, told.get("ETag")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, reply: type[Reply]
    ) -> Reply:
        self.pulse.beat((1 + _ANSWERED_WITHIN) * self._timeout_s + _LATE_S)
        began_at = self._clock.wall_at()
        complete = self._identity.sign(method, path, {**headers, TIME_HEADER: began_at.isoformat()}, body)
        status, answer_headers, answer = self._exchange(method, path, complete, body)
        ended_at = self._clock.wall_at()
        if status != 200:
            raise self._error(status, answer_headers, answer)
        try:
            said = reply.model_validate_json(answer, extra="ignore")
        except ValidationError as error:
            raise CollectorAwayError(
                f"{self.url} answered, but not as a collector does: {_excerpt(answer)}. Check the address; a "
                "proxy or a log-in page may stand in between."
            ) from error
        self.clock_offset_s = (said.time - (began_at + (ended_at - began_at) / 2)).total_seconds()
        return said

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, httpx.Headers, bytes]:
        until_ns = self._clock.monotonic_ns() + int(_ANSWERED_WITHIN * self._timeout_s * 1e9)
        try:
            with self._http.stream(method, self.url + path, headers=dict(headers), content=body) as answer:
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > _MAX_REPLY_BYTES:
                        raise CollectorAwayError(f"{self.url} answers without end; check the address.")
                    if self._clock.monotonic_ns() > until_ns:
                        raise CollectorAwayError(f"{self.url} answers too slowly, a few bytes at a time.")
                return answer.status_code, answer.headers, data
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            what = str(error) or type(error).__name__
            raise CollectorAwayError(f"{self.url} cannot be reached ({what}).") from error

    def _error(
        self, status: int, headers: httpx.Headers, answer: bytes
    ) -> CollectorAwayError | CollectorRefusedError:
        refusal = _refusal_in(answer)
        says = refusal.message if refusal else _excerpt(answer)
        if status == 413:
            return CollectorRefusedError(says, status, refusal.error if refusal else "proxy")
        if status == 429 or status >= 500 or refusal is None:
            away = f"{self.url} answered {status}: {says}"
            return CollectorAwayError(away, _retry_after_s(headers, self._clock.wall_at()))
        return CollectorRefusedError(says, status, refusal.error, refusal.expected)


def _host_of(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SettingsError(f"{url!r} is no address of a collector ({error}).") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError(
            f"The collector's address should look like https://collector.example.org; it is {url!r}."
        )
    return parsed.host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _trust(verify: Path | str | bool) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    try:
        return ssl.create_default_context(cafile=str(verify))
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"The CA file {verify} cannot be used ({error}).") from error


def _refusal_in(answer: bytes) -> Refusal | None:
    try:
        return Refusal.model_validate_json(answer, extra="ignore")
    except ValidationError:
        return None


def _excerpt(answer: bytes) -> str:
    return ascii(answer[:120].decode("utf-8", "replace"))


def _retry_after_s(headers: httpx.Headers, now: datetime) -> float | None:
    said = headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), _MAX_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), _MAX_RETRY_AFTER_S)
