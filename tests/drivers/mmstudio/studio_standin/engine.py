"""Studio's acquisition engine over the real core: frames are taken, written and announced, and counted by nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

AXES = ("position", "time", "z", "channel")  # outermost first, as acqOrderMode 0 takes them
DEFAULTS: dict[str, Any] = {
    "numFrames": 1,
    "intervalMs": 0.0,
    "displayTimeUnit": 0,
    "useCustomIntervals": False,
    "channels": [],
    "slices": [],
    "relativeZSlice": True,
    "slicesFirst": False,
    "timeFirst": False,
    "keepShutterOpenSlices": False,
    "keepShutterOpenChannels": False,
    "useAutofocus": False,
    "skipAutofocusCount": 0,
    "save": False,
    "saveMode": "MULTIPAGE_TIFF",
    "zReference": 0.0,
    "comment": "",
    "channelGroup": "Channel",
    "usePositionList": False,
    "cameraTimeout": 20000,
    "shouldDisplayImages": True,
    "useSlices": False,
    "useFrames": False,
    "useChannels": False,
    "sliceZStepUm": 1.0,
    "sliceZBottomUm": 0.0,
    "sliceZTopUm": 0.0,
    "acqOrderMode": 0,
    "isTestAcquisition": False,
    "version": 1.4,
}
"""An idle Studio's settings (recording s02)."""


def settings_json(settings: Mapping[str, Any]) -> str:
    """Return settings as SequenceSettings.toJSONStream writes them."""
    return json.dumps(settings, indent=2)


@dataclass(eq=False)
class Datastore:
    """What an acquisition fills."""

    path: Path | None
    summary: dict[str, Any]
    images: list[np.ndarray] = field(default_factory=list)
    is_frozen: bool = False

    @property
    def name(self) -> str:
        return self.path.name if self.path else "Untitled"


