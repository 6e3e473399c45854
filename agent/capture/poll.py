"""Reads hardware from a thread that may wait for it, and only while nobody takes frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from agent.capture.state import timed_out
from agent.pulse import Pulse
from agent.supervise import shielded
from drivers import Driver, How, Key, Moment, PropertyReading, Status

SLOW_READ_MS = 20.0  # a reading this slow is polled every other cycle, one of 200 ms every tenth
LEAST_OFTEN_CYCLES = 20
READ_WITHIN_S = 600.0  # a read that hangs is noticed sooner, by `call`
LATE_S = 45.0


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
    """Reads every property once an interval, property by property, and what is asked for at once in between.

    Attributes
    ----------
    deliver : callable
        Takes a `Readings`; called on the poller's thread.
    interval_s, pause_s : float
        One round of all properties takes at least `interval_s`; between two reads lies `pause_s`.
    left_alone : set of Key
        Not read at all, because reading them hung; reported as time-outs.
    pulse : Pulse
        Its sign of life.
    """

    driver: Driver
    deliver: Callable[[Readings], None]
    interval_s: float
    pause_s: float
    left_alone: frozenset[Key] = frozenset()
    call: Call | None = None
    pulse: Pulse = field(default_factory=Pulse)
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

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def ask(self, request: Any, keys: Iterable[Key] | None = None) -> None:
        """Have `keys` (default: all) read soon, and the result delivered with `request`."""
        self._requests.put((request, None if keys is None else tuple(keys)))

    def _run(self) -> None:
        next_round_at = time.monotonic() + self.interval_s
        while not self._stop.is_set():
            if not self._answer_next(next_round_at - time.monotonic()):
                shielded(self._round, "a round of hardware polling")
                next_round_at = time.monotonic() + self.interval_s

    def _answer_next(self, wait_s: float) -> bool:
        """Answer one request; return False when none came in time."""
        self.pulse.beat(max(0.0, wait_s) + LATE_S)
        try:
            asked = self._requests.get(timeout=max(0.0, wait_s))
        except Empty:
            return False
        if asked is not None:
            shielded(lambda: self._answer(*asked), "reading hardware")
        return True

    def _round(self) -> None:
        """Read what is due, slowly; give way to requests, and give up when frames begin to be taken."""
        if self.driver.is_busy():
            return
        self.driver.look_around()
        self._cycle += 1
        began, readings, is_complete = Moment.now(), [], True
        for key in self.driver.keys():  # noqa: SIM118
            while self._answer_next(0.0):
                pass
            if self._stop.is_set() or self.driver.is_busy():
                is_complete = False
                break
            if self._cycle % self._period.get(key, 1) == 0:
                readings.append(self._read_one(key))
                self._stop.wait(self.pause_s)
        self._deliver(None, readings, began, is_complete)

    def _answer(self, request: Any, keys: tuple[Key, ...] | None) -> None:
        """Read from hardware until frames are taken; from then on from the cache."""
        began, readings, is_complete = Moment.now(), [], True
        for key in self.driver.keys() if keys is None else keys:
            if self.driver.is_busy():
                is_complete = False
                readings.append(self.driver.read(key, How.CACHE))
            else:
                readings.append(self._read_one(key))
        self._deliver(request, readings, began, is_complete)

    def _deliver(
        self, request: Any, readings: list[PropertyReading], began: Moment, is_complete: bool
    ) -> None:
        duration_ms = (time.monotonic_ns() - began.monotonic_ns) / 1e6
        self.deliver(Readings(request, tuple(readings), began, duration_ms, is_complete))

    def _read_one(self, key: Key) -> PropertyReading:
        if key in self.left_alone:
            return timed_out(key, Moment.now())
        self.pulse.beat(READ_WITHIN_S)
        began = time.monotonic_ns()
        self.call = Call(key, began)
        how = How.HARDWARE if self.driver.reads_hardware else How.CACHE
        reading = shielded(lambda: self.driver.read(key, how), f"reading {key.device}-{key.property}")
        self.call = None
        self.pulse.beat(LATE_S)
        took_ms = (time.monotonic_ns() - began) / 1e6
        self._period[key] = int(min(LEAST_OFTEN_CYCLES, 1 + took_ms // SLOW_READ_MS))
        if reading is None:
            moment = Moment.now()
            return PropertyReading(key, Status.FAILED, How.HARDWARE, moment, error="the device's code raised")
        return reading
