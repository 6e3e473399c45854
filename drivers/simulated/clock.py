"""Time, as the simulated hardware sees it: the computer's own, or one that jumps so that tests need not wait."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

LONG_S = 0.1
"""What is shorter is slept through: to wait for an event is less exact on some platforms."""


class Clock(ABC):
    """Seconds since some fixed moment, and ways to let them pass."""

    @abstractmethod
    def now_s(self) -> float:
        """Return the present time."""

    @abstractmethod
    def sleep(self, duration_s: float, unless: threading.Event | None = None) -> None:
        """Let `duration_s` pass, or less when `unless` is set meanwhile."""

    @abstractmethod
    def has_reached(self, moment_s: float) -> bool:
        """Return whether `moment_s` has come; a caller polls this until it has."""


class SystemClock(Clock):
    """The computer's monotonic clock; sleeping takes as long as it says."""

    def now_s(self) -> float:
        return time.monotonic()

    def sleep(self, duration_s: float, unless: threading.Event | None = None) -> None:
        if unless is not None and duration_s > LONG_S:
            unless.wait(duration_s)
        else:
            time.sleep(max(duration_s, 0.0))

    def has_reached(self, moment_s: float) -> bool:
        return time.monotonic() >= moment_s


class JumpingClock(Clock):
    """A clock that stands still until somebody sleeps or waits, and then jumps.

    Examples
    --------
    >>> clock = JumpingClock()
    >>> clock.sleep(3600)
    >>> clock.has_reached(3605), clock.now_s()
    (True, 3605.0)
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()

    def now_s(self) -> float:
        return self._now_s

    def sleep(self, duration_s: float, unless: threading.Event | None = None) -> None:
        with self._lock:
            self._now_s += max(duration_s, 0.0)

    def has_reached(self, moment_s: float) -> bool:
        with self._lock:
            self._now_s = max(self._now_s, float(moment_s))
        return True
