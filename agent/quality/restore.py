"""Back to where it was: what a QC run may move is written down before the first move, and set again after the last.

The plan stays on disk until it has been carried out, so that a run that was killed can be undone by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agent.errors import HardwareError
from agent.exports.files import replace_file
from agent.quality.scene import STATE_LABEL, Scene

CALL_S = 120.0
CAMERA_SETTINGS = ("Exposure",)
SHUTTER_SETTINGS = ("State",)


class Hardware(Protocol):
    """Whoever passes calls on to the hardware process."""

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        """Call it and return its answer; raises `HardwareError`."""


@dataclass(frozen=True)
class RestorePlan:
    """What was true before a run.

    Attributes
    ----------
    properties : list of (device, property, value)
        What the run sets or may set by way of presets.
    presets : list of (group, preset)
        Set first.
    position : dict
        x, y, z of the current stages, um.
    """

    properties: list[tuple[str, str, str]]
    presets: list[tuple[str, str]] = field(default_factory=list)
    position: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, scene: Scene, touched: Iterable[tuple[str, str]] = ()) -> RestorePlan:
        """Return the plan for a scene; `touched` are further properties that the run sets."""
        camera, shutter = scene.role("Camera"), scene.role("Shutter")
        names = [key for key in scene.readings if key[1] == STATE_LABEL]
        names += [(camera, name) for name in CAMERA_SETTINGS]
        names += [("Core", "AutoShutter")] + [(shutter, name) for name in SHUTTER_SETTINGS]
        wanted = dict.fromkeys([*names, *touched])
        properties = [(*key, str(scene.readings[key])) for key in wanted if key in scene.readings]
        presets = [(scene.channel_group, scene.channel)] if scene.channel else []
        return cls(properties, presets, scene.position)

    def write(self, path: Path) -> None:
        """Write it down, before anything moves."""
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def read(cls, path: Path) -> RestorePlan:
        """Return the plan of a run that was not undone."""
        held = json.loads(path.read_bytes())
        return cls(
            [tuple(p) for p in held["properties"]], [tuple(p) for p in held["presets"]], held["position"]
        )


def restore(hardware: Hardware, plan: RestorePlan) -> list[str]:
    """Set everything that is not as it was, and return what could not be, in words."""
    problems: list[str] = []

    def attempt(name: str, **args: Any) -> None:
        try:
            hardware.call(name, CALL_S, **args)
        except HardwareError as error:
            problems.append(str(error))

    now = Scene.of(hardware.call("read_all", CALL_S))
    if _is_away(now.position, plan.position):
        if ("Core", "AutoShutter") in now.readings:  # no light on the sample for the frame on the way home
            attempt("set_property", device="Core", property="AutoShutter", value="0")
        attempt("acquire", sequence={"stage_positions": [plan.position]}, output=None)
    for group, preset in plan.presets:
        if now.readings.get(("Core", f"@preset {group}")) != preset:
            attempt("set_preset", group=group, preset=preset)
    now = Scene.of(hardware.call("read_all", CALL_S))
    for device, name, value in plan.properties:
        if str(now.readings.get((device, name))) != value:
            attempt("set_property", device=device, property=name, value=value)
    return problems


def _is_away(now: dict[str, float], before: dict[str, float]) -> bool:
    """Return whether a stage is further off than its encoder's noise."""
    return any(abs(now.get(axis, place) - place) > 0.001 for axis, place in before.items())
