"""How a routine is acquired on this microscope: its protocol, bound to the channel, place and devices in use."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent.errors import SettingsError
from agent.quality import detector_plans, power_plans
from agent.quality.given import BRIGHT, DARK, MAIN
from agent.quality.scene import Scene
from agent.quality.steps import Shot, Step, Trial
from qc_routines.conditions import Optics
from qc_routines.errors import InputError
from qc_routines.line_pairs import SPACINGS_UM
from qc_routines.protocols import Protocol
from qc_routines.routine import Routine

DARK_ONLY = ("dark_noise", "defects", "dark_current")
DARK_BESIDE = {
    "illumination": 16,
    "illumination_change": 16,
    "uniformity": 100,
    "photon_transfer": 16,
    "linearity": 16,
}
"""Routines that want dark frames too, and how many at most."""
BRIGHT_BESIDE = {"defects": 30}
"""Routines of dark frames that want frames of even light too, and how many at most."""
LEVELS = ("photon_transfer", "linearity", "dark_current")
"""Routines whose channels are exposures: one dataset for each."""
ONE_SIDED = ("pixel_size",)
"""Routines whose places are all to be reached from the same side, so that backlash does not enter."""
APPROACH_UM = 20.0
"""How far beyond, towards smaller x and y, the stage goes before each such place; well above any backlash."""
SETTLE_Z_S = 0.05
"""How long the focus drive rests before each plane of a stack: drives say that they have arrived when they are nearly there.
Of channels that are taken in turn at each height, the first would be seen a little farther back than the others."""
ONE_BY_ONE_S = 0.001
"""An interval that is over before it counts: without one, frames come in a burst, which overflows the core's buffer when
they are many or large."""


@dataclass(frozen=True)
class Plan:
    """The steps of a run and what is known from planning them.

    Attributes
    ----------
    protocol : Protocol
        What is carried out.
    channels : tuple of str
        Presets that are used.
    steps : tuple of Step
        In their order.
    facts : mapping
        Name to value and source.
    light_path : mapping
        What the result holds for, beside objective, camera and channel.
    """

    protocol: Protocol
    channels: tuple[str, ...]
    steps: tuple[Step, ...]
    facts: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    light_path: Mapping[str, str] = field(default_factory=dict)

    @property
    def shots(self) -> tuple[Shot, ...]:
        """Acquisitions of frames."""
        return tuple(step for step in self.steps if isinstance(step, Shot))

    @property
    def n_frames(self) -> int:
        """Frames and readings of all steps."""
        return sum(step.n_counts for step in self.steps)


def protocol_of(
    routine: Routine, options: Mapping[str, Any], channels: Sequence[str] = (), optics: Optics | None = None
) -> Protocol:
    """Return a routine's protocol with the options that are arguments of it.

    Raises
    ------
    SettingsError
        What they say cannot be acquired.
    """
    parameters = inspect.signature(routine.protocol).parameters
    arguments = {name: value for name, value in options.items() if name in parameters}
    if channels and "channel" in parameters:
        arguments["channel"] = channels[0]
    if channels and "channels" in parameters:
        arguments["channels"] = tuple(channels)
    if optics is not None and "optics" in parameters:
        arguments["optics"] = optics
    try:
        return routine.protocol(**arguments)
    except InputError as error:
        raise SettingsError(f"{routine.title} cannot be acquired so: {error}.") from error


def plan_of(
    routine: Routine,
    protocol: Protocol,
    channels: tuple[str, ...],
    scene: Scene,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """Return the steps of a routine.

    Raises
    ------
    SettingsError, MissingFactError
        The hardware lacks what it takes, or which property is meant is not clear.
    """
    if routine.name in power_plans.STEPS:
        steps, facts, light_path = power_plans.power_plan(protocol, channels, scene, options or {})
        return Plan(protocol, channels if len(channels) > 1 else (), steps, facts, light_path)
    _need_drives(routine, protocol, scene)
    main = _bound(_placed(routine, protocol, options or {}), channels, scene)
    if routine.name == "autofocus":
        return Plan(protocol, channels, _trials(protocol, main, scene))
    if routine.name == "point_detector":
        return Plan(protocol, channels, *detector_plans.detector_plan(protocol, main, scene, options or {}))
    mains = _mains(routine, protocol, main)
    is_dark = routine.name in DARK_ONLY
    role = DARK if routine.name in BRIGHT_BESIDE else MAIN
    shots = [Shot(role, sequence, is_dark) for sequence in mains]
    if routine.name in DARK_BESIDE:
        shots.append(_dark_beside(mains[-1], DARK_BESIDE[routine.name]))
    if routine.name in BRIGHT_BESIDE:
        bright = _lit_for(mains[-1], protocol.parameters.get("bright_exposure_ms"))
        shots.append(_series(BRIGHT, bright, BRIGHT_BESIDE[routine.name]))
    return Plan(protocol, channels, tuple(shots), _facts(routine, protocol, main, mains))


def _need_drives(routine: Routine, protocol: Protocol, scene: Scene) -> None:
    """Raise SettingsError where a routine moves what the configuration does not have."""
    if protocol.sequence.get("stage_positions") and not {"x", "y"} <= scene.position.keys():
        raise SettingsError(
            f"{routine.title} moves the stage, and the configuration has none (Core, XYStage), or it cannot be read."
        )
    if "z_plan" in protocol.sequence and "z" not in scene.position:
        raise SettingsError(
            f"{routine.title} moves the focus drive, and the configuration has none (Core, Focus), or it cannot be read."
        )


def _lit_for(sequence: dict[str, Any], exposure_ms: Any) -> dict[str, Any]:
    """Return a sequence with the exposure that is stated for its frames with light, if one is."""
    if exposure_ms is None:
        return sequence
    return {**sequence, "channels": [{**each, "exposure": exposure_ms} for each in sequence["channels"]]}


def _placed(routine: Routine, protocol: Protocol, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the sequence with the ways that its places are to be reached by, and the waits after them."""
    if "z_plan" in protocol.sequence and routine.name != "autofocus":
        rest_s = float(options.get("settle_z_s", SETTLE_Z_S))
        return {**protocol.sequence, "metadata": {"settle_z_s": rest_s}}
    if routine.name in ONE_SIDED:
        return _one_sided(protocol.sequence)
    places = protocol.sequence.get("stage_positions")
    if not places or not (wait_s := float(protocol.parameters.get("wait_s") or 0.0)):
        return protocol.sequence
    # what is measured are the images at home; where the stage turns around nothing has to settle
    settle_s = [0.0 if place.get("x") or place.get("y") else wait_s for place in places]
    return {**protocol.sequence, "metadata": {"settle_s": settle_s}}


