"""Reads hardware from a thread that may wait for it, and only while nobody takes frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from agent.capture.state import timed_out
from agent.supervise import shielded
from drivers import Driver, How, Key, Moment, PropertyReading, Status

SLOW_READ_MS = 20.0  # a reading this slow is polled every other cycle, one of 200 ms every tenth
LEAST_OFTEN_CYCLES = 20


@dataclass(frozen=True, slots=True)
class Readings:
    """What the poller read: an answer to `request`, or one of its own rounds when request is None."""

    request: Any
    readings: tuple[PropertyReading, ...]
    moment: Moment
    duration_ms: float
    is_complete: bool  # false when frames began to be taken meanwhile


@dataclass(frozen=True, slots=True)
class Call:
    """A hardware read that is under way."""

    key: Key
    since_monotonic_ns: int


@dataclass
class Poller:
    """Reads every property once an interval, property by property, and whatever is asked for in between.

    Attributes
    ----------
    deliver : callable
        Takes a `Readings`; called on the poller's thread.
    interval_s, pause_s : float
        One round of all properties takes at least `interval_s`; between two reads lies `pause_s`.
    left_alone : set of Key
        Not read at all, because reading them hung; reported as time-outs.
    """

    driver: Driver
    deliver: Callable[[Readings], None]
    interval_s: float
    pause_s: float
    left_alone: frozenset[Key] = frozenset()
    call: Call | None = None
    _requests: SimpleQueue[tuple[Any, tuple[Key, ...] | None] | None] = field(default_factory=SimpleQueue)
    _cycle: int = 0
    _period: dict[Key, int] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="scopestamp-poll", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ask the thread to end; return whether it did in time (a hung device can hold it)."""
        self._stop.set()
        self._requests.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def ask(self, request: Any, keys: Iterable[Key] | None = None) -> None:
        """Have `keys` (default: all) read soon, and the result delivered with `request`."""
        self._requests.put((request, None if keys is None else tuple(keys)))

    def _run(self) -> None:
        next_round_at = time.monotonic() + self.interval_s
        while not self._stop.is_set():
            try:
                asked = self._requests.get(timeout=max(0.0, next_round_at - time.monotonic()))
            except Empty:
                shielded(self._round, "a round of hardware polling")
                next_round_at = time.monotonic() + self.interval_s
                continue
            if asked is not None:
                shielded(lambda: self._answer(*asked), "reading hardware")  # noqa: B023 - called at once

    def _round(self) -> None:
        self._cycle += 1
        if not self.driver.is_busy():
            due = [key for key in self.driver.keys() if self._cycle % self._period.get(key, 1) == 0]  # noqa: SIM118
            self.deliver(self._read(None, due, may_use_cache=False))

    def _answer(self, request: Any, keys: tuple[Key, ...] | None) -> None:
        self.deliver(self._read(request, self.driver.keys() if keys is None else keys, may_use_cache=True))

    def _read(self, request: Any, keys: Iterable[Key], *, may_use_cache: bool) -> Readings:
        """Read from hardware until frames are taken; from then on from the cache, or not at all."""
        began = Moment.now()
        readings, is_complete = [], True
        for key in keys:
            if self._stop.is_set() and request is None:
                is_complete = False
                break
            if self.driver.is_busy():
                is_complete = False
                if not may_use_cache:
                    break
                readings.append(self.driver.read(key, How.CACHE))
                continue
            readings.append(self._read_one(key))
            if request is None:
                self._stop.wait(self.pause_s)
        duration_ms = (time.monotonic_ns() - began.monotonic_ns) / 1e6
        return Readings(request, tuple(readings), began, duration_ms, is_complete)

    def _read_one(self, key: Key) -> PropertyReading:
        if key in self.left_alone:
            return timed_out(key, Moment.now())
        began = time.monotonic_ns()
        self.call = Call(key, began)
        reading = shielded(
            lambda: self.driver.read(key, How.HARDWARE), f"reading {key.device}-{key.property}"
        )
        self.call = None
        took_ms = (time.monotonic_ns() - began) / 1e6
        self._period[key] = int(min(LEAST_OFTEN_CYCLES, 1 + took_ms // SLOW_READ_MS))
        if reading is None:
            moment = Moment.now()
            return PropertyReading(key, Status.FAILED, How.HARDWARE, moment, error="the device's code raised")
        return reading
