"""scopestamp.StudioListener, as drivers/mmstudio/listener/EVENTS.md describes it, over the stand-in's own core."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from studio_standin.core import DEVICE_ERRORS, PROPERTY_TYPES
from studio_standin.java import Java

CORE_CALLS: dict[str, Callable[[Any, str], Any]] = {
    "@x": lambda core, device: core.getXPosition(device),
    "@y": lambda core, device: core.getYPosition(device),
    "@position": lambda core, device: core.getPosition(device),
    "@exposure": lambda core, device: core.getExposure(device),
    "@roi": lambda core, device: "x={} y={} width={} height={}".format(*core.getROI(device)),
    "@pixel_size": lambda core, device: core.getPixelSizeUm(),
}


class Listener:
    """One listener object; hears what `hear` is told once it is attached."""

    SIZE = 20_000

    def __init__(self, studio: Any) -> None:
        self._studio, self._core = studio, studio.core
        self._events: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._n_told = self._n_dropped = 0
        self.is_attached = False

    def java(self) -> Java:
        methods = {
            "attach": self.attach,
            "drain": self.drain,
            "state": self.state,
            "describe": self.describe,
            "read": self.read,
            "close": self.close,
        }
        return Java("scopestamp.StudioListener", methods, value=self)

    def hear(self, event: str, **keys: Any) -> None:
        if not self.is_attached:
            return
        with self._lock:
            self._n_told += 1
            if len(self._events) >= self.SIZE:
                self._n_dropped += 1
                return
            told = {"seq": self._n_told, "event": event, **_clocks(), "thread": "standin", **keys}
            self._events.append(told)

    def attach(self, studio: Any) -> str:
        if not self.is_attached:
            self.is_attached = True
            self._studio.listeners.append(self)
        return json.dumps({"listener": 1, "attached": True})

    def close(self) -> str:
        self.is_attached = False
        if self in self._studio.listeners:
            self._studio.listeners.remove(self)
        return json.dumps({"attached": False})

    def drain(self, n_most: int) -> str:
        with self._lock:
            events = [self._events.popleft() for _ in range(min(n_most, len(self._events)))]
            queued = len(self._events)
        return json.dumps(
            {
                "listener": 1,
                "attached": self.is_attached,
                "closing": self._studio.is_closing,
                "acquiring": self._studio.engine.is_running,
                "live": self._studio.is_live,
                **_clocks(),
                "dropped": self._n_dropped,
                "failed": 0,
                "queued": queued,
                "events": events,
            }
        )

    def state(self) -> str:
        if self._studio.is_closing:
            return json.dumps({"error": "closing", **_clocks()})
        core, properties = self._core, {}
        for device, name, value in core.getSystemStateCache():
            properties.setdefault(device, {})[name] = str(value)
        groups = core.getAvailableConfigGroups()
        return json.dumps(
            {
                **_clocks(),
                "took_ms": 0.9,
                "properties": properties,
                "presets": {group: core.getCurrentConfigFromCache(group) for group in groups},
                "core": {
                    "camera": core.getCameraDevice(),
                    "xy_stage": core.getXYStageDevice(),
                    "focus": core.getFocusDevice(),
                    "shutter": core.getShutterDevice(),
                    "auto_shutter": core.getAutoShutter(),
                    "remaining_images": core.getRemainingImageCount(),
                },
                "studio": {
                    "acquiring": self._studio.engine.is_running,
                    "paused": self._studio.engine.is_paused,
                    "live": self._studio.is_live,
                    **self._studio.cached_positions(),
                },
            }
        )

    def describe(self) -> str:
        if self._studio.is_closing:
            return json.dumps({"error": "closing"})
        core = self._core
        return json.dumps(
            {
                "version": core.getVersionInfo(),
                "api": core.getAPIVersionInfo(),
                "studio": "2.0.x dev",
                "configuration_file": self._studio.configuration_file,
                "devices": [_device(core, label) for label in core.getLoadedDevices()],
                "presets": [
                    {
                        "group": group,
                        "name": name,
                        "settings": [[*row] for row in core.getConfigData(group, name)],
                    }
                    for group in core.getAvailableConfigGroups()
                    for name in core.getAvailableConfigs(group)
                ],
                "pixel_sizes_um": {
                    name: core.getPixelSizeUmByID(name) for name in core.getAvailablePixelSizeConfigs()
                },
            }
        )

    def read(self, device: str, name: str) -> str:
        if self._studio.is_closing:
            return json.dumps({"error": "closing", **_clocks()})
        try:
            return json.dumps({"value": self._value(device, name), **_clocks(), "took_ms": 0.1})
        except DEVICE_ERRORS as error:
            return json.dumps({"error": f"java.lang.Exception: {error}", **_clocks(), "took_ms": 0.1})

    def _value(self, device: str, name: str) -> Any:
        if name in CORE_CALLS:
            return CORE_CALLS[name](self._core, device)
        if name.startswith("@preset "):
            return self._core.getCurrentConfig(name.removeprefix("@preset "))
        return str(self._core.getProperty(device, name))


def _device(core: Any, label: str) -> dict[str, Any]:
    kind = core.getDeviceType(label).name
    return {
        "label": label,
        "type": kind,
        "library": core.getDeviceLibrary(label),
        "name": core.getDeviceName(label),
        "description": core.getDeviceDescription(label),
        "parent": "" if label == "Core" else _or_empty(core.getParentLabel, label),
        "state_labels": list(core.getStateLabels(label)) if kind == "StateDevice" else [],
        "properties": [_property(core, label, name) for name in core.getDevicePropertyNames(label)],
    }


def _or_empty(ask: Callable[[str], str], label: str) -> str:
    try:
        return ask(label)
    except DEVICE_ERRORS:
        return ""


def _property(core: Any, label: str, name: str) -> dict[str, Any]:
    told = {
        "name": name,
        "type": PROPERTY_TYPES[int(core.getPropertyType(label, name))],
        "is_read_only": core.isPropertyReadOnly(label, name),
        "is_pre_init": core.isPropertyPreInit(label, name),
        "is_sequenceable": core.isPropertySequenceable(label, name),
        "allowed": [str(value) for value in core.getAllowedPropertyValues(label, name)],
    }
    if core.hasPropertyLimits(label, name):
        told |= {
            "lower": core.getPropertyLowerLimit(label, name),
            "upper": core.getPropertyUpperLimit(label, name),
        }
    return told


def _clocks() -> dict[str, int]:
    return {"wall_ms": time.time_ns() // 1_000_000, "nano": time.monotonic_ns() + 12_345}
