"""Devices moved by hand: what the hardware announces although nobody ordered it.

An announcement counts as a touch when it comes from a device that people move (stage, focus drive, turret, shutter),
says something new, and no order of ours that moves this device was under way or has ended just before.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import Any

from drivers import Hardware, Key, PropertyMoved, PropertyReading, Status

MOVED_BY_PEOPLE = frozenset({"StateDevice", "ShutterDevice", "StageDevice", "XYStageDevice"})
ECHO_S = 3.0
"""Devices may announce what they were ordered to do for so long after it is done."""
LEAST_UM = {"@x": 2.0, "@y": 2.0, "@position": 1.0}
"""A stage that is held by a controller trembles; only more than this is a hand."""
_ANNOUNCED = frozenset({"Label", "State", *LEAST_UM})


class TouchWatch:
    """Counts touches by device; told of orders and of announcements, on any thread.

    Parameters
    ----------
    hardware : Hardware
        What is loaded: which device is of which type.
    monotonic_s : callable
        Tells how long ago an order was.
    """

    def __init__(self, hardware: Hardware, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._types = {label: device.device_type for label, device in hardware.devices.items()}
        self._monotonic_s = monotonic_s
        self._lock = Lock()
        self._under_way: list[frozenset[str]] = []
        self._ordered_s: dict[str, float] = {}
        self._known: dict[Key, object] = {}
        self._touched: Counter[str] = Counter()

    @property
    def touched(self) -> Mapping[str, int]:
        """How often each device was moved by hand."""
        with self._lock:
            return dict(self._touched)

    @contextmanager
    def ordered(self, devices: Iterable[str] | None = None) -> Iterator[None]:
        """While this is open, and for a moment after, these devices (default: all) are moved by us."""
        ours = frozenset(self._types if devices is None else devices)
        with self._lock:
            self._under_way.append(ours)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(ours)
                self._ordered_s.update(dict.fromkeys(ours, self._monotonic_s()))

    def moved(self, event: PropertyMoved) -> None:
        """Take in an announcement."""
        reading = event.reading
        with self._lock:
            before = self._known.get(reading.key)
            self._known[reading.key] = reading.value
            if not event.is_commanded and self._is_by_hand(reading, before):
                self._touched[reading.key.device] += 1

    def _is_by_hand(self, reading: PropertyReading, before: object) -> bool:
        key = reading.key
        if self._types.get(key.device) not in MOVED_BY_PEOPLE or key.property not in _ANNOUNCED:
            return False
        ordered_s = self._ordered_s.get(key.device, float("-inf"))
        if self._monotonic_s() - ordered_s < ECHO_S or any(key.device in ours for ours in self._under_way):
            return False
        return reading.status is Status.OK and _is_news(key, before, reading.value)


def _is_news(key: Key, before: object, now: object) -> bool:
    least_um = LEAST_UM.get(key.property)
    if least_um is None:
        return before is None or str(now) != str(before)
    if before is None:
        return False  # where it stood is not known, so not how far it has moved
    return abs(float(str(now)) - float(str(before))) > least_um


def moved_by(sequence: Mapping[str, Any], hardware: Hardware) -> frozenset[str] | None:
    """Return the devices that a sequence moves; None when that cannot be told.

    Cameras and shutters always; the devices of its channels' presets; stages and focus drives where it has more
    than one place or a stack.
    """
    from useq import MDASequence

    try:
        plan = MDASequence(**sequence)
    except (TypeError, ValueError):
        return None  # whoever is to run it says what is wrong with it
    presets = [hardware.preset(channel.group, channel.config) for channel in plan.channels]
    if None in presets:
        return None
    found = {"Core"} | _of_type(hardware, "CameraDevice") | _of_type(hardware, "ShutterDevice")
    found |= {key.device for preset in presets if preset for key in preset.settings}
    if len({(place.x, place.y) for place in plan.stage_positions}) > 1 or plan.grid_plan is not None:
        found |= _of_type(hardware, "XYStageDevice")
    if plan.z_plan is not None or len({place.z for place in plan.stage_positions}) > 1:
        found |= _of_type(hardware, "StageDevice")
    return frozenset(found)


def _of_type(hardware: Hardware, name: str) -> set[str]:
    return {label for label, device in hardware.devices.items() if device.device_type == name}
