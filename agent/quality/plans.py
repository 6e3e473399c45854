"""How a routine is acquired on this microscope: its protocol, bound to the channel, place and devices in use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from agent.errors import SettingsError
from agent.quality.given import DARK, MAIN
from agent.quality.scene import Scene
from qc_routines.conditions import Optics
from qc_routines.protocols import Protocol
from qc_routines.routine import Routine

DARK_ONLY = ("dark_noise", "defects", "dark_current")
DARK_BESIDE = {"illumination": 16, "uniformity": 100, "photon_transfer": 16, "linearity": 16}
"""Routines that want dark frames too, and how many at most."""
LEVELS = ("photon_transfer", "linearity", "dark_current")
"""Routines whose channels are exposures: one dataset for each."""
ONE_SIDED = ("pixel_size",)
"""Routines whose places are all to be reached from the same side, so that backlash does not enter."""
APPROACH_UM = 20.0
"""How far beyond, towards smaller x and y, the stage goes before each such place; well above any backlash."""
ONE_BY_ONE_S = 0.001
"""An interval that is over before it counts: without one, frames come in a burst, which overflows the core's buffer when
they are many or large."""
BY_HAND = ("power_linearity", "power_stability", "sample_power", "autofocus", "axial_steps", "line_pairs")


@dataclass(frozen=True)
class Shot:
    """One acquisition of a run.

    Attributes
    ----------
    role : str
        What the measurement takes it for.
    sequence : mapping
        Of useq-schema, bound to places and channels.
    is_dark : bool
        No light is let onto the sample nor the camera.
    """

    role: str
    sequence: Mapping[str, Any]
    is_dark: bool = False

    @property
    def n_frames(self) -> int:
        """Frames it takes."""
        z_plan, time_plan = self.sequence.get("z_plan"), self.sequence.get("time_plan") or {}
        planes = round(z_plan["range"] / z_plan["step"]) + 1 if z_plan else 1
        counts = (
            len(self.sequence.get("channels") or (1,)),
            len(self.sequence.get("stage_positions") or (1,)),
        )
        return prod((planes, time_plan.get("loops", 1), *counts))


@dataclass(frozen=True)
class Plan:
    """The acquisitions of a run and what is known from planning them."""

    protocol: Protocol
    channels: tuple[str, ...]
    shots: tuple[Shot, ...]
    facts: Mapping[str, tuple[Any, str]] = field(default_factory=dict)

    @property
    def n_frames(self) -> int:
        """Frames of all acquisitions."""
        return sum(shot.n_frames for shot in self.shots)


def protocol_of(
    routine: Routine, options: Mapping[str, Any], channels: Sequence[str] = (), optics: Optics | None = None
) -> Protocol:
    """Return a routine's protocol with the options that are arguments of it."""
    parameters = inspect.signature(routine.protocol).parameters
    arguments = {name: value for name, value in options.items() if name in parameters}
    if channels and "channel" in parameters:
        arguments["channel"] = channels[0]
    if channels and "channels" in parameters:
        arguments["channels"] = tuple(channels)
    if optics is not None and "optics" in parameters:
        arguments["optics"] = optics
    return routine.protocol(**arguments)


def plan_of(routine: Routine, protocol: Protocol, channels: tuple[str, ...], scene: Scene) -> Plan:
    """Return the acquisitions of a routine.

    Raises
    ------
    SettingsError
        The routine cannot be acquired by itself, or the hardware lacks what it takes.
    """
    if routine.name in BY_HAND or not protocol.sequence:
        raise SettingsError(
            f"{routine.title} cannot be acquired by the agent yet. 'scopestamp qc show {routine.name}' says how to do "
            f"it by hand, 'scopestamp qc analyse {routine.name}' measures what came out."
        )
    sequence = _one_sided(protocol.sequence) if routine.name in ONE_SIDED else protocol.sequence
    main = _bound(sequence, channels, scene)
    facts: dict[str, tuple[Any, str]] = {}
    if routine.name in ONE_SIDED:
        facts["every_nth_counts"] = (2, "plan")
    if "stage_positions" in protocol.sequence:
        facts["stage_yx_um"] = (_places_yx_um(main), "plan")
    if (interval := (main.get("time_plan") or {}).get("interval", 0.0)) > ONE_BY_ONE_S:
        facts["interval_s"] = (interval, "plan")
    if routine.name in LEVELS:
        exposures = [channel["exposure"] for channel in main["channels"]]
        facts["exposures_ms"] = (exposures, "plan")
        mains = [{**main, "channels": [channel]} for channel in main["channels"]]
    else:
        mains = [main]
    is_dark = routine.name in DARK_ONLY
    shots = [Shot(MAIN, sequence, is_dark) for sequence in mains]
    if routine.name in DARK_BESIDE:
        shots.append(_dark_beside(mains[-1], DARK_BESIDE[routine.name]))
    return Plan(protocol, channels, tuple(shots), facts)


def _bound(sequence: Mapping[str, Any], channels: tuple[str, ...], scene: Scene) -> dict[str, Any]:
    """Return a sequence at the place where the stages stand and with this microscope's channels."""
    bound = {key: value for key, value in sequence.items() if key not in ("channels", "stage_positions")}
    asked = sequence["channels"]
    names = channels or (scene.channel,)
    if not scene.channel_group or not all(names):
        raise SettingsError(
            "No channel is set on the microscope. Name a preset of its channel group with --channel."
        )
    each = list(names) if len(names) == len(asked) else [names[0]] * len(asked)
    bound["channels"] = [
        {"group": scene.channel_group, "config": name, "exposure": channel["exposure"]}
        for name, channel in zip(each, asked, strict=True)
    ]
    if "time_plan" in bound and not bound["time_plan"]["interval"]:
        bound["time_plan"] = {**bound["time_plan"], "interval": ONE_BY_ONE_S}
    moves = sequence.get("stage_positions") or [{}]
    bound["stage_positions"] = [_at(scene.position, move, f"p{k:03d}") for k, move in enumerate(moves)]
    return bound


def _one_sided(sequence: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sequence that goes to smaller x and y before each of its places."""
    places = sequence["stage_positions"]
    before = [{"x": place["x"] - APPROACH_UM, "y": place["y"] - APPROACH_UM} for place in places]
    return {**sequence, "stage_positions": [p for pair in zip(before, places, strict=True) for p in pair]}


def _at(home: Mapping[str, float], move: Mapping[str, float], name: str) -> dict[str, Any]:
    return {axis: home[axis] + move.get(axis, 0.0) for axis in home} | {"name": name}


def _places_yx_um(sequence: Mapping[str, Any]) -> list[tuple[float, float]]:
    once = [(place["y"], place["x"]) for place in sequence["stage_positions"]]
    return once * (sequence.get("time_plan") or {}).get("loops", 1)


def _dark_beside(sequence: Mapping[str, Any], most: int) -> Shot:
    """Return dark frames of the same exposure at one place, as many as there are of the other, within reason."""
    loops = max((sequence.get("time_plan") or {}).get("loops", 1), most)
    dark = {
        "axis_order": "tpcz",
        "channels": list(sequence["channels"][:1]),
        "stage_positions": list(sequence["stage_positions"][:1]),
        "time_plan": {"interval": ONE_BY_ONE_S, "loops": min(loops, most)},
    }
    return Shot(DARK, dark, is_dark=True)
