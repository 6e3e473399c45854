"""Start conditions: what properties of devices must say, and for how long they must have said it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import HardwareError
from agent.quality.restore import CALL_S, Hardware
from agent.quality.scene import Scene
from agent.quality.schedule.guards import Plan
from agent.records.schedules import StartCondition

_READ_EVERY_S = 30.0
_KEPT_S = 11 * 3600.0


class ConditionsGuard:
    """Reads the hardware when a run is due, and remembers what it read.

    Parameters
    ----------
    hardware : Hardware
        Who reads it.
    monotonic_s : callable
        Counts for how long.
    """

    name = "conditions"

    def __init__(self, hardware: Hardware, monotonic_s: Callable[[], float]) -> None:
        self._hardware, self._monotonic_s = hardware, monotonic_s
        self._read: deque[tuple[float, Mapping[tuple[str, str], Any]]] = deque()

    def why_not(self, plan: Plan) -> str:
        """Return the conditions that do not hold; the hardware is read only for a schedule that has some."""
        if not plan.schedule.conditions:
            return ""
        try:
            self._look({(one.device, one.property) for one in plan.schedule.conditions})
        except HardwareError as error:
            return f"The start conditions cannot be read: {error}"
        said = (self._judged(one) for one in plan.schedule.conditions)
        return " ".join(text for text in said if text)

    def _look(self, keys: set[tuple[str, str]]) -> None:
        now_s = self._monotonic_s()
        if self._read and now_s - self._read[-1][0] < _READ_EVERY_S and keys <= self._read[-1][1].keys():
            return
        readings = Scene.of(self._hardware.call("read_all", CALL_S)).readings
        self._read.append((now_s, {key: readings.get(key) for key in keys}))
        while now_s - self._read[0][0] > _KEPT_S:
            self._read.popleft()

    def _judged(self, wanted: StartCondition) -> str:
        """Return why a condition does not hold, going back through the readings until it is proven."""
        now_s, since_s, seen = self._read[-1][0], None, []
        key = (wanted.device, wanted.property)
        for at_s, values in reversed(self._read):
            value = values.get(key)
            if problem := _wrong(wanted, value):
                if since_s is None:
                    return problem
                break
            since_s = at_s
            seen.append(value)
            if now_s - at_s >= wanted.for_min * 60:
                break
        assert since_s is not None
        if now_s - since_s < wanted.for_min * 60:
            return (
                f"{wanted.device} {wanted.property} has been as wanted for {(now_s - since_s) / 60:.0f} min of "
                f"{wanted.for_min:g}."
            )
        return _unsteady(wanted, seen)


def _wrong(wanted: StartCondition, value: Any) -> str:
    """Return why one value is not what is wanted."""
    what = f"{wanted.device} {wanted.property}"
    if value is None:
        return f"{what} cannot be read."
    if wanted.equals is not None and not _is_same(value, wanted.equals):
        return f"{what} is {value}; wanted is {wanted.equals}."
    if wanted.at_least is None and wanted.at_most is None and wanted.steady_within is None:
        return ""
    number = _number(value)
    if number is None:
        return f"{what} is {value!r}, which is no number."
    if wanted.at_least is not None and not number >= wanted.at_least:
        return f"{what} is {number:g}; wanted is at least {wanted.at_least:g}."
    if wanted.at_most is not None and not number <= wanted.at_most:
        return f"{what} is {number:g}; wanted is at most {wanted.at_most:g}."
    return ""


def _unsteady(wanted: StartCondition, seen: list[Any]) -> str:
    if wanted.steady_within is None:
        return ""
    numbers = [number for value in seen if (number := _number(value)) is not None]
    spread = max(numbers) - min(numbers)
    if spread <= wanted.steady_within:
        return ""
    return (
        f"{wanted.device} {wanted.property} moved by {spread:g} within {wanted.for_min:g} min; wanted is "
        f"{wanted.steady_within:g} at most."
    )


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _is_same(value: Any, wanted: Any) -> bool:
    number, other = _number(value), _number(wanted)
    return number == other if number is not None and other is not None else str(value) == str(wanted)
