"""What Studio says of itself: its own objects only, none of which enters the core."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.errors import BridgeError, JavaError
from drivers.mmstudio.allowed import SETTINGS_CLASS
from drivers.mmstudio.bridge import Bridge, JavaObject
from drivers.readings import Key, Value

_MOST_VIEWERS = 20


@dataclass(frozen=True, slots=True)
class Dataset:
    """What an acquisition fills, while Studio shows it.

    Attributes
    ----------
    path : str or None
        Where it is saved; None for one in memory.
    n_images : int
        Images in it by now.
    summary : mapping
        Its summary metadata, plain.
    """

    path: str | None
    n_images: int
    summary: Mapping[str, Any] = field(default_factory=dict)


class StudioFace:
    """Asks one Studio about itself; any thread may ask.

    Parameters
    ----------
    bridge : Bridge
        The connection.
    studio : JavaObject
        ``org.micromanager.Studio``, on a port of its own.
    """

    def __init__(self, bridge: Bridge, studio: JavaObject) -> None:
        self._bridge, self._studio = bridge, studio
        self._acquisitions = studio.call("acquisitions")
        self._live = studio.call("live")
        self._cache = studio.call("cache")
        self._displays = studio.call("displays")
        self._settings_class: JavaObject | None = None

    def is_acquiring(self) -> bool:
        """Return whether a planned acquisition runs; a paused one does."""
        return bool(self._acquisitions.call("isAcquisitionRunning"))

    def is_live(self) -> bool:
        """Return whether live mode is on."""
        return bool(self._live.call("isLiveModeOn"))

    def version(self) -> str:
        """Return Studio's version."""
        with self._studio.asked("compat") as compat:
            return str(compat.call("getVersion"))

    def configuration_file(self) -> str | None:
        """Return the path of the hardware configuration that is loaded."""
        return self._studio.call("getSysConfigFile") or None

    def settings(self) -> dict[str, Any]:
        """Return the settings of the running acquisition, as Studio itself writes them to a file."""
        if self._settings_class is None:
            self._settings_class = self._bridge.static(SETTINGS_CLASS)
        with self._acquisitions.asked("getAcquisitionSettings") as settings:
            text = self._settings_class.call("toJSONStream", settings, types=(SETTINGS_CLASS,))
        return dict(json.loads(text))

    def cached(self) -> dict[Key, Value]:
        """Return what Studio itself keeps of the instrument: current devices, stage positions, pixel size."""
        ask = self._cache.call
        camera, shutter = ask("getCameraLabel"), ask("getShutterLabel")
        stage, focus = ask("getXYStageLabel"), ask("getZStageLabel")
        values: dict[Key, Value] = {
            Key("Core", "Camera"): camera,
            Key("Core", "Shutter"): shutter,
            Key("Core", "XYStage"): stage,
            Key("Core", "Focus"): focus,
            Key("Core", "@pixel_size"): float(ask("getPixelSizeUm")),
        }
        if stage:
            values |= {Key(stage, "@x"): float(ask("getStageX")), Key(stage, "@y"): float(ask("getStageY"))}
        if focus:
            values[Key(focus, "@position")] = float(ask("getStageZ"))
        return values

    def bit_depth(self) -> int:
        """Return how many bits an image has."""
        return int(self._cache.call("getImageBitDepth"))

    def datasets(self) -> list[JavaObject]:
        """Return the datastores that are shown and not complete; the caller lets go of them."""
        found = []
        with self._displays.asked("getAllDataViewers") as viewers:
            for n in range(min(int(viewers.call("size")), _MOST_VIEWERS)):
                with viewers.asked("get", n) as viewer:
                    provider = viewer.call("getDataProvider")
                if _is_open(provider):
                    found.append(provider)
                else:
                    provider.release()
        return found

    def release(self) -> None:
        """Let Studio go of what it keeps for us."""
        held = (
            self._acquisitions,
            self._live,
            self._cache,
            self._displays,
            self._settings_class,
            self._studio,
        )
        for kept in held:
            if kept is not None:
                kept.release()


def _is_open(provider: JavaObject) -> bool:
    """Return whether a data provider is one that an acquisition fills: the live view's is rewritable and never frozen."""
    try:
        return "Rewritable" not in provider.handle.java_class and not provider.call("isFrozen")
    except JavaError:
        return False


def dataset_of(provider: JavaObject) -> Dataset:
    """Return what a datastore says of itself."""
    summary: Mapping[str, Any] = {}
    try:
        with provider.asked("getSummaryMetadata") as metadata, metadata.asked("toPropertyMap") as entries:
            summary = plain(json.loads(entries.call("toJSON"))["map"])
    except (BridgeError, KeyError, ValueError):
        if not isinstance(provider.call("getNumImages"), int):
            raise
    return Dataset(provider.call("getSavePath"), int(provider.call("getNumImages")), summary)


def plain(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return a property map without its types.

    >>> plain({"Width": {"type": "INTEGER", "scalar": 512}, "ChNames": {"type": "STRING", "array": ["DAPI"]}})
    {'Width': 512, 'ChNames': ['DAPI']}
    """
    return {name: _plain(entry) for name, entry in entries.items()}


def _plain(entry: Mapping[str, Any]) -> Any:
    if "array" in entry:
        return entry["array"]
    value = entry.get("scalar")
    return plain(value) if entry.get("type") == "PROPERTY_MAP" and isinstance(value, dict) else value
