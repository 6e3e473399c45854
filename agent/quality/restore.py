"""Back to where it was: what a QC run may move is written down before the first move, and set again after the last.

The plan stays on disk until it has been carried out, so that a run that was killed can be undone by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agent.errors import HardwareError, RunStoppedError
from agent.files import move_file, remove_file, replace_file
from agent.quality.scene import STATE_LABEL, Scene

CALL_S = 120.0
MOVE_S = 150.0
"""A stage that has not arrived by then is told to stop by the hardware process, some time before."""
CAMERA_SETTINGS = ("Exposure",)
SHUTTER_SETTINGS = ("State",)
RESTORE_FILE = "restore.json"


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


@contextmanager
def undone(
    hardware: Hardware,
    data_dir: Path,
    touched: Callable[[Scene], Iterable[tuple[str, str]]],
    say: Callable[[str], None],
) -> Iterator[Scene]:
    """Give the scene before a run, and put the hardware back to it afterwards, whatever happens.

    A plan that an earlier run left is carried out first. `touched` tells, of the scene, which properties the run sets
    beside those that every run may.
    """
    put_back_earlier(hardware, data_dir, say)
    path = data_dir / "qc" / RESTORE_FILE
    scene = Scene.of(hardware.call("read_all", CALL_S))
    plan = RestorePlan.of(scene, touched(scene))
    plan.write(path)
    try:
        yield scene
    finally:
        _carry_out(hardware, plan, path, say)


def put_back_earlier(hardware: Hardware, data_dir: Path, say: Callable[[str], None]) -> None:
    """Carry out the plan that a run left which was cut off, if there is one."""
    path = data_dir / "qc" / RESTORE_FILE
    if path.is_file():
        say("An earlier QC run was cut off; the hardware is put back to where it was before that.")
        try:
            plan = RestorePlan.read(path)
        except (OSError, ValueError, LookupError, TypeError) as error:
            aside = path.with_name(path.name + ".bad")
            say(
                f"Not put back: {path} cannot be read ({error}). Look at the microscope yourself; it is now {aside.name}."
            )
            move_file(path, aside)
            return
        _carry_out(hardware, plan, path, say)


def _carry_out(hardware: Hardware, plan: RestorePlan, path: Path, say: Callable[[str], None]) -> None:
    """Put everything back; what cannot be is said, and the plan then stays for the next run."""
    try:
        problems = restore(hardware, plan)
    except RunStoppedError:  # whoever stopped the run carries the plan out
        return
    except HardwareError as error:  # gone altogether: what the run itself raised says more
        problems = [str(error)]
    for problem in problems:
        say(f"Not put back: {problem}")
    if not problems:
        remove_file(path)


def restore(hardware: Hardware, plan: RestorePlan) -> list[str]:
    """Set everything that is not as it was, and return what could not be, in words."""
    problems: list[str] = []

    def attempt(name: str, **args: Any) -> None:
        try:
            hardware.call(name, CALL_S, **args)
        except HardwareError as error:
            problems.append(str(error))

    now = Scene.of(hardware.call("read_all", CALL_S))
    if away := _away(now.position, plan.position):
        attempt("move", position_um=away)
    for group, preset in plan.presets:
        if now.readings.get(("Core", f"@preset {group}")) != preset:
            attempt("set_preset", group=group, preset=preset)
    now = Scene.of(hardware.call("read_all", CALL_S))
    for device, name, value in plan.properties:
        if str(now.readings.get((device, name))) != value:
            attempt("set_property", device=device, property=name, value=value)
    return problems


def _away(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    """Return where the stages are to go that are further off than their encoders' noise."""
    return {axis: place for axis, place in before.items() if abs(now.get(axis, place) - place) > 0.001}
