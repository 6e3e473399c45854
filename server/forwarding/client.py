"""The upstream collector as this one talks to it: signed requests, and answers told apart by what is to be done."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ValidationError

from agent.records.wire import (
    AGENT_HEADER,
    CURSOR_PATH,
    FIRST_SEQ_HEADER,
    PREV_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    CursorReply,
    Refusal,
    agent_id_of,
    signing_bytes,
)
from server.clock import Now, utc_now
from server.errors import SettingsError
from server.forwarding.errors import UpstreamAwayError, UpstreamRefusedError
from server.forwarding.identity import Keys
from server.forwarding.parcels import End
from server.forwarding.protocol import (
    FORWARD_PATH,
    JOIN_PATH,
    LOG_HEADER,
    PROXY_SPOOL,
    REVOKED_PATH,
    ForwardReply,
    JoinRequest,
    Parcel,
    Revoked,
    RevokedRequest,
    Standing,
)
from server.outgoing import OutgoingError, checked_address
from server.settings import OutgoingSettings, UpstreamSettings

TIMEOUT_S = 30.0
Reply = TypeVar("Reply", bound=BaseModel)
_LONGEST_ASKED_S = 3600
"""Whoever asks us to come back later than that, a proxy perhaps, is asked again all the same."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Upstream:
    """Connections to one upstream collector; close it.

    Parameters
    ----------
    settings : UpstreamSettings
        Where it is.
    outgoing : OutgoingSettings
        Where this collector may send anything at all.
    keys : Keys
        Sign every request.
    now : callable
        This side's clock.

    Raises
    ------
    SettingsError
        The address is not https, or the CA file cannot be used.
    """

    def __init__(
        self, settings: UpstreamSettings, outgoing: OutgoingSettings, keys: Keys, now: Now = utc_now
    ) -> None:
        self._base = httpx.URL(settings.url.rstrip("/"))
        if self._base.scheme != "https" and self._base.host not in _LOOPBACK:
            raise SettingsError(f"[upstream] url must begin with https://; it is {settings.url!r}.")
        self._allowed: Sequence[str] = outgoing.allowed
        self._keys = keys
        self._now = now
        self._client = httpx.Client(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=_trust(settings.ca_file)
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def join(self, request: JoinRequest) -> Standing:
        """Enrol this collector with a join code."""
        return self._ask(Standing, "POST", JOIN_PATH, self._keys.key, request.model_dump_json().encode())

    def standing(self) -> Standing:
        """Return where our log stands there."""
        return self._ask(Standing, "GET", FORWARD_PATH, self._keys.key)

    def end_of(self, key: Ed25519PrivateKey) -> End:
        """Return where the spool ends that a derived key signs."""
        try:
            reply = self._ask(CursorReply, "GET", f"{CURSOR_PATH}?spool={PROXY_SPOOL}", key)
        except UpstreamRefusedError as refused:
            if refused.error == "unknown_agent":
                return End(0, "0" * 64)
            raise
        return End(reply.acked, reply.chain)

    def send(self, log_id: str, prev: str, parcels: Sequence[Parcel]) -> tuple[ForwardReply, int]:
        """Send parcels in order; return the answer, which comes after the commit, and how many bytes went."""
        raw = b"".join(parcel.model_dump_json(exclude_defaults=True).encode() + b"\n" for parcel in parcels)
        body = zstandard.ZstdCompressor(level=3).compress(raw)
        headers = {LOG_HEADER: log_id, FIRST_SEQ_HEADER: str(parcels[0].number), PREV_HEADER: prev}
        reply = self._ask(ForwardReply, "POST", FORWARD_PATH, self._keys.key, body, headers, "zstd")
        return reply, len(body)

    def tell_revoked(self, agents: tuple[Revoked, ...]) -> None:
        """Tell which agents are shut out; a collector of an earlier version does not know how to listen."""
        body = RevokedRequest(agents=agents).model_dump_json().encode()
        try:
            self._ask(Standing, "POST", REVOKED_PATH, self._keys.key, body)
        except UpstreamRefusedError as refused:
            if refused.error not in ("not_found", "method_not_allowed"):
                raise

    def _ask(
        self,
        model: type[Reply],
        method: str,
        path: str,
        key: Ed25519PrivateKey,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        encoding: str = "identity",
    ) -> Reply:
        signed = self._signed(method, path, key, body, headers or {})
        reply = self._sent(method, path, body, {**signed, "Content-Encoding": encoding})
        if not reply.is_success:
            raise _refusal(self._base.host, reply)
        try:
            return model.model_validate_json(reply.content)
        except ValidationError as error:
            raise UpstreamAwayError(
                f"{self._base.host} answered as no collector does; check [upstream] url."
            ) from error

    def _sent(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        host = self._base.host
        try:
            address = host if host in _LOOPBACK else checked_address(host, self._allowed)
            return self._client.request(
                method,
                f"{self._base.copy_with(host=address)}".rstrip("/") + path,
                content=body,
                headers={**headers, "Host": self._base.netloc.decode("ascii")},
                extensions={"sni_hostname": host},
            )
        except OutgoingError as error:
            raise UpstreamAwayError(str(error)) from error
        except httpx.HTTPError as error:
            raise UpstreamAwayError(f"{host} could not be reached: {error}.") from error

    def _signed(
        self, method: str, path: str, key: Ed25519PrivateKey, body: bytes, headers: dict[str, str]
    ) -> dict[str, str]:
        told = {
            AGENT_HEADER: agent_id_of(key.public_key().public_bytes_raw()),
            TIME_HEADER: self._now().isoformat(),
            **headers,
        }
        seen_path = urlsplit(str(self._base)).path.rstrip("/") + path
        signature = key.sign(signing_bytes(method, seen_path, told, body))
        return {**told, SIGNATURE_HEADER: base64.b64encode(signature).decode()}


def _refusal(host: str, reply: httpx.Response) -> UpstreamAwayError | UpstreamRefusedError:
    try:
        told = Refusal.model_validate_json(reply.content)
    except ValidationError:
        told = Refusal(error="http_error", message=f"It answered {reply.status_code}.")
    if reply.status_code in (429, 502, 503, 504) or reply.status_code >= 500:
        after = reply.headers.get("retry-after", "")
        asked_s = min(int(after[:9]), _LONGEST_ASKED_S) if after.isdecimal() else None
        return UpstreamAwayError(f"{host}: {told.message}", asked_s)
    return UpstreamRefusedError(told.error, f"{host}: {told.message}")


def _trust(ca_file: str) -> ssl.SSLContext | bool:
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"[upstream] ca_file {ca_file} cannot be used: {error}.") from error
