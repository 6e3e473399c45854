"""What must be true before quality control may start, each question by itself.

A guard says why not, in words for a person; an empty answer is a yes. It never raises for what the world does: what
cannot be told stands in the way (fail closed), unless the settings say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agent.idle import Idle
from agent.records.schedules import Schedule

Status = Mapping[str, Any] | None
"""The hardware process' answer to a ping; None while it is not up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to be run: the schedule, now, and when it will have ended at the latest."""

    schedule: Schedule
    now: datetime
    until: datetime


class Guard(Protocol):
    """One condition of the interlock."""

    name: str
    """Its stable name, as records carry it."""

    def why_not(self, plan: Plan) -> str:
        """Return why the routine may not start now; empty when nothing speaks against it."""


@dataclass
class HardwareGuard:
    """The agent has the hardware, and it is up."""

    status: Callable[[], Status]
    is_owned: bool = True
    name: str = "hardware"

    def why_not(self, plan: Plan) -> str:
        """Return why there is nothing to run on."""
        if not self.is_owned:
            return (
                "This agent owns no hardware ([hardware] config_file): another program has the microscope. "
                "Quality control waits until it is closed and the agent is given the hardware."
            )
        return "The hardware is not up." if self.status() is None else ""


@dataclass
class ActivityGuard:
    """Nobody takes images."""

    status: Callable[[], Status]
    name: str = "acquisition"

    def why_not(self, plan: Plan) -> str:
        """Return what the camera is busy with."""
        status = self.status() or {}
        if status.get("is_acquiring"):
            return "An acquisition is running."
        return "Live mode is on." if status.get("is_live") else ""


@dataclass
class TouchGuard:
    """Nobody has moved a device by hand."""

    status: Callable[[], Status]
    monotonic_s: Callable[[], float]
    name: str = "touch"
    _touched: Mapping[str, int] | None = None
    _at_s: float = 0.0
    _last: str = ""

    def why_not(self, plan: Plan) -> str:
        """Return what was moved, until it has been quiet for long enough."""
        status = self.status()
        if status is None:
            return ""  # the hardware guard says so
        touched: Mapping[str, int] = status.get("touched", {})
        before = touched if self._touched is None else self._touched
        # another number, not a larger one: a hardware process that was started again counts from the beginning
        if news := sorted(device for device, n in touched.items() if n != before.get(device, 0)):
            self._at_s, self._last = self.monotonic_s(), ", ".join(news)
        self._touched = touched
        for_s = self.monotonic_s() - self._at_s
        if self._last and for_s < plan.schedule.quiet_min * 60:
            return f"{self._last} was moved by hand {for_s / 60:.0f} min ago."
        return ""


@dataclass
class InputGuard:
    """Nobody has used mouse or keyboard."""

    idle: Callable[[], Idle]
    ignores_unknown: bool = False
    name: str = "person"

    def why_not(self, plan: Plan) -> str:
        """Return how long ago somebody was there."""
        idle = self.idle()
        if idle.for_s is None:
            if self.ignores_unknown:
                return ""
            return (
                f"It cannot be told whether anybody is there: {idle.why}. If nobody ever is, set [schedule] "
                'unknown_input = "ignore".'
            )
        if idle.for_s < plan.schedule.quiet_min * 60:
            return f"Somebody used mouse or keyboard {idle.for_s / 60:.0f} min ago."
        return ""


@dataclass
class OwnerGuard:
    """No other program has the hardware."""

    others: Callable[[], str]
    name: str = "owner"

    def why_not(self, plan: Plan) -> str:
        """Return which program has it."""
        return self.others()


PERSON_GUARDS = frozenset({"person", "touch", "acquisition", "owner"})
"""Guards that tell of somebody at the microscope, for ``on_person = "skip"``."""

_USE_GUARDS = frozenset({"hardware", "acquisition", "owner"})
_NOTHING = Schedule(schedule_id="none", routine="none", cron="0 0 * * *", quiet_min=0)


class Interlock:
    """All guards at once, and for how long they have held.

    Parameters
    ----------
    guards : sequence of Guard
        Every one is asked every time, so that all reasons are known.
    monotonic_s : callable
        Counts the quiet time; a wall clock that jumps does not.
    least_quiet_s : float
        They must have held for at least so long, whatever the schedule says.
    """

    def __init__(
        self, guards: tuple[Guard, ...], monotonic_s: Callable[[], float], least_quiet_s: float
    ) -> None:
        self._guards, self._monotonic_s, self._least_quiet_s = guards, monotonic_s, least_quiet_s
        self._clear_since_s: dict[str, float] = {}

    def why_not(self, plan: Plan) -> dict[str, str]:
        """Return guard to reason; empty when all hold and have held long enough.

        Called again and again: the quiet time begins with the first call at which all hold.
        """
        refused = self.refusals(plan)
        name = plan.schedule.schedule_id
        if refused:
            self._clear_since_s.pop(name, None)
            return refused
        now_s = self._monotonic_s()
        for_s = now_s - self._clear_since_s.setdefault(name, now_s)
        wanted_s = max(self._least_quiet_s, plan.schedule.quiet_min * 60)
        if for_s < wanted_s:
            return {"quiet": f"All is quiet; it is wanted to stay so for {wanted_s / 60:g} min before a run."}
        return {}

    def refusals(self, plan: Plan) -> dict[str, str]:
        """Return what stands in the way at this moment, however long."""
        told = {guard.name: guard.why_not(plan) for guard in self._guards}
        return {name: reason for name, reason in told.items() if reason}

    def is_in_use(self, now: datetime) -> bool:
        """Return whether somebody has the hardware, or it is not up: then nothing may be moved at all."""
        plan = Plan(_NOTHING, now, now)
        return any(guard.why_not(plan) for guard in self._guards if guard.name in _USE_GUARDS)

    def forget(self) -> None:
        """Begin to count the quiet time anew: something was done with the hardware."""
        self._clear_since_s.clear()
