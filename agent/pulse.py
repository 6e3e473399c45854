"""Signs of life: a part says when it will be heard of next, and whoever watches sees when it is not."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pulse:
    """The sign of life of one part; any thread may read it.

    Parameters
    ----------
    monotonic_s : callable
        A clock that does not jump.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._until_s: float | None = None

    def beat(self, within_s: float) -> None:
        """Say that the part is alive, and that it will say so again within that many seconds."""
        self._until_s = self._monotonic_s() + within_s

    def rest(self) -> None:
        """Say that the part waits for work, for as long as it takes."""
        self._until_s = None

    def forgive(self, seconds: float) -> None:
        """Give it more time: the computer slept."""
        if (until_s := self._until_s) is not None:
            self._until_s = until_s + seconds

    @property
    def late_s(self) -> float:
        """How long it is overdue; 0 when it is not."""
        until_s = self._until_s
        return 0.0 if until_s is None else max(0.0, self._monotonic_s() - until_s)
