"""The bounded queue between the hardware's threads and ours."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from drivers import FrameSeen, HardwareEvent, PresetSet, PropertyMoved

VITAL_RESERVE = 1000
GATHERED = (FrameSeen, PropertyMoved, PresetSet)
GATHER_S = 0.05
"""Frames, and what moves between them, gather this long: to wake a thread for each one slows the acquisition."""


@dataclass(frozen=True, slots=True)
class Lost:
    """At this place in the queue, events did not fit into it."""

    n_events: int


class EventQueue:
    """Takes events on any thread, never waits and never raises; what does not fit is counted.

    Frames fill the queue up to `size`. Everything else, such as the end of an acquisition, still finds room in a
    reserve behind it. Where events are missing, a `Lost` stands in their place.

    While frames come, events are taken by handfuls; those that are not `GATHERED` at once, with all before them.

    >>> queue = EventQueue(size=1)
    >>> queue.n_lost
    0
    """

    def __init__(self, size: int) -> None:
        self._events: SimpleQueue[Any] = SimpleQueue()
        self._wake = threading.Event()
        self._had_frames = False
        self._size = size
        self._lock = threading.Lock()
        self._n_unmarked = 0
        self._n_lost = 0

    def put(self, event: HardwareEvent) -> bool:
        """Take an event, and return whether there was room for it; about 0.3 us."""
        kind = type(event)
        if self._events.qsize() < (self._size if kind is FrameSeen else self._size + VITAL_RESERVE):
            if self._n_unmarked:
                self._mark()
            self._events.put(event)
            if kind not in GATHERED:
                self._wake.set()
            return True
        with self._lock:
            self._n_unmarked += 1
            self._n_lost += 1
        return False

    def put_always(self, message: Any) -> None:
        """Take a message of our own threads, of which there are few."""
        self._events.put(message)
        self._wake.set()

    def take(self, timeout_s: float) -> list[Any]:
        """Wait for an event, and return all there are; none when none came in time."""
        if self._had_frames:
            self._wake.wait(GATHER_S)
        self._wake.clear()
        events = []
        try:
            events.append(self._events.get(timeout=timeout_s))
            while True:
                events.append(self._events.get_nowait())
        except Empty:
            self._mark()
        self._had_frames = any(type(event) is FrameSeen for event in events)
        return events

    @property
    def n_lost(self) -> int:
        """How many events did not fit since the start."""
        return self._n_lost

    def __len__(self) -> int:
        return self._events.qsize()

    def _mark(self) -> None:
        with self._lock:
            if self._n_unmarked:
                self._events.put(Lost(self._n_unmarked))
                self._n_unmarked = 0
