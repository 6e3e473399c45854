"""The three ways in which an instrument is seen through Studio; which one it is, the user decides.

- `ListenerView`: our Java listener is installed. It reads the core from inside Studio, under a lock that Studio's shutdown
  waits for: whole, exact, and safe at any instant.
- `CoreView`: calls of the core over the bridge, when the user has switched them on. As whole, but Studio crashes when it is
  closed while such a call is under way.
- `StudioView`: neither. Studio's own objects, and the configuration file that it has loaded.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from drivers.errors import BridgeError, JavaError
from drivers.mmcore.driver import PRESET
from drivers.mmstudio.allowed import Reach
from drivers.mmstudio.bridge import JavaObject
from drivers.mmstudio.configuration import Configuration, read_configuration
from drivers.mmstudio.face import StudioFace
from drivers.mmstudio.verbose import parse_settings, parse_verbose
from drivers.mmstudio.words import State, device_of, preset_of
from drivers.readings import Hardware, Key, Moment, Value

CLOSING = "closing"


class View(ABC):
    """One way to see the instrument; any thread may look, and any look may raise `BridgeError`.

    Attributes
    ----------
    reads_hardware : bool
        Whether `read` can ask devices.
    is_exact : bool
        Whether text comes whole.
    """

    reads_hardware = True
    is_exact = False

    @abstractmethod
    def describe(self) -> Hardware:
        """Return everything that is loaded; waits for devices, so only while idle."""

    @abstractmethod
    def read(self, key: Key) -> Any:
        """Return one value from the hardware; waits for the device, so only while idle."""

    @abstractmethod
    def cached_state(self, hardware: Hardware) -> State:
        """Return everything from the cache, in one round trip; never waits for an exposure."""

    def release(self) -> None:  # noqa: B027 - nothing is held
        """Let Studio go of what it keeps for this."""


class ListenerView(View):
    """Sees through our listener in Studio."""

    is_exact = True

    def __init__(self, listener: JavaObject, studio: JavaObject) -> None:
        self._listener = listener
        self._answer("attach", studio, types=("java.lang.Object",))
        self._studio = studio

    def drain(self, n_most: int = 5000) -> Mapping[str, Any]:
        """Return the oldest events and how Studio fares; attaches again after a pause it took us for gone."""
        answer = self._answer("drain", n_most)
        if not answer.get("attached", True):
            self._answer("attach", self._studio, types=("java.lang.Object",))
        return answer

    def describe(self) -> Hardware:
        told = self._answer("describe")
        _refuse_closing(told)
        return Hardware(
            devices={
                d["label"]: device_of(d["label"], d, ((p["name"], p) for p in d.get("properties", ())))
                for d in told.get("devices", ())
            },
            presets=tuple(preset_of(p["group"], p["name"], p["settings"]) for p in told.get("presets", ())),
            pixel_sizes_um=dict(told.get("pixel_sizes_um", {})),
            software=_software(told.get("studio", ""), told.get("version", ""), told.get("api", "")),
            configuration_file=told.get("configuration_file") or None,
        )

    def read(self, key: Key) -> Any:
        answer = self._answer("read", key.device, key.property)
        _refuse_closing(answer)
        if "error" in answer:
            java_class, _, words = str(answer["error"]).partition(": ")
            raise JavaError(java_class, words)
        return answer.get("value")

    def cached_state(self, hardware: Hardware) -> State:
        moment = Moment.now()
        told = self._answer("state")
        _refuse_closing(told)
        values: dict[Key, Value] = {
            Key(device, name): value
            for device, named in told.get("properties", {}).items()
            for name, value in named.items()
        }
        presets = told.get("presets", {})
        values |= {Key("Core", PRESET + group): preset for group, preset in presets.items()}
        return State(moment, values | _positions(told.get("core", {}), told.get("studio", {})))

    def release(self) -> None:
        self._answer("close")
        self._listener.release()

    def _answer(self, name: str, *arguments: Any, types: tuple[str, ...] = ()) -> dict[str, Any]:
        text = self._listener.call(name, *arguments, types=types)
        try:
            return dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise BridgeError(
                f"The listener in Studio answered {name} with {text!r:.60}, which is no JSON."
            ) from error


def _refuse_closing(answer: Mapping[str, Any]) -> None:
    if answer.get("error") == CLOSING:
        raise BridgeError("Micro-Manager Studio is closing.")


def _positions(core: Mapping[str, Any], studio: Mapping[str, Any]) -> dict[Key, Value]:
    """Return the positions that Studio keeps; it may leave some out."""
    xy, focus, values = core.get("xy_stage"), core.get("focus"), {}
    for device, name, told in ((xy, "@x", "x_um"), (xy, "@y", "y_um"), (focus, "@position", "z_um")):
        if device and studio.get(told) is not None:
            values[Key(device, name)] = float(studio[told])
    if studio.get("pixel_size_um") is not None:
        values[Key("Core", "@pixel_size")] = float(studio["pixel_size_um"])
    return values


def _software(studio: str, core: str, api: str) -> dict[str, str]:
    named = {
        "Micro-Manager Studio": studio,
        "MMCore": core.removeprefix("MMCore version "),
        "device interface": api,
    }
    return {name: version for name, version in named.items() if version}


class CoreView(View):
    """Sees through calls of the core over the bridge: a client inside one while Studio closes crashes Studio."""

    def __init__(self, core: JavaObject, face: StudioFace) -> None:
        self._core, self._face = core, face

    def describe(self) -> Hardware:
        file = self._face.configuration_file()
        labels = self._texts("getLoadedDevices")
        named = [
            (group, name)
            for group in self._texts("getAvailableConfigGroups")
            for name in self._texts("getAvailableConfigs", group)
        ]
        sizes = self._texts("getAvailablePixelSizeConfigs")
        version, api = self._cached("getVersionInfo"), self._cached("getAPIVersionInfo")
        return Hardware(
            devices={label: self._device(label) for label in labels},
            presets=tuple(
                preset_of(group, name, self._preset_settings(group, name)) for group, name in named
            ),
            pixel_sizes_um={name: float(self._ask("getPixelSizeUmByID", name)) for name in sizes},
            software=_software(self._face.version(), version, api),
            configuration_file=file,
        )

    def read(self, key: Key) -> Any:
        label, name = key
        if name.startswith(PRESET):
            return self._ask("getCurrentConfig", name.removeprefix(PRESET))
        if name == "@pixel_size":
            return self._ask("getPixelSizeUm", True)
        if name == "@roi":
            return self._roi(label)
        calls = {
            "@x": "getXPosition",
            "@y": "getYPosition",
            "@position": "getPosition",
            "@exposure": "getExposure",
        }
        return self._ask(calls[name], label) if name in calls else self._ask("getProperty", label, name)

    def cached_state(self, hardware: Hardware) -> State:
        moment = Moment.now()
        with self._core.asked("getSystemStateCache", reach=Reach.CORE_CACHE) as configuration:
            text = configuration.call("getVerbose", reach=Reach.CORE_CACHE)
        known = (Key(label, name) for label, device in hardware.devices.items() for name in device.properties)
        values: dict[Key, Value] = dict(parse_verbose(text, known))
        for group in dict.fromkeys(preset.group for preset in hardware.presets):
            values[Key("Core", PRESET + group)] = self._cached("getCurrentConfigFromCache", group)
        return State(moment, values)

    def release(self) -> None:
        self._core.release()

    def _ask(self, name: str, *arguments: Any) -> Any:
        return self._core.call(name, *arguments, reach=Reach.CORE_HARDWARE)

    def _cached(self, name: str, *arguments: Any) -> Any:
        return self._core.call(name, *arguments, reach=Reach.CORE_CACHE)

    def _told(self, name: str, *arguments: Any, default: Any) -> Any:
        """Ask, and take the default of what a device fails to tell: one bad device hides no other."""
        try:
            return self._ask(name, *arguments)
        except JavaError:
            return default

    def _texts(self, name: str, *arguments: Any) -> list[str]:
        with self._core.asked(name, *arguments, reach=Reach.CORE_HARDWARE) as vector:
            n = int(vector.call("size", reach=Reach.CORE_CACHE))
            return [str(vector.call("get", at, reach=Reach.CORE_CACHE)) for at in range(n)]

    def _name_of(self, name: str, *arguments: Any) -> str:
        with self._core.asked(name, *arguments, reach=Reach.CORE_HARDWARE) as enum:
            return str(enum.call("toString", reach=Reach.CORE_HARDWARE))

    def _device(self, label: str) -> Any:
        try:
            return self._known_device(label)
        except JavaError:  # a label that lost characters on the way names nothing in the core
            return device_of(label, {}, ())

    def _known_device(self, label: str) -> Any:
        kind = self._name_of("getDeviceType", label)
        told = {
            "type": kind,
            "library": self._told("getDeviceLibrary", label, default=""),
            "name": self._told("getDeviceName", label, default=""),
            "description": self._told("getDeviceDescription", label, default=""),
            "parent": None if label == "Core" else self._told("getParentLabel", label, default=None),
            "state_labels": self._texts("getStateLabels", label) if kind == "StateDevice" else (),
        }
        names = self._texts("getDevicePropertyNames", label)
        return device_of(label, told, ((name, self._property(label, name)) for name in names))

    def _property(self, label: str, name: str) -> dict[str, Any]:
        what = (label, name)
        told = {
            "type": self._name_of("getPropertyType", *what),
            "is_read_only": self._told("isPropertyReadOnly", *what, default=False),
            "is_pre_init": self._told("isPropertyPreInit", *what, default=False),
            "is_sequenceable": self._told("isPropertySequenceable", *what, default=False),
            "allowed": self._texts("getAllowedPropertyValues", *what),
        }
        if self._told("hasPropertyLimits", *what, default=False):
            told["lower"] = self._told("getPropertyLowerLimit", *what, default=None)
            told["upper"] = self._told("getPropertyUpperLimit", *what, default=None)
        return told

    def _preset_settings(self, group: str, name: str) -> Iterable[Iterable[str]]:
        try:
            with self._core.asked("getConfigData", group, name, reach=Reach.CORE_HARDWARE) as configuration:
                return parse_settings(configuration.call("getVerbose", reach=Reach.CORE_CACHE))
        except JavaError:  # as above
            return ()

    def _roi(self, label: str) -> str:
        with self._core.asked("getROI", label, reach=Reach.CORE_HARDWARE) as roi:
            x, y, width, height = (int(roi.field(name)) for name in ("x", "y", "width", "height"))
        return f"x={x} y={y} width={width} height={height}"


class StudioView(View):
    """Sees what Studio's own objects tell, and in the configuration file what is loaded."""

    reads_hardware = False

    def __init__(self, face: StudioFace) -> None:
        self._face = face

    def describe(self) -> Hardware:
        file = self._face.configuration_file()
        loaded = read_configuration(Path(file)) if file else Configuration()
        core = loaded.devices.setdefault("Core", {"type": "CoreDevice", "properties": []})
        core["properties"] = [
            (name, {"type": "String"}) for name in ("Camera", "Shutter", "XYStage", "Focus")
        ]
        return Hardware(
            devices={
                label: device_of(label, told, told["properties"]) for label, told in loaded.devices.items()
            },
            presets=tuple(loaded.presets),
            pixel_sizes_um=loaded.pixel_sizes_um,
            software=_software(self._face.version(), "", ""),
            configuration_file=file,
        )

    def read(self, key: Key) -> Any:
        raise BridgeError(
            "Devices are not read: neither is our listener installed, nor core_polling switched on."
        )

    def cached_state(self, hardware: Hardware) -> State:
        moment = Moment.now()
        return State(moment, self._face.cached())
