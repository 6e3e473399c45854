"""A running Micro-Manager Studio: its objects as the bridge shows them, and what its user does."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio_standin.core import core_object, device_type
from studio_standin.engine import Datastore, Engine, property_map, settings_json
from studio_standin.java import Java, JavaException, array_list
from studio_standin.listener import Listener
from studio_standin.server import Server

PACKAGE = "org.micromanager"


class StandIn:
    """One life of a Studio over a real core.

    Parameters
    ----------
    core
        The core that Studio owns.
    port : int, optional
        Of its server; 0 takes a free one.
    has_listener : bool
        Whether our jar is in its mmplugins.
    configuration_file : str
        What it says it has loaded.
    apis, shapes : mapping, optional
        What a real server says of its classes.
    """

    def __init__(
        self,
        core: Any,
        port: int = 0,
        *,
        has_listener: bool = False,
        configuration_file: str = "C:/Program Files/Micro-Manager/MMConfig_demo.cfg",
        apis: Mapping[str, str] | None = None,
        shapes: Mapping[str, Any] | None = None,
    ) -> None:
        self.core = core
        self.configuration_file = configuration_file
        self.listeners: list[Listener] = []
        self.is_live = self.is_closing = False
        self.engine = Engine(core, self.tell)
        self._positions = {"x_um": 0.0, "y_um": 0.0, "z_um": 0.0}
        self._connected: list[tuple[Any, Any]] = []
        studio, core_java = self._studio(), core_object(core)
        classes = {f"{PACKAGE}.Studio": lambda *_: studio, "mmcorej.CMMCore": lambda *_: core_java}
        if has_listener:
            classes["scopestamp.StudioListener"] = lambda *_: Listener(self).java()
        statics = {
            f"{PACKAGE}.acquisition.SequenceSettings": {
                "toJSONStream": lambda settings: settings_json(settings.value),
                "fromJSONStream": lambda text: _settings(json.loads(text)),
            },
            "java.lang.String": {"join": lambda between, of: between.join(of.value)},
            "java.lang.System": {"getProperty": lambda _: "17"},
            "mmcorej.DeviceType": {"swigToEnum": device_type},
        }
        self.server = Server(classes, statics, apis, port, shapes)

    @property
    def port(self) -> int:
        return self.server.port

    def start(self) -> StandIn:
        self._hear_the_core()
        self.server.start()
        return self

    def stop(self) -> None:
        """End at once, as a process that is killed does; the core stays loaded."""
        for signal, handler in self._connected:
            signal.disconnect(handler)
        self._connected.clear()
        self.engine.abort()
        self.server.stop()

    def tell(self, event: str, **keys: Any) -> None:
        """Post an event on the bus."""
        for listener in list(self.listeners):
            listener.hear(event, **keys)

    # -- what its user does

    def set_live(self, is_on: bool) -> None:
        if is_on:
            self.core.startContinuousSequenceAcquisition(0)
        else:
            self.core.stopSequenceAcquisition()
        self.is_live = is_on
        self.tell("live", is_on=is_on)

    def load(self, configuration: str) -> None:
        self.core.loadSystemConfiguration(configuration)
        self.configuration_file = configuration
        self.tell("configuration_loaded")

    def close(self) -> None:
        """Begin to close: from here on whoever calls the core would crash it."""
        self.is_closing = True
        self.tell("shutdown_commencing")

    # -- what it hears of its core: only what adapters announce

    def _hear_the_core(self) -> None:
        events = self.core.events
        self._join(events.stagePositionChanged, self._on_stage)
        self._join(events.XYStagePositionChanged, self._on_xy)
        self._join(
            events.exposureChanged, lambda camera, ms: self.tell("exposure", camera=camera, exposure_ms=ms)
        )
        self._join(events.propertyChanged, self._on_property)

    def _join(self, signal: Any, handler: Any) -> None:
        signal.connect(handler)
        self._connected.append((signal, handler))

    def _on_stage(self, device: str, position_um: float) -> None:
        if device == self.core.getFocusDevice():
            self._positions["z_um"] = position_um
        self.tell("stage", device=device, position_um=position_um)

    def _on_xy(self, device: str, x_um: float, y_um: float) -> None:
        self._positions |= {"x_um": x_um, "y_um": y_um}
        self.tell("xy", device=device, x_um=x_um, y_um=y_um)

    def _on_property(self, device: str, name: str, value: Any) -> None:
        if _is_announced():
            self.tell("property", device=device, property=name, value=str(value))

    def cached_positions(self) -> dict[str, float]:
        return {**self._positions, "pixel_size_um": self.core.getPixelSizeUm(True)}

    # -- its objects

    def _studio(self) -> Java:
        core_java = core_object(self.core)
        methods = {
            "core": lambda: core_java,
            "acquisitions": self._acquisitions,
            "live": self._live,
            "displays": self._displays,
            "cache": self._cache,
            "compat": lambda: Java(
                f"{PACKAGE}.internal.DefaultCompatibilityInterface",
                {"getVersion": lambda: "2.0.x dev"},
                (f"{PACKAGE}.CompatibilityInterface", "java.lang.Object"),
            ),
            "profile": lambda: Java(
                f"{PACKAGE}.profile.internal.DefaultUserProfile",
                {"getProfileName": lambda: "Default User"},
                (f"{PACKAGE}.UserProfile", f"{PACKAGE}.EventPublisher", "java.lang.Object"),
            ),
            "getSysConfigFile": lambda: self.configuration_file,
            "isProgramRunning": lambda: True,
        }
        return Java(f"{PACKAGE}.internal.MMStudio", methods, (f"{PACKAGE}.Studio", "java.lang.Object"))

    def _acquisitions(self) -> Java:
        methods = {
            "isAcquisitionRunning": lambda: self.engine.is_running,
            "isPaused": lambda: self.engine.is_paused,
            "getAcquisitionSettings": lambda: _settings(self.engine.settings),
            "runAcquisitionWithSettings": lambda of, _: _datastore(self.engine.run(of.value)),
            "abortAcquisition": self.engine.abort,
        }
        supers = (f"{PACKAGE}.acquisition.AcquisitionManager", "java.lang.Object")
        return Java(f"{PACKAGE}.acquisition.internal.DefaultAcquisitionManager", methods, supers)

    def _live(self) -> Java:
        supers = (f"{PACKAGE}.SnapLiveManager", f"{PACKAGE}.display.DataViewerListener", "java.lang.Object")
        methods = {"isLiveModeOn": lambda: self.is_live, "setLiveModeOn": self.set_live}
        return Java(f"{PACKAGE}.internal.SnapLiveManager", methods, supers)

    def _displays(self) -> Java:
        supers = (
            *(f"{PACKAGE}.display.DisplayManager", f"{PACKAGE}.EventPublisher"),
            *(f"{PACKAGE}.display.DataViewerListener", "java.lang.Object"),
        )
        methods = {
            "getAllDataViewers": lambda: array_list(map(_viewer, self.engine.viewers)),
            "getActiveDataViewer": lambda: _viewer(self.engine.viewers[-1]) if self.engine.viewers else None,
        }
        return Java(f"{PACKAGE}.display.internal.DefaultDisplayManager", methods, supers)

    def _cache(self) -> Java:
        core = self.core
        methods = {
            "getCameraLabel": core.getCameraDevice,
            "getShutterLabel": core.getShutterDevice,
            "getXYStageLabel": core.getXYStageDevice,
            "getZStageLabel": core.getFocusDevice,
            "getStageX": lambda: self._positions["x_um"],
            "getStageY": lambda: self._positions["y_um"],
            "getStageZ": lambda: self._positions["z_um"],
            "getPixelSizeUm": lambda: core.getPixelSizeUm(True),
            "getImageBitDepth": core.getImageBitDepth,
        }
        return Java(f"{PACKAGE}.internal.MMCache", methods)


def _settings(settings: Mapping[str, Any]) -> Java:
    def told(name: str) -> Any:
        return lambda: settings.get(name)

    methods = {name: told(name) for name in ("root", "prefix", "save", "numFrames")}
    return Java(f"{PACKAGE}.acquisition.SequenceSettings", methods, value=dict(settings))


def _viewer(datastore: Datastore) -> Java:
    supers = (
        *(f"{PACKAGE}.display.DisplayWindow", f"{PACKAGE}.display.DataViewer", f"{PACKAGE}.EventPublisher"),
        *("java.io.Closeable", "java.lang.AutoCloseable", "java.lang.Object"),
    )
    methods = {"getDataProvider": lambda: _datastore(datastore), "getName": lambda: datastore.name}
    return Java(f"{PACKAGE}.display.internal.displaywindow.DisplayController", methods, supers)


def _datastore(datastore: Datastore) -> Java:
    supers = (f"{PACKAGE}.data.Datastore", f"{PACKAGE}.data.DataProvider", "java.lang.Object")
    methods = {
        "getSavePath": lambda: datastore.path.as_posix() if datastore.path else None,
        "getName": lambda: datastore.name,
        "getNumImages": lambda: len(datastore.images),
        "isFrozen": lambda: datastore.is_frozen,
        "getSummaryMetadata": lambda: _summary(datastore),
    }
    return Java(f"{PACKAGE}.data.internal.DefaultDatastore", methods, supers, value=datastore)


def _summary(datastore: Datastore) -> Java:
    def to_map() -> Java:
        text = json.dumps(property_map(datastore.summary), indent=2)
        return Java(f"{PACKAGE}.internal.propertymap.DefaultPropertyMap", {"toJSON": lambda: text})

    supers = (f"{PACKAGE}.data.SummaryMetadata", "java.lang.Object")
    return Java(f"{PACKAGE}.data.internal.DefaultSummaryMetadata", {"toPropertyMap": to_map}, supers)


def _is_announced() -> bool:
    """Whether a property change comes from the adapter: pymmcore-plus also tells what it was commanded itself."""
    frame = sys._getframe()
    while frame.f_back is not None:
        if frame.f_code.co_name in (
            "setProperty",
            "setState",
            "setStateLabel",
            "_property_change_emission_ensured",
        ):
            return False
        frame = frame.f_back
    return True


def recorded(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return what the recordings tell of classes: the text of their methods, and their interfaces and fields."""
    apis = json.loads((folder / "apis.json").read_text(encoding="utf-8"))
    shapes: dict[str, Any] = {}
    for path in sorted(folder.glob("[hs]*.json")):
        for exchange in json.loads(path.read_text(encoding="utf-8"))["exchanges"]:
            text = (exchange["reply"] or [{}])[0].get("text", "")
            if '"unserialized-object"' in text:
                head, _, rest = text.partition('"api":')
                tail = '"type":' + rest.rpartition('"type":')[2]
                shape = json.loads(head + tail)
                if shape["class"] != "java.lang.Class":
                    shapes[shape["class"]] = {"interfaces": shape["interfaces"], "fields": shape["fields"]}
    return apis, shapes


__all__ = ["JavaException", "StandIn", "recorded"]
