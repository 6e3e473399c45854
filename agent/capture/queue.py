"""The bounded queue between the hardware's threads and ours."""

from __future__ import annotations

import itertools
from queue import Empty, SimpleQueue
from typing import Any

from drivers import FrameSeen, HardwareEvent

VITAL_RESERVE = 1000


class EventQueue:
    """Takes events on any thread, never waits and never raises; what does not fit is counted.

    Frames fill the queue up to `size`. Everything else, such as the end of an acquisition, still finds room in a
    reserve behind it.

    >>> queue = EventQueue(size=1)
    >>> queue.n_lost
    0
    """

    def __init__(self, size: int) -> None:
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._size = size
        self._lost = itertools.count()  # its next() is atomic, where += is not
        self._n_lost = 0

    def put(self, event: HardwareEvent) -> None:
        """Take an event; about 0.3 us."""
        limit = self._size if type(event) is FrameSeen else self._size + VITAL_RESERVE
        if self._events.qsize() < limit:
            self._events.put(event)
        else:
            self._n_lost = next(self._lost) + 1

    def put_always(self, message: Any) -> None:
        """Take a message of our own threads, of which there are few."""
        self._events.put(message)

    def get(self, timeout_s: float) -> Any | None:
        """Return the next event, or None when none came in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except Empty:
            return None

    @property
    def n_lost(self) -> int:
        """How many events did not fit since the start."""
        return self._n_lost

    def __len__(self) -> int:
        return self._events.qsize()
