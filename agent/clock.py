"""Time as the agent knows it: a wall clock that may jump and a monotonic clock that does not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import uuid4

from agent.records import Instant


class Clock:
    """Tells the time of one process; tests pass a subclass of their own.

    Attributes
    ----------
    boot_id : str
        Minted when the clock is made; scopes the monotonic times it gives out.
    """

    def __init__(self) -> None:
        self.boot_id = uuid4().hex

    def wall_at(self) -> datetime:
        """Return the wall-clock time, aware and UTC."""
        return datetime.now(UTC)

    def monotonic_ns(self) -> int:
        """Return the monotonic time, nanoseconds."""
        return time.monotonic_ns()

    def now(self) -> Instant:
        """Return this moment on both clocks."""
        return Instant(wall_at=self.wall_at(), monotonic_ns=self.monotonic_ns(), boot_id=self.boot_id)