def _mains(routine: Routine, protocol: Protocol, main: dict[str, Any]) -> list[dict[str, Any]]:
    if routine.name in LEVELS:
        return [{**main, "channels": [channel]} for channel in main["channels"]]
    if routine.name == "axial_steps":
        up_and_down = [main, {**main, "z_plan": {**main["z_plan"], "go_up": False}}]
        return up_and_down * int(protocol.parameters.get("n_repeats") or 1)
    return [main]


def _facts(
    routine: Routine, protocol: Protocol, main: Mapping[str, Any], mains: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[Any, str]]:
    facts: dict[str, tuple[Any, str]] = {}
    if routine.name in ONE_SIDED:
        facts["every_nth_counts"] = (2, "plan")
    if "stage_positions" in protocol.sequence:
        facts["stage_yx_um"] = (_places_yx_um(main), "plan")
    if (interval := (main.get("time_plan") or {}).get("interval", 0.0)) > ONE_BY_ONE_S:
        facts["interval_s"] = (interval, "plan")
    if routine.name in LEVELS:
        facts["exposures_ms"] = ([sequence["channels"][0]["exposure"] for sequence in mains], "plan")
    if routine.name == "line_pairs":
        facts["pitch_um"] = (protocol.parameters["pitch_um"], "plan")
        facts["spacing_um"] = (SPACINGS_UM, "plan")
    return facts


def _trials(protocol: Protocol, main: dict[str, Any], scene: Scene) -> tuple[Step, ...]:
    """Return trials of the autofocus, defocused to either side in turn, with a stack that shows the truth of each."""
    if not scene.role("AutoFocus"):
        raise SettingsError("The autofocus cannot be tried: the configuration has none (Core, AutoFocus).")
    stack = Shot(MAIN, {key: value for key, value in main.items() if key != "time_plan"})
    n, defocus_um = int(protocol.parameters["n_trials"] or 0), float(protocol.parameters["defocus_um"] or 0)
    return tuple(Trial(scene.position["z"], defocus_um * (-1) ** k, stack) for k in range(n))


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
    return replace(_series(DARK, sequence, most), is_dark=True)


def _series(role: str, sequence: Mapping[str, Any], most: int) -> Shot:
    """Return frames at one place and of one channel, as many as there are of the other, within reason."""
    loops = max((sequence.get("time_plan") or {}).get("loops", 1), most)
    series = {
        "axis_order": "tpcz",
        "channels": list(sequence["channels"][:1]),
        "stage_positions": list(sequence["stage_positions"][:1]),
        "time_plan": {"interval": ONE_BY_ONE_S, "loops": min(loops, most)},
    }
    return Shot(role, series)
