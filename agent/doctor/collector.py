"""The way to the collector, step by step: name, connection, TLS, who we are to it, clock."""

from __future__ import annotations

import secrets
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, urlsplit

from agent.clock import Clock
from agent.doctor.finding import Finding, Level, Place
from agent.errors import CollectorAwayError, CollectorRefusedError, ScopestampError
from agent.outbox import Identity, enrolment
from agent.outbox.collector import Collector

_TOPIC = "collector"
_CONNECT_S = 5.0
_CLOCK_S = 5.0
_CERTIFICATE_DAYS = 21


def collector(place: Place) -> Iterator[Finding]:
    """Tell how far we get; sends nothing but one signed question."""
    try:
        known = enrolment(place.data_dir)
    except ScopestampError as error:
        yield Finding(_TOPIC, "enrolment", Level.PROBLEM, str(error))
        return
    url = place.settings.collector.url or (known.url if known else "")
    if not url:
        advice = "Records stay on this disk. To send them: scopestamp enrol --url https://…"
        yield Finding(_TOPIC, "address", Level.NOTE, "none is set", advice)
        return
    if known is None:
        advice = f"scopestamp enrol --url {url}, with a join code of the collector's staff."
        yield Finding(_TOPIC, "enrolment", Level.PROBLEM, "this agent is not enrolled", advice)
    if proxy := _proxy(urlsplit(url)):
        yield Finding(_TOPIC, "network", Level.NOTE, f"through the proxy {proxy}")
    else:
        steps = list(_network(urlsplit(url), place.settings.collector.ca_file))
        yield from steps
        if any(step.level is Level.PROBLEM for step in steps):
            return
    if known is not None:
        yield from _asked(place, url)


def _proxy(parts: SplitResult) -> str | None:
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return None
    found = urllib.request.getproxies().get(parts.scheme)
    return found.rpartition("@")[2] if found else None  # a proxy's password is nobody's business


def _network(parts: SplitResult, ca_file: str) -> Iterator[Finding]:
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        addresses = sorted({info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        advice = "Is the network up, and the name right? Try it in a browser on this computer."
        yield Finding(
            _TOPIC, "name", Level.PROBLEM, f"{host} is not known ({error.strerror or error})", advice
        )
        return
    yield Finding(_TOPIC, "name", Level.GOOD, f"{host} is {', '.join(map(str, addresses))}")
    try:
        with socket.create_connection((host, port), _CONNECT_S) as line:
            yield Finding(_TOPIC, "connection", Level.GOOD, f"port {port} answers")
            if parts.scheme == "https":
                yield _certificate(line, host, ca_file)
            else:
                yield _plain(host)
    except ssl.SSLError as error:
        advice = (
            "A proxy that opens TLS, a wrong clock, or a private authority: then set [collector] ca_file."
        )
        yield Finding(
            _TOPIC, "TLS", Level.PROBLEM, f"the certificate is not trusted ({_reason(error)})", advice
        )
    except OSError as error:
        advice = (
            "Is the collector up? A firewall may be in between: port 443 outwards is all the agent needs."
        )
        yield Finding(_TOPIC, "connection", Level.PROBLEM, f"port {port}: {error.strerror or error}", advice)


def _certificate(line: socket.socket, host: str, ca_file: str) -> Finding:
    context = ssl.create_default_context(cafile=ca_file or None)
    with context.wrap_socket(line, server_hostname=host) as secure:
        certificate = secure.getpeercert() or {}
        protocol = secure.version()
    expires_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (expires_at - datetime.now(UTC)) / timedelta(days=1)
    is_soon = days < _CERTIFICATE_DAYS
    return Finding(
        _TOPIC,
        "TLS",
        Level.WARNING if is_soon else Level.GOOD,
        f"{protocol}, certificate until {expires_at:%Y-%m-%d}",
        "Tell the collector's staff: the certificate ends soon." if is_soon else "",
        {"certificate_days": round(days, 1)},
    )


def _plain(host: str) -> Finding:
    if host in ("localhost", "127.0.0.1", "::1"):
        return Finding(_TOPIC, "TLS", Level.GOOD, "not needed on the same computer")
    return Finding(
        _TOPIC, "TLS", Level.WARNING, "none: everybody on the way can read", "Use an https:// address."
    )


def _asked(place: Place, url: str) -> Iterator[Finding]:
    """Ask where a spool stands that nobody has: the answer tells that we are known, and the collector's time."""
    ca_file = place.settings.collector.ca_file
    try:
        identity = Identity.load_or_create(place.data_dir)
        asked = Collector(url, identity, clock=Clock(), verify=ca_file or True)
    except ScopestampError as error:
        yield Finding(_TOPIC, "enrolment", Level.PROBLEM, str(error))
        return
    try:
        asked.cursor(secrets.token_hex(16))
        offset_s = asked.clock_offset_s
    except CollectorRefusedError as error:
        advice = (
            "The agent's key may have been revoked, or the collector set up anew: ask its staff, enrol again."
        )
        yield Finding(_TOPIC, "enrolment", Level.PROBLEM, f"refused ({error.status}): {error}", advice)
        return
    except CollectorAwayError as error:
        advice = "Records wait on disk. Look at the collector, or at what stands in between."
        yield Finding(_TOPIC, "answer", Level.PROBLEM, str(error), advice)
        return
    finally:
        asked.close()
    yield Finding(
        _TOPIC, "enrolment", Level.GOOD, f"known as {identity.agent_id}, for {identity.instrument_id}"
    )
    if offset_s is not None:
        yield _clock(offset_s)


def _clock(offset_s: float) -> Finding:
    is_off = abs(offset_s) > _CLOCK_S
    return Finding(
        _TOPIC,
        "clock",
        Level.WARNING if is_off else Level.GOOD,
        f"{abs(offset_s):.1f} s {'behind' if offset_s > 0 else 'ahead of'} the collector's",
        "Set this computer's clock by a time server; times of records are right in order, but off."
        if is_off
        else "",
        {"clock_offset_s": round(offset_s, 3)},
    )


def _reason(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or error.reason or str(error)
