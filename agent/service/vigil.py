"""Watches over the parts of the agent: a thread that ended, or that makes no progress, is no secret for long.

Every part has a pulse (`agent.pulse`). One that is overdue is *late*, one whose thread has ended is *stopped*; both are
told at once, in an event and in the heartbeat that follows it, and the part is started again where that is possible. A
thread that hangs cannot be ended; a part that can be made anew gets a new one and the old one is left to itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.pulse import Pulse
from agent.records import PartHealth, Severity
from agent.service.supervisor import Report
from agent.supervise import Failures, shielded, words_of

LOOK_S = 5.0
LATE_S = 60.0
SLEPT_S = 15.0  # between two looks lay so much more than there should: the computer slept
RESTARTED_WITHIN_S = 60.0


@dataclass
class Part:
    """A part of the agent.

    Attributes
    ----------
    name : str
        As heartbeats call it.
    pulse : Pulse
        Its sign of life.
    start : callable
        Starts its thread, and returns it.
    can_replace : bool
        Whether it may be started again while a thread of it hangs.
    thread : threading.Thread or None
        The thread, once started.
    n_restarts : int
        How often it was started again.
    """

    name: str
    pulse: Pulse
    start: Callable[[], threading.Thread]
    can_replace: bool = False
    thread: threading.Thread | None = None
    n_restarts: int = 0
    told: str = "running"

    def health(self) -> PartHealth:
        """Return how it is."""
        is_stopped = self.thread is not None and not self.thread.is_alive()
        late_s = self.pulse.late_s
        state = "stopped" if is_stopped else "late" if late_s else "running"
        return PartHealth(name=self.name, state=state, late_s=round(late_s, 1), n_restarts=self.n_restarts)


@dataclass
class Watchdog:
    """Looks after parts on a thread of its own.

    Attributes
    ----------
    report : Report
        Takes what is found.
    monotonic_s : callable
        A clock that does not jump.
    pulse : Pulse
        Its own sign of life, for whoever watches the watchdog.
    """

    report: Report
    monotonic_s: Callable[[], float] = time.monotonic
    pulse: Pulse = field(default_factory=Pulse)
    _parts: list[Part] = field(default_factory=list)
    _looked_s: float | None = None

    def __post_init__(self) -> None:
        self._failures = Failures(self.monotonic_s)

    def keep(self, part: Part) -> Part:
        """Start a part and look after it from here on."""
        part.thread = part.start()
        self._parts.append(part)
        return part

    @property
    def parts(self) -> tuple[PartHealth, ...]:
        """How the parts are now."""
        return tuple(part.health() for part in self._parts)

    def run(self, stop: threading.Event) -> None:
        """Look again and again until `stop` is set."""
        while not stop.wait(LOOK_S):
            self.pulse.beat(LATE_S)
            shielded(self.look, "looking after the parts of the agent")

    def look(self) -> None:
        """Tell of every part that has changed and of what has failed inside, and start again what has stopped."""
        for what, n_times in self._failures.news().items():
            self.report(Severity.ERROR, "failed_inside", words_of(what, n_times), what=what, n_times=n_times)
        now_s = self.monotonic_s()
        slept_s = now_s - self._looked_s - LOOK_S if self._looked_s is not None else 0.0
        self._looked_s = now_s
        if slept_s > SLEPT_S:
            _forgive(self._parts, slept_s)
            return
        for part in self._parts:
            health = part.health()
            if health.state != part.told:
                part.told = health.state
                self._tell(health)
            if health.state == "stopped" or (health.state == "late" and part.can_replace):
                part.n_restarts += 1
                part.pulse.beat(RESTARTED_WITHIN_S)
                part.thread = part.start()

    def _tell(self, health: PartHealth) -> None:
        name = health.name
        if health.state == "running":
            self.report(Severity.INFO, "part_back", f"The agent's part '{name}' works again.", part=name)
            return
        what = (
            "has ended"
            if health.state == "stopped"
            else f"has not been heard of for {health.late_s:.0f} s too long"
        )
        self.report(
            Severity.ERROR,
            f"part_{health.state}",
            f"The agent's part '{name}' {what}. What was recorded is safe on disk; the log says what it did last. "
            "Restart the agent if it does not come back.",
            part=name,
            late_s=health.late_s,
            n_restarts=health.n_restarts,
        )


def _forgive(parts: Iterable[Part], seconds: float) -> None:
    for part in parts:
        part.pulse.forgive(seconds)
