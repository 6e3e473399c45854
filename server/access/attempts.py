"""How often an address may guess: a token bucket for each, in memory; and how many passwords are checked at once.

Addresses of IPv6 are counted by their first 64 bits, which is what a subscriber has: each of the 2**64 in there would be an
allowance of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import BoundedSemaphore, Lock

from server.clock import Now
from server.errors import RefusedError

MAX_ADDRESSES = 10_000
"""Addresses remembered; beyond it the oldest is forgotten, so that memory is bounded whoever calls."""


class Attempts:
    """Counts failures; an address that has used up its allowance must wait.

    Parameters
    ----------
    per_minute : int
        Failures allowed at once, and given back over each minute.
    now : Now
        The clock.
    """

    def __init__(self, per_minute: int, now: Now) -> None:
        self._per_minute = per_minute
        self._now = now
        self._left: dict[str, tuple[float, datetime]] = {}
        self._lock = Lock()

    def check(self, address: str) -> None:
        """Refuse with 429 and Retry-After when the address has used up its allowance."""
        with self._lock:
            self._check(f" {neighbourhood(address)}")

    def _check(self, key: str) -> None:
        left = self._left_of(key)
        if left < 1:
            wait_s = int((1 - left) * 60 / self._per_minute) + 1
            raise RefusedError(
                429,
                "too_many_attempts",
                f"Too many failed attempts from this address; wait {wait_s} s.",
                retry_after_s=wait_s,
            )

    def failed(self, address: str, at: str = "") -> bool:
        """Count a failure (`at` something that is counted by itself); return whether the address was within its allowance."""
        with self._lock:
            return self._take(f"{at} {neighbourhood(address)}")

    @contextmanager
    def counted_first(self, address: str) -> Iterator[None]:
        """Count what is tried here as a failure before it is, unless it succeeds: many at once are no way round the allowance.

        Raises
        ------
        RefusedError
            429 as `check` does.
        """
        key = f" {neighbourhood(address)}"
        with self._lock:
            self._check(key)
            self._take(key)
        yield
        with self._lock:
            self._left[key] = (self._left_of(key) + 1, self._now())

    def _take(self, key: str) -> bool:
        left = self._left_of(key)
        self._left.pop(key, None)
        self._left[key] = (max(left - 1, 0.0), self._now())
        if len(self._left) > MAX_ADDRESSES:
            self._left.pop(next(iter(self._left)))
        return left >= 1

    def _left_of(self, key: str) -> float:
        left, counted_at = self._left.get(key, (float(self._per_minute), self._now()))
        given_back = (self._now() - counted_at).total_seconds() * self._per_minute / 60
        return min(left + max(given_back, 0.0), float(self._per_minute))


class PasswordChecks:
    """How many passwords are checked at once, whoever asks: each takes 32 MiB and a processor for a third of a second.

    Parameters
    ----------
    at_once : int
        So many are checked.
    waiting : int
        So many more wait their turn; the threads they wait on are those that answer everybody else.
    longest_wait_s : float
        Then they are refused as well.
    """

    def __init__(self, at_once: int = 4, waiting: int = 8, longest_wait_s: float = 30.0) -> None:
        self._places = BoundedSemaphore(at_once)
        self._room = BoundedSemaphore(at_once + waiting)
        self._longest_wait_s = longest_wait_s

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a place while a password is checked.

        Raises
        ------
        RefusedError
            503 when there is none.
        """
        with _taken(self._room, 0.0), _taken(self._places, self._longest_wait_s):
            yield


@contextmanager
def _taken(places: BoundedSemaphore, longest_wait_s: float) -> Iterator[None]:
    if not places.acquire(timeout=longest_wait_s):
        message = "Too many sign in at this moment; try again in a few seconds."
        raise RefusedError(503, "too_many_sign_ins", message, retry_after_s=5)
    try:
        yield
    finally:
        places.release()


def neighbourhood(address: str) -> str:
    """Return what all addresses of one caller share.

    >>> neighbourhood("2001:db8::1") == neighbourhood("2001:db8::2"), neighbourhood("192.0.2.1")
    (True, '192.0.2.1')
    """
    try:
        told = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(told, ipaddress.IPv4Address):
        return address
    return str(told.ipv4_mapped or ipaddress.IPv6Network((told, 64), strict=False))
