"""Requests that the collector itself makes: only to where they may go, and to nowhere else on the way.

An address that people enter (a webhook) must not become a way into the network that the collector stands in. So the host is
resolved once, every address it has must be public or be allowed in the settings, the connection goes to exactly the address
that was checked (a name that changes its answer afterwards changes nothing), and redirects are not followed. (ASVS 5.0 13.2.4,
13.2.5.)
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence

import httpx

from server.errors import CollectorError

TIMEOUT_S = 10.0
LONGEST_S = 30.0
"""A whole request may take so long: whoever answers a byte every few seconds holds up nobody."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Sequence[str]]


class OutgoingError(CollectorError):
    """A request could not be made, or must not be."""


def addresses_of(host: str) -> list[str]:
    """Return all addresses of a host, as the machine's resolver gives them."""
    try:
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except UnicodeError as error:  # too long for any name, or with characters that none has
        raise OutgoingError(f"{host!r} is no name of a host.") from error
    except OSError as error:
        raise OutgoingError(f"The host {host} cannot be found: {error.strerror or error}.") from error


def checked_address(host: str, allowed: Sequence[str], resolve: Resolve = addresses_of) -> str:
    """Return an address of the host that may be connected to.

    Parameters
    ----------
    host : str
        Name or address.
    allowed : sequence of str
        Host names and networks (``10.0.0.0/8``) that are allowed though they are not public.
    resolve : callable
        Host to its addresses.

    Raises
    ------
    OutgoingError
        When any of its addresses is neither public nor allowed.
    """
    addresses = resolve(host)
    if not addresses:
        raise OutgoingError(f"The host {host} has no address.")
    if host not in allowed:
        networks = [ipaddress.ip_network(one) for one in allowed if _is_network(one)]
        for told in addresses:
            if not _may_be_reached(told, networks):
                raise OutgoingError(
                    f"{host} is at {told}, which is no public address. If it is meant, add it to "
                    "`allowed` under [outgoing] in the collector's settings."
                )
    return addresses[0]


def post(
    url: str,
    content: bytes,
    headers: dict[str, str],
    allowed: Sequence[str] = (),
    resolve: Resolve = addresses_of,
    verify: bool | str = True,
) -> None:
    """Send a POST and expect a 2xx answer.

    Raises
    ------
    OutgoingError
        It must not be sent, could not be sent, or was answered otherwise; says which.
    """
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise OutgoingError(f"{url!r} is no address: {error}.") from error
    address = checked_address(target.host, allowed, resolve)
    told = {**headers, "Host": target.netloc.decode("ascii")}
    try:
        status = asyncio.run(_status(target, address, content, told, verify))
    except TimeoutError as error:
        raise OutgoingError(f"{target.host} did not answer within {LONGEST_S:g} s.") from error
    except httpx.HTTPError as error:
        raise OutgoingError(f"{target.host} could not be reached: {error}.") from error
    if not 200 <= status < 300:
        raise OutgoingError(f"{target.host} answered {status}; expected 2xx.")


async def _status(
    target: httpx.URL, address: str, content: bytes, headers: dict[str, str], verify: bool | str
) -> int:
    """Return what a POST is answered with; the body of the answer is not read."""
    async with (
        asyncio.timeout(LONGEST_S),
        httpx.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=verify
        ) as client,
        client.stream(
            "POST",
            target.copy_with(host=address),
            content=content,
            headers=headers,
            extensions={"sni_hostname": target.host},
        ) as reply,
    ):
        return reply.status_code


def _may_be_reached(told: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    address = _meant(ipaddress.ip_address(told.partition("%")[0]))
    is_special = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return (address.is_global and not is_special) or any(
        address in network for network in networks if network.version == address.version
    )


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to by way of a gateway, any other as it is.

    Mapped (RFC 4291), 6to4 (RFC 3056), and NAT64's well-known prefix (RFC 6052).
    """
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
