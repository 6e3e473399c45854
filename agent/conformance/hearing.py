"""Hear what a core announces, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus


class Heard(NamedTuple):
    """One notification: what moved (device, property) and when, on the monotonic clock."""

    device: str
    property: str
    monotonic_ns: int


class Hearing:
    """Keeps every notification since the last `forget`; position and exposure appear as '@position' and 'Exposure'."""

    def __init__(self, core: CMMCorePlus) -> None:
        self._came = threading.Condition()
        self._heard: list[Heard] = []
        events = core.events
        events.propertyChanged.connect(self._property_changed)
        events.exposureChanged.connect(self._exposure_changed)
        events.stagePositionChanged.connect(self._stage_moved)
        events.XYStagePositionChanged.connect(self._xy_moved)
        events.configGroupChanged.connect(self._group_changed)

    def forget(self) -> None:
        """Forget what was heard."""
        with self._came:
            self._heard.clear()

    def wait_for(self, is_it: Callable[[Heard], bool], wait_s: float) -> Heard | None:
        """Return the first such notification, waiting for it; None when none came in time."""
        with self._came:
            self._came.wait_for(lambda: any(map(is_it, self._heard)), wait_s)
            return next((heard for heard in self._heard if is_it(heard)), None)

    def all(self) -> list[Heard]:
        """Return everything that was heard."""
        with self._came:
            return list(self._heard)

    def _keep(self, device: str, name: str) -> None:
        with self._came:
            self._heard.append(Heard(device, name, time.monotonic_ns()))
            self._came.notify_all()

    def _property_changed(self, device: str, name: str, value: Any) -> None:
        self._keep(device, name)

    def _exposure_changed(self, device: str, exposure_ms: float) -> None:
        self._keep(device, "Exposure")

    def _stage_moved(self, device: str, position_um: float) -> None:
        self._keep(device, "@position")

    def _xy_moved(self, device: str, x_um: float, y_um: float) -> None:
        self._keep(device, "@position")

    def _group_changed(self, group: str, preset: str) -> None:
        self._keep("Core", f"@preset {group}")
