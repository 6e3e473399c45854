"""The driver over a pymmcore-plus core.

It never calls ``core.state()`` nor ``summary_metadata()``: both make every other camera the current one while
they run, and so put frames of the wrong camera into the user's acquisition.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.base import Driver, Listener, OwningDriver
from drivers.errors import DEVICE_ERRORS, AcquisitionError, CameraSilentError, DriverError
from drivers.events import ConfigurationLoaded
from drivers.mmcore.description import describe_core
from drivers.mmcore.engine import own_engine, settling
from drivers.mmcore.moves import camera_bits, find_focus, move_stages, snapped
from drivers.mmcore.release import release_callback
from drivers.mmcore.sequences import forget_sequences
from drivers.mmcore.signals import CoreSignals
from drivers.readings import Hardware, How, Key, Moment, PropertyReading, Status, Value

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

CORE_CALLS: dict[str, tuple[str | None, Callable[[CMMCorePlus, str], Value]]] = {
    "@x": ("um", lambda core, device: core.getXPosition(device)),
    "@y": ("um", lambda core, device: core.getYPosition(device)),
    "@position": ("um", lambda core, device: core.getPosition(device)),
    "@exposure": ("ms", lambda core, device: core.getExposure(device)),
    "@roi": (None, lambda core, device: "x={} y={} width={} height={}".format(*core.getROI(device))),
    "@pixel_size": ("um", lambda core, device: core.getPixelSizeUm(True)),
}
"""Readings that are calls of the core: name to unit and call. Only the pixel size has a cached form."""

CALLS_OF_TYPE = {
    "XYStageDevice": ("@x", "@y"),
    "StageDevice": ("@position",),
    "CameraDevice": ("@exposure", "@roi"),
    "CoreDevice": ("@pixel_size",),
}
PRESET = "@preset "


class MMCoreDriver(Driver):
    """Watches a core that somebody else owns."""

    def __init__(self, core: CMMCorePlus) -> None:
        self._core = core
        self._hardware = Hardware(devices={})
        self._keys: tuple[Key, ...] = ()
        self._signals = CoreSignals(core, self.cached_values)

    def describe(self) -> Hardware:
        self._hardware = describe_core(self._core)
        self._keys = tuple(_keys_of(self._hardware))
        self._signals.know(self._hardware)
        return self._hardware

    def keys(self) -> tuple[Key, ...]:
        return self._keys

    def read(self, key: Key, how: How) -> PropertyReading:
        moment = Moment.now()
        try:
            value = self._value(key, how)
        except DEVICE_ERRORS as error:
            words = " ".join(str(error).split()) or type(error).__name__
            return PropertyReading(key, self._why_not(key, how), how, moment, error=words)
        if value is None:
            return PropertyReading(key, Status.FAILED, how, moment, error="the device gave no value")
        return PropertyReading(key, Status.OK, how, moment, value, self._unit(key))

    def is_busy(self) -> bool:
        return self._core.mda.is_running() or self._signals.is_rearranging or self._core.isSequenceRunning()

    def listen(self, listener: Listener) -> None:
        self._signals.connect(listener)

    def stop_listening(self) -> None:
        self._signals.disconnect()

    def look_around(self) -> None:
        # MMCore says nothing when a single device is loaded or unloaded
        if set(self._core.getLoadedDevices()) != set(self._hardware.devices):
            self._signals.tell(ConfigurationLoaded(Moment.now()))

    def cached_values(self) -> dict[Key, str]:
        """Return every adapter property that the core has in its cache; about 40 us for 120 properties."""
        values = {}
        for key in self._signals.stamped_keys:
            try:
                values[key] = str(self._core.getPropertyFromCache(*key))  # Python devices leave numbers there
            except DEVICE_ERRORS:  # loaded after the configuration: not in the cache
                continue
        return values

    def _value(self, key: Key, how: How) -> Value | None:
        device, name = key
        if name in CORE_CALLS:
            if how is How.CACHE and name != "@pixel_size":
                raise ValueError("the core keeps no cache of it")
            return CORE_CALLS[name][1](self._core, device)
        if name.startswith(PRESET):
            return self._preset(name.removeprefix(PRESET), how)
        raw = (
            self._core.getPropertyFromCache(device, name)
            if how is How.CACHE
            else self._core.getProperty(device, name)
        )
        return self._hardware.typed(key, raw)

    def _preset(self, group: str, how: How) -> str | None:
        if group not in self._core.getAvailableConfigGroups():
            raise ValueError("there is no such configuration group")
        if how is How.CACHE:
            return self._core.getCurrentConfigFromCache(group)
        return self._core.getCurrentConfig(group)

    def _unit(self, key: Key) -> str | None:
        if key.property in CORE_CALLS:
            return CORE_CALLS[key.property][0]
        declared = self._hardware.declared(key)
        return declared.unit if declared else None

    def _why_not(self, key: Key, how: How) -> Status:
        if key.property.startswith(PRESET):
            is_there = key.property.removeprefix(PRESET) in self._core.getAvailableConfigGroups()
            return Status.FAILED if is_there else Status.ABSENT
        if key.device not in self._core.getLoadedDevices():
            return Status.ABSENT
        try:
            if key.property not in CORE_CALLS and not self._core.hasProperty(*key):
                return Status.ABSENT
        except DEVICE_ERRORS:
            return Status.FAILED
        return Status.UNSUPPORTED if how is How.CACHE else Status.FAILED


class OwningMMCoreDriver(MMCoreDriver, OwningDriver):
    """Drives a core that this process loaded."""

    def __init__(self, core: CMMCorePlus) -> None:
        super().__init__(core)
        self._core.mda.set_engine(own_engine(core))
        self._cancelled = threading.Event()

    def set_property(self, key: Key, value: str) -> None:
        try:
            self._core.setProperty(key.device, key.property, value)
            self._core.waitForDevice(key.device)
        except (RuntimeError, ValueError) as error:
            raise DriverError(
                f"{key.device}-{key.property} could not be set to {value!r}: {error}"
            ) from error

    def set_preset(self, group: str, preset: str) -> None:
        try:
            self._core.setConfig(group, preset)
            self._core.waitForConfig(group, preset)
        except (RuntimeError, ValueError) as error:
            raise DriverError(f"The preset {group}/{preset} could not be set: {error}") from error

    def move(self, position_um: Mapping[str, float], timeout_s: float) -> None:
        self._cancelled.clear()
        move_stages(self._core, position_um, timeout_s, self._cancelled.is_set)

    def focus(self) -> float:
        return find_focus(self._core)

    def snap(self, exposure_ms: float) -> NDArray[np.generic]:
        self._cancelled.clear()
        return snapped(self._core, exposure_ms, self._cancelled.is_set)

    def last_frame(self) -> NDArray[np.generic] | None:
        return self._signals.last_frame

    def bit_depth(self) -> int:
        return camera_bits(self._core)

    def acquire(self, sequence: Mapping[str, Any], output: Path | None) -> None:
        from pydantic import ValidationError
        from useq import MDASequence

        if not self._core.getCameraDevice():
            raise AcquisitionError("The configuration has no camera; add one and make it the core's camera.")
        try:
            plan = MDASequence.model_validate(dict(sequence))
        except ValidationError as error:
            raise AcquisitionError(f"This is not a useq-schema sequence: {error}") from error
        try:
            with settling(self._core.mda.engine, plan.metadata):
                self._core.mda.run(plan, output=output)
        except (
            RuntimeError,
            ValueError,
            OSError,
            TypeError,
            MemoryError,
        ) as error:  # the last: buffer overflow
            # a disk's time-out has a number, that of the engine has none
            is_silent = isinstance(error, TimeoutError) and error.errno is None
            kind = CameraSilentError if is_silent else AcquisitionError
            raise kind(f"The acquisition ended in an error: {error}") from error
        finally:
            forget_sequences()

    def cancel(self) -> None:
        self._cancelled.set()
        self._core.mda.cancel()

    def close(self) -> None:
        self.stop_listening()
        self._core.mda.cancel()
        if self._core.isSequenceRunning():
            self._core.stopSequenceAcquisition()
        self._core.unloadAllDevices()
        release_callback(self._core)


def _keys_of(hardware: Hardware) -> list[Key]:
    keys = []
    for label, device in hardware.devices.items():
        keys += [Key(label, name) for name in device.properties]
        keys += [Key(label, name) for name in CALLS_OF_TYPE.get(device.device_type, ())]
    groups = dict.fromkeys(preset.group for preset in hardware.presets)
    return keys + [Key("Core", PRESET + group) for group in groups]
