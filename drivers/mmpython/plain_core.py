"""A plain pymmcore core, with the few answers that pymmcore-plus gives in a better shape."""

from __future__ import annotations

import sys
from typing import Any


def is_python_core(candidate: object) -> bool:
    """Return whether this is a core as ``pycromanager.Core()`` gives it with the Python back end.

    Whoever has one has imported pymmcore and mmpycorex, so we need not.
    """
    module = sys.modules.get("pymmcore")
    is_plain = module is not None and isinstance(candidate, module.CMMCore)
    return is_plain and hasattr(candidate, "get_tagged_image")


def is_java_core(candidate: object) -> bool:
    """Return whether this is an object behind the Java bridge, as ``pycromanager.Core()`` gives it otherwise."""
    return any(kind.__name__ == "_JavaObjectShadow" for kind in type(candidate).__mro__)


class PlainCore:
    """Passes every call on; what differs between pymmcore and pymmcore-plus is translated."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._core, name)
        setattr(self, name, call)  # found at once the next time: some are called 120 times an image
        return call

    def getDeviceType(self, label: str) -> Any:
        from pymmcore_plus import DeviceType

        return DeviceType(self._core.getDeviceType(label))

    def getConfigData(self, group: str, preset: str) -> list[tuple[str, str, str]]:
        data = self._core.getConfigData(group, preset)
        settings = [data.getSetting(i) for i in range(data.size())]
        return [(item.getDeviceLabel(), item.getPropertyName(), item.getPropertyValue()) for item in settings]

    def systemConfigurationFile(self) -> None:
        """Return None: MMCore does not remember which file it loaded."""
