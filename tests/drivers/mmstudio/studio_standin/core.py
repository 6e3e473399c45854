"""MMCore as the bridge shows it, over the real one: what calls take and give is translated, nothing is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from studio_standin.java import Java, JavaException, enum, vector

DEVICE_ERRORS = (RuntimeError, ValueError, KeyError, IndexError, TypeError, OSError)
PROPERTY_TYPES = ("Undef", "String", "Float", "Integer")


class Methods(dict):
    """Every public method of the core, by the name the bridge is asked for."""

    def __init__(self, core: Any) -> None:
        super().__init__(_special(core))
        self._core = core

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            return _guarded(name, self[name])
        found = None if name.startswith("_") else getattr(self._core, name, None)
        return _guarded(name, found) if callable(found) else default


def core_object(core: Any) -> Java:
    """Return the one CMMCore."""
    return Java("mmcorej.CMMCore", Methods(core), value=core)


def _guarded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def method(*arguments: Any) -> Any:
        try:
            return _as_java(call(*arguments))
        except DEVICE_ERRORS as error:
            words = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
            if isinstance(error, TypeError) and "argument" in str(words):
                words, kind = "No Matching method found with argument types", "java.lang.RuntimeException"
                raise JavaException(words, kind) from error
            raise JavaException(
                str(words), trace=f"mmcorej.MMCoreJJNI.CMMCore_{name}(Native Method)\n"
            ) from error

    return method


def _as_java(value: Any) -> Any:
    if isinstance(value, list | tuple):
        is_numbers = bool(value) and all(isinstance(item, int | float) for item in value)
        return vector(value, "mmcorej.DoubleVector" if is_numbers else "mmcorej.StrVector")
    return value


def _special(core: Any) -> dict[str, Callable[..., Any]]:
    return {
        "getSystemStateCache": lambda: configuration(core.getSystemStateCache()),
        "getSystemState": lambda: configuration(core.getSystemState()),
        "getConfigData": lambda group, preset: configuration(core.getConfigData(group, preset)),
        "getConfigGroupState": lambda group: configuration(core.getConfigGroupState(group)),
        "getPixelSizeConfigData": lambda name: configuration(core.getPixelSizeConfigData(name)),
        "getDeviceType": lambda label: device_type(int(core.getDeviceType(label))),
        "getLoadedDevicesOfType": lambda kind: core.getLoadedDevicesOfType(kind.value),
        "getPropertyType": lambda label, name: _property_type(core, label, name),
        "getXYStagePosition": lambda *of: _point(core.getXYPosition(*of)),
        "getROI": lambda *of: _rectangle(core.getROI(*of)),
        "getProperty": lambda label, name: str(core.getProperty(label, name)),
        "getPropertyFromCache": lambda label, name: str(core.getPropertyFromCache(label, name)),
        "setProperty": lambda label, name, value: core.setProperty(label, name, _text(value)),
        "getVersionInfo": lambda: core.getVersionInfo(),
        "getPixelSizeAffineAsString": lambda: ";".join(map(str, core.getPixelSizeAffine())),
        "getPrimaryLogFile": core.getPrimaryLogFile,
    }


def _text(value: Any) -> str:
    if value is None:
        raise ValueError("Null property value")
    return str(value)


def configuration(settings: Iterable[tuple[str, str, Any]]) -> Java:
    """Return an mmcorej.Configuration: its getVerbose escapes nothing."""
    rows = [(device, name, str(value)) for device, name, value in settings]

    def setting(index: int) -> Java:
        device, name, value = rows[index]
        methods = {
            "getDeviceLabel": lambda: device,
            "getPropertyName": lambda: name,
            "getPropertyValue": lambda: value,
            "getReadOnly": lambda: False,
            "getVerbose": lambda: f"{device}:{name}={value}",
            "getKey": lambda: f"{device}-{name}",
        }
        return Java("mmcorej.PropertySetting", methods)

    methods = {
        "getVerbose": lambda: "<html>" + "".join(f"{d}:{p}={v}<br>" for d, p, v in rows) + "</html>",
        "size": lambda: len(rows),
        "getSetting": setting,
        "isPropertyIncluded": lambda device, name: any(row[:2] == (device, name) for row in rows),
    }
    return Java("mmcorej.Configuration", methods)


def device_type(number: int) -> Java:
    """Return one of mmcorej.DeviceType."""
    from pymmcore_plus import DeviceType

    return enum("mmcorej.DeviceType", DeviceType(number).name, number)


def _property_type(core: Any, label: str, name: str) -> Java:
    kind = int(core.getPropertyType(label, name))
    return enum("mmcorej.PropertyType", PROPERTY_TYPES[kind], kind)


POINT_SUPERS = ("java.awt.geom.Point2D", "java.io.Serializable", "java.lang.Object")


def _point(xy: Iterable[float]) -> Java:
    x, y = xy
    return Java("java.awt.geom.Point2D$Double", fields={"x": x, "y": y})


def _rectangle(roi: Iterable[int]) -> Java:
    x, y, width, height = roi
    return Java("java.awt.Rectangle", fields={"x": x, "y": y, "width": width, "height": height})