class Engine:
    """Runs acquisitions, one at a time.

    Parameters
    ----------
    core
        The real core.
    tell : callable
        Takes events as the listener says them.
    """

    def __init__(self, core: Any, tell: Callable[..., None]) -> None:
        self._core, self._tell = core, tell
        self.settings: dict[str, Any] = dict(DEFAULTS)
        self.is_running = False
        self.is_paused = False
        self.datastore: Datastore | None = None
        self.viewers: list[Datastore] = []
        self.on_image: Callable[[int], None] = lambda n: None
        self.n_acquisitions = 0
        self.error: Exception | None = None
        self._abort = threading.Event()

    def run(self, settings: Mapping[str, Any]) -> Datastore:
        """Run an acquisition to its end, on this thread."""
        datastore = self.begin(settings)
        self.go_on(datastore)
        return datastore

    def begin(self, settings: Mapping[str, Any]) -> Datastore:
        """Begin an acquisition: it is announced, and no image is taken yet."""
        self.settings = {**DEFAULTS, **settings}
        self._abort.clear()
        self.n_acquisitions += 1
        self.error = None
        path = _numbered(self.settings)
        datastore = self.datastore = Datastore(path, self._summary(path))
        if path:
            path.mkdir(parents=True)
        if self.settings["shouldDisplayImages"]:
            self.viewers.append(datastore)
        self.is_running = True
        self._began = time.monotonic()
        self._tell(
            "acq_started",
            acquisition=self.n_acquisitions,
            **({"path": path.as_posix(), "prefix": path.name} if path else {}),
            name=datastore.name,
            settings=settings_json(self.settings),
            summary=_plain(datastore.summary),
        )
        return datastore

    def go_on(self, datastore: Datastore) -> None:
        """Take the images and end."""
        try:
            for n, (coords, channel, z_um) in enumerate(self._events()):
                if self._abort.is_set():
                    break
                self._take(datastore, n, coords, channel, z_um)
        except (RuntimeError, ValueError) as error:
            self.error = error
        finally:
            self._end(datastore)

    def abort(self) -> None:
        """End after the image under way, without asking anybody."""
        self._abort.set()

    def _events(self) -> Iterator[tuple[dict[str, int], Mapping[str, Any] | None, float | None]]:
        asked = self.settings
        n_times = asked["numFrames"] if asked["useFrames"] else 1
        slices = asked["slices"] if asked["useSlices"] else [None]
        channels = [c for c in asked["channels"] if c["useChannel"]] if asked["useChannels"] else [None]
        reference = self._core.getPosition() if asked["relativeZSlice"] and asked["useSlices"] else 0.0
        is_slices_inside = asked["acqOrderMode"] == 1
        outer, inner = (channels, slices) if is_slices_inside else (slices, channels)
        for t, at_outer, at_inner in product(range(n_times), enumerate(outer), enumerate(inner)):
            (c, channel), (z, offset) = (at_outer, at_inner) if is_slices_inside else (at_inner, at_outer)
            coords = {axis: at for axis, at in (("time", t), ("z", z), ("channel", c)) if at}
            yield coords, channel, None if offset is None else reference + offset

    def _take(
        self,
        datastore: Datastore,
        n: int,
        coords: dict[str, int],
        channel: Mapping[str, Any] | None,
        z_um: float | None,
    ) -> None:
        if channel:
            self._core.setConfig(channel["channelGroup"], channel["config"])
            self._core.setExposure(channel["exposure"])
        if z_um is not None:
            self._core.setPosition(z_um)
            self._core.waitForDevice(self._core.getFocusDevice())
        self._core.snapImage()
        datastore.images.append(np.array(self._core.getImage()))
        self._tell(
            "image",
            acquisition=self.n_acquisitions,
            coords=coords,
            elapsed_ms=round((time.monotonic() - self._began) * 1e3, 1),
            camera=self._core.getCameraDevice(),
            position_name="Default",
            **({} if z_um is None else {"z_um": z_um}),
        )
        self.on_image(n)

    def _end(self, datastore: Datastore) -> None:
        if datastore.path and datastore.images:
            tifffile.imwrite(
                datastore.path / f"{datastore.name}_MMStack_Default.ome.tif", np.stack(datastore.images)
            )
        self.is_running = False
        told = {"acquisition": self.n_acquisitions}
        told |= {"path": datastore.path.as_posix()} if datastore.path else {}
        self._tell("acq_ended", **told)
        datastore.is_frozen = True
        self._tell("datastore_frozen", **told, n_images=len(datastore.images))

    def _summary(self, path: Path | None) -> dict[str, Any]:
        asked, core = self.settings, self._core
        channels = [c["config"] for c in asked["channels"] if c["useChannel"]] if asked["useChannels"] else []
        dimensions = {
            "channel": max(len(channels), 1),
            "position": 1,
            "time": asked["numFrames"] if asked["useFrames"] else 1,
            "z": max(len(asked["slices"]), 1) if asked["useSlices"] else 1,
        }
        return {
            "AxisOrder": list(AXES),
            "ChNames": channels or ["Default"],
            "ChannelGroup": asked["channelGroup"],
            "ComputerName": "SCOPE-PC",
            "Height": core.getImageHeight(),
            "InitialScopeData": {f"{d}-{p}": str(v) for d, p, v in core.getSystemStateCache()},
            "IntendedDimensions": dimensions,
            "Interval_ms": float(asked["intervalMs"]),
            "MdaSettings": settings_json(asked),
            "MicroManagerVersion": "2.0.x dev",
            "PixelType": "GRAY16" if core.getBytesPerPixel() == 2 else "GRAY8",
            "Prefix": path.name if path else "Untitled",
            "ProfileName": "Default User",
            "UserName": "operator",
            "Width": core.getImageWidth(),
            "z-step_um": float(asked["sliceZStepUm"]),
            **({"Directory": path.parent.as_posix()} if path else {}),
        }


def _numbered(settings: Mapping[str, Any]) -> Path | None:
    """Return the folder with the number that Studio gives it."""
    if not settings["save"]:
        return None
    number = 1
    while (path := Path(settings["root"]) / f"{settings['prefix']}_{number}").exists():
        number += 1
    return path


def _plain(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain entries of a summary, as the listener tells them."""
    return {
        "computer": summary["ComputerName"],
        "user": summary["UserName"],
        "version": summary["MicroManagerVersion"],
        "width_px": summary["Width"],
        "height_px": summary["Height"],
        "z_step_um": summary["z-step_um"],
        "channels": summary["ChNames"],
        "axes": summary["AxisOrder"],
        "dimensions": summary["IntendedDimensions"],
    }


def property_map(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return entries as the JSON of one of Studio's property maps (recordings s06, s07)."""
    return {
        "encoding": "UTF-8",
        "format": "Micro-Manager Property Map",
        "major_version": 2,
        "minor_version": 0,
        "map": _entries(entries),
    }


def _entries(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _entry(value) for name, value in entries.items()}


def _entry(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"type": "PROPERTY_MAP", "scalar": _entries(value)}
    if isinstance(value, list):
        return {"type": "STRING", "array": value}
    kind = {bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE", str: "STRING"}[type(value)]
    return {"type": kind, "scalar": value}
