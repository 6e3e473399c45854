"""How often an address may guess: a token bucket for each, in memory."""

from __future__ import annotations

from datetime import datetime
from threading import Lock

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
        left = self._left_of(address)
        if left < 1:
            wait_s = int((1 - left) * 60 / self._per_minute) + 1
            raise RefusedError(
                429,
                "too_many_attempts",
                f"Too many failed attempts from this address; wait {wait_s} s.",
                retry_after_s=wait_s,
            )

    def failed(self, address: str) -> bool:
        """Count a failure; return whether the address was still within its allowance."""
        with self._lock:
            left = self._left_of(address)
            self._left.pop(address, None)
            self._left[address] = (max(left - 1, 0.0), self._now())
            if len(self._left) > MAX_ADDRESSES:
                self._left.pop(next(iter(self._left)))
        return left >= 1

    def _left_of(self, address: str) -> float:
        left, counted_at = self._left.get(address, (float(self._per_minute), self._now()))
        given_back = (self._now() - counted_at).total_seconds() * self._per_minute / 60
        return min(left + max(given_back, 0.0), float(self._per_minute))
