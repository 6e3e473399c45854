"""What is done to the hardware, one thing a call; runs in the hardware process, on its one thread.

C++ devices are set past pymmcore-plus, which announces in an adapter's place what it does not announce itself: only
the adapter's own notifications count here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.conformance.hearing import Hearing
from drivers.errors import DEVICE_ERRORS
from drivers.mmcore.description import describe_core
from drivers.readings import Key

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

_STATE = ("State", "Label")
_ARRIVED_UM = 0.5
_RANGE_UM = 2.0


class Probe:
    """Describes, reads, sets and moves the devices of one core."""

    def __init__(self, core: CMMCorePlus, data_dir: Path) -> None:
        self._core, self._data_dir = core, data_dir
        self._hearing = Hearing(core)

    def describe(self) -> dict[str, Any]:
        """Return what is loaded, as plain values."""
        hardware = describe_core(self._core)
        return {
            "software": dict(hardware.software),
            "devices": [
                {
                    "label": device.label,
                    "device_type": device.device_type,
                    "library": device.library,
                    "adapter_name": device.adapter_name,
                    "description": device.description,
                    "state_labels": list(device.state_labels),
                    "properties": [
                        {
                            "name": str(name),
                            "value_type": declared.value_type,
                            "is_read_only": declared.is_read_only,
                            "is_pre_init": declared.is_pre_init,
                            "lower_limit": declared.lower_limit,
                            "upper_limit": declared.upper_limit,
                            "allowed_values": list(declared.allowed_values),
                        }
                        for name, declared in device.properties.items()
                    ],
                }
                for device in hardware.devices.values()
            ],
            "presets": [
                {"group": preset.group, "name": preset.name, "settings": _rows(preset.settings)}
                for preset in hardware.presets
            ],
        }

    def read(self, device: str, property: str, n: int = 3) -> dict[str, Any]:
        """Read a property from hardware `n` times; what the device raises is the caller's to report."""
        took_ms, raw = [], ""
        for _ in range(n):
            begun_ns = time.monotonic_ns()
            raw = str(self._core.getProperty(device, property))
            took_ms.append((time.monotonic_ns() - begun_ns) / 1e6)
        return {"raw": raw, "took_ms": took_ms}

    def try_value(self, device: str, property: str, value: str, wait_ms: float) -> dict[str, Any]:
        """Set a property, wait for the device, read it back, and for its notification up to `wait_ms`."""
        self._hearing.forget()
        begun_ns = time.monotonic_ns()
        self._set(device, property, value)
        set_ms = (time.monotonic_ns() - begun_ns) / 1e6
        read_back = str(self._core.getProperty(device, property))
        names = _STATE if property in _STATE else (property,)
        heard = self._hearing.wait_for(lambda h: h.device == device and h.property in names, wait_ms / 1e3)
        notified_ms = (heard.monotonic_ns - begun_ns) / 1e6 if heard else None
        return {"set_ms": set_ms, "read_back": read_back, "notified_ms": notified_ms}

    def try_preset(self, group: str, preset: str, wait_ms: float) -> dict[str, Any]:
        """Set a configuration group to a preset, note what is announced, and put back what it changed."""
        keys = [(device, name) for device, name, _ in self._core.getConfigData(group, preset)]
        before = {key: str(self._core.getProperty(*key)) for key in keys}
        self._hearing.forget()
        begun_ns = time.monotonic_ns()
        try:
            self._set_config(group, preset)
            set_ms = (time.monotonic_ns() - begun_ns) / 1e6
            changed = [key for key in keys if str(self._core.getProperty(*key)) != before[key]]
            for key in changed:
                self._hearing.wait_for(lambda h, key=key: h[:2] == key, wait_ms / 1e3)  # type: ignore[misc]
            first_ns: dict[tuple[str, str], int] = {}
            for heard in self._hearing.all():
                first_ns.setdefault(heard[:2], heard.monotonic_ns)
        finally:
            for key, value in before.items():
                self._set(*key, value)
        notified_ms = {"-".join(key): (at - begun_ns) / 1e6 for key, at in first_ns.items()}
        return {"set_ms": set_ms, "changed": ["-".join(key) for key in changed], "notified_ms": notified_ms}

    def try_move(self, device: str, distance_um: float, wait_ms: float) -> dict[str, Any]:
        """Move a stage by `distance_um`, note what is announced, and move it back."""
        is_xy = self._core.getDeviceType(device).name == "XYStageDevice"
        before_um = self._position(device, is_xy)
        self._hearing.forget()
        begun_ns = time.monotonic_ns()
        try:
            self._move_to(device, [before_um[0] + distance_um, *before_um[1:]])
            move_ms = (time.monotonic_ns() - begun_ns) / 1e6
            moved_um = self._position(device, is_xy)[0] - before_um[0]
            heard = self._hearing.wait_for(lambda h: h[:2] == (device, "@position"), wait_ms / 1e3)
        finally:
            self._move_to(device, before_um)
        left_um = max(abs(a - b) for a, b in zip(self._position(device, is_xy), before_um, strict=True))
        notified_ms = (heard.monotonic_ns - begun_ns) / 1e6 if heard else None
        return {
            "move_ms": move_ms, "moved_um": moved_um, "notified_ms": notified_ms,
            "is_back": left_um < _ARRIVED_UM,
        }  # fmt: skip

    def acquire(
        self,
        presets: list[list[str]],
        movable: list[str],
        left_alone: list[list[str]],
        may_light: bool,
        settle_s: float,
    ) -> dict[str, Any]:
        """Acquire and capture two time points: in the presets of the channel group, and in three planes if focus may move.

        Parameters
        ----------
        presets : list of [group, preset]
            Those that may be set.
        movable : list of str
            Stages that may be moved.
        left_alone : list of [device, property]
            What is not to be read.
        may_light : bool
            Whether the shutter may be opened.
        settle_s : float
            How long the capture may take to its end.
        """
        from agent.conformance.acquire import captured_acquisition

        group = self._core.getChannelGroup()
        sequence: dict[str, Any] = {
            "channels": [{"group": group, "config": preset} for of, preset in presets if of == group],
            "time_plan": {"interval": 0, "loops": 2},
        }
        if self._core.getFocusDevice() in movable:
            sequence["z_plan"] = {"range": _RANGE_UM, "step": _RANGE_UM / 2}
        records = captured_acquisition(
            self._core, sequence, left_alone, self._data_dir, settle_s, may_light=may_light
        )
        return {"records": records}

    def _position(self, device: str, is_xy: bool) -> list[float]:
        if is_xy:
            return [float(value) for value in self._core.getXYPosition(device)]
        return [float(self._core.getPosition(device))]

    def _move_to(self, device: str, position_um: list[float]) -> None:
        if len(position_um) == 2:
            self._core.setXYPosition(device, *position_um)
        else:
            self._core.setPosition(device, position_um[0])
        self._core.waitForDevice(device)

    def _is_python(self, device: str) -> bool:
        return hasattr(self._core, "isPyDevice") and bool(self._core.isPyDevice(device))

    def _set(self, device: str, name: str, value: str) -> None:
        import pymmcore

        if self._is_python(device):
            self._core.setProperty(device, name, self._as_declared(device, name, value))
        else:
            pymmcore.CMMCore.setProperty(self._core, device, name, value)
        self._core.waitForDevice(device)

    def _set_config(self, group: str, preset: str) -> None:
        import pymmcore

        if hasattr(self._core, "isPyDevice"):
            self._core.setConfig(group, preset)
        else:
            pymmcore.CMMCore.setConfig(self._core, group, preset)
        self._core.waitForConfig(group, preset)

    def _as_declared(self, device: str, name: str, value: str) -> Any:
        """Return a text as the number that a Python device's property takes; text stays where it is none."""
        kind = self._core.getPropertyType(device, name).name
        try:
            return {"Integer": int, "Float": float}.get(kind, str)(value)
        except ValueError:
            return value


def _rows(settings: Mapping[Key, str]) -> list[list[str]]:
    return [[*key, value] for key, value in settings.items()]


REFUSALS = (*DEVICE_ERRORS, TimeoutError)
"""What a device raises through the core when it does not do what was asked."""
