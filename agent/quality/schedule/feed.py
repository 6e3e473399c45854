"""The booking calendar from a file or an address, kept on disk with the time it was read.

An address is fetched with suspicion: https alone, no redirects, connected to the very address that was checked, public
unless the settings name the host, with a limit on time and size. What was read last is kept: how old it is, is the
guard's question.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from agent.errors import CalendarError
from agent.outbox.disk import write_atomically

MOST_BYTES = 8 << 20
MOST_S = 30.0
_TIMEOUT = httpx.Timeout(10.0)
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Feed:
    """A calendar as it was read.

    Attributes
    ----------
    text : bytes
        iCalendar.
    read_at : datetime
        When, by this PC's clock.
    """

    text: bytes
    read_at: datetime


def read_feed(
    place: str,
    cache: Path,
    now: datetime,
    *,
    private_hosts: tuple[str, ...] = (),
    fetch: httpx.BaseTransport | None = None,
    resolve: Resolve | None = None,
) -> Feed:
    """Return the calendar as it is now, and keep it.

    Parameters
    ----------
    place : str
        A file, or an address that begins with https://.
    cache : Path
        Where it is kept for when it cannot be read.
    now : datetime
        This PC's clock.
    private_hosts : tuple of str
        Hosts that may lie in a private network.
    fetch, resolve : optional
        Used instead of the network and the resolver.

    Raises
    ------
    CalendarError
        It cannot be read; the last one stays.
    """
    if "://" in place:
        text = _fetched(place, private_hosts, fetch, resolve or _addresses)
    else:
        text = _file(Path(place))
    try:
        write_atomically(
            cache, json.dumps({"read_at": now.isoformat(), "place": _named(place)}).encode() + b"\n" + text
        )
    except OSError as error:
        raise CalendarError(f"The booking calendar cannot be kept in {cache} ({error}).") from error
    return Feed(text, now)


def kept_feed(place: str, cache: Path) -> Feed | None:
    """Return the calendar as it was read last; None when there is none of this place."""
    try:
        head, _, text = cache.read_bytes().partition(b"\n")
        told = json.loads(head)
        if told["place"] != _named(place):
            return None
        return Feed(text, datetime.fromisoformat(told["read_at"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _named(place: str) -> str:
    """Return a place without the secrets that calendars' addresses carry."""
    return place if "://" not in place else f"https://{httpx.URL(place).host}/…"


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CalendarError(f"The booking calendar {path} cannot be read: {error.strerror}.") from error
    _check_size(text)
    return text


def _fetched(
    place: str, private_hosts: tuple[str, ...], fetch: httpx.BaseTransport | None, resolve: Resolve
) -> bytes:
    try:
        url = httpx.URL(place)
    except httpx.InvalidURL as error:
        raise CalendarError(f"The address of the booking calendar is none ({error}).") from error
    if url.scheme != "https" or not url.host:
        raise CalendarError("The address of the booking calendar must begin with https://.")
    address = _checked_address(url, private_hosts, resolve)
    began_s = time.monotonic()
    text = bytearray()
    try:
        with (
            httpx.Client(transport=fetch, timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as http,
            http.stream(
                "GET",
                url.copy_with(host=address),
                headers={"Host": url.netloc.decode("ascii"), "Accept": "text/calendar"},
                extensions={"sni_hostname": url.host},
            ) as answer,
        ):
            if answer.status_code != 200:
                raise CalendarError(f"{_named(place)} answered {answer.status_code} instead of a calendar.")
            for piece in answer.iter_bytes():
                text += piece
                _check_size(text)
                if time.monotonic() - began_s > MOST_S:
                    raise CalendarError(f"{_named(place)} was still sending after {MOST_S:g} s.")
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise CalendarError(f"{_named(place)} cannot be reached ({type(error).__name__}).") from error
    return bytes(text)


def _checked_address(url: httpx.URL, private_hosts: tuple[str, ...], resolve: Resolve) -> str:
    """Return the one address that is connected to, after looking at all that the name stands for."""
    try:
        addresses = resolve(url.host, url.port or 443)
    except OSError as error:
        raise CalendarError(f"The name {url.host} of the booking calendar is not known ({error}).") from error
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        if not ip.is_global and url.host not in private_hosts:
            raise CalendarError(
                f"{url.host} lies in a private network. If that is right, name it in [schedule] calendar_hosts."
            )
    if not addresses:
        raise CalendarError(f"The name {url.host} of the booking calendar has no address.")
    return addresses[0]


def _addresses(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _check_size(text: bytes | bytearray) -> None:
    if len(text) > MOST_BYTES:
        raise CalendarError(f"The booking calendar has more than {MOST_BYTES >> 20} MB.")
