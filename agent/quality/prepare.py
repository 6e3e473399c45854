"""Before the first frame: what is to be set is set, what must be known is asked for, exposures are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent.quality.acquire import set_light
from agent.quality.exposure import Exposure, find_exposure, with_exposures
from agent.quality.facts import Facts
from agent.quality.given import BRIGHT, Given
from agent.quality.plans import BRIGHT_BESIDE, Plan, plan_of, protocol_of
from agent.quality.request import Request
from agent.quality.restore import CALL_S, Hardware
from agent.quality.scene import Scene
from agent.quality.stated import OPTICS_MEASURED, check_stated, need_levels, needs_optics
from agent.quality.steps import Key, Shot, Step, Trial
from qc_routines.levels import LEVELS, Level

SLIDE_DEVICE = ("Slide", "Label")
"""The slide holder of the simulated microscope, which puts on the slide that is named."""
PIXELS_MEASURED = ("psf", "registration", "stage", "drift", "line_pairs", "axial_steps")
"""Routines that cannot measure without the pixel size."""
LEAST_LIGHT = 0.05
"""Part of full scale below which frames that are to be bright beside dark ones are of no use."""


@dataclass(frozen=True)
class Prepared:
    """A plan for the microscope as it stands, and how it came about.

    Attributes
    ----------
    plan : Plan
        What to do.
    scene : Scene
        The microscope as it stands.
    parameters : mapping
        To be kept with the result.
    remarks : tuple of str
        For a reader of the result.
    """

    plan: Plan
    scene: Scene
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def prepare(
    hardware: Hardware,
    request: Request,
    properties: Mapping[Key, str],
    before: Scene,
    say: Callable[[str], None],
) -> Prepared:
    """Set what is to be set, find exposures where none is stated, and return the plan.

    Raises
    ------
    HardwareError, SettingsError, MissingFactError
        Something cannot be set, is too bright, or is not known.
    """
    for (device, name), value in properties.items():
        if (device, name) == SLIDE_DEVICE and (device, name) not in before.readings:
            continue  # a real microscope: a person has put it on
        hardware.call("set_property", CALL_S, device=device, property=name, value=value)
    scene = Scene.of(hardware.call("read_all", CALL_S))
    channels = request.channels or ((scene.channel,) if scene.channel else ())
    if request.channels and scene.channel_group:
        hardware.call("set_preset", CALL_S, group=scene.channel_group, preset=channels[0])
        scene = Scene.of(hardware.call("read_all", CALL_S))
    _ask(request, scene)
    plan = _plan(request, {}, channels, scene)
    wanted = LEVELS.get(request.routine.name)
    if wanted is None or wanted.argument in request.options or not channels:
        return Prepared(plan, scene)
    need_levels(request.routine, plan.protocol, request.options)
    found = [_found(hardware, scene, channel, wanted, plan) for channel in channels]
    for exposure in found:
        say(exposure.remark(wanted))
    return _exposed(request, plan, scene, wanted, found)


def _ask(request: Request, scene: Scene) -> None:
    """Ask now for what the measurement will not do without, and what the hardware does not tell."""
    check_stated(request.routine, request.options, request.channels)
    pixel = (scene.pixel_um, "the pixel size of the configuration")
    facts = Facts(request.options, others={**scene.facts(), "voxel_x_um": pixel, "voxel_y_um": pixel})
    if request.routine.name in OPTICS_MEASURED:
        Given({}, facts).optics()
    if request.routine.name in PIXELS_MEASURED:
        facts.need("voxel_x_um")


def _plan(request: Request, more: Mapping[str, Any], channels: tuple[str, ...], scene: Scene) -> Plan:
    routine = request.routine
    facts = Facts(request.options, others=scene.facts())
    optics = Given({}, facts).optics(max(len(request.channels) - 1, 0)) if needs_optics(routine) else None
    options = {"field_um": _field_um(scene), **more, **request.options}
    protocol = protocol_of(routine, {k: v for k, v in options.items() if v is not None}, channels, optics)
    return plan_of(routine, protocol, channels, scene, request.options)


def _field_um(scene: Scene) -> float | None:
    """Return the shorter side of what the camera sees."""
    shape, pixel_um = scene.shape_yx, scene.pixel_um
    return round(min(shape) * pixel_um, 3) if shape and pixel_um else None


# ---- exposures


def _found(hardware: Hardware, scene: Scene, channel: str, wanted: Level, plan: Plan) -> Exposure:
    hardware.call("set_preset", CALL_S, group=scene.channel_group, preset=channel)
    set_light(hardware, is_dark=False)
    shots = [_shot_of(step) for step in plan.steps]
    lit = [shot for shot in shots if shot is not None and not shot.is_dark]
    first_ms = float(lit[0].sequence["channels"][0]["exposure"])
    return find_exposure(hardware, channel, wanted, first_ms, sum(shot.light_ms for shot in lit))


def _shot_of(step: Step) -> Shot | None:
    return step.stack if isinstance(step, Trial) else step if isinstance(step, Shot) else None


def _exposed(request: Request, plan: Plan, scene: Scene, wanted: Level, found: list[Exposure]) -> Prepared:
    """Return the plan with the exposures that were found."""
    by_channel = {each.channel: each.exposure_ms for each in found}
    remarks = tuple(each.remark(wanted) for each in found)
    parameters = _parameters(found, wanted)
    if wanted.reaches is not None:
        longest_ms = round(found[0].exposure_ms * wanted.reaches / max(found[0].level, 1e-3), 3)
        plan = _plan(request, {wanted.argument: longest_ms}, plan.channels, scene)
        return Prepared(plan, scene, {**parameters, wanted.argument: longest_ms}, remarks)
    if request.routine.name in BRIGHT_BESIDE:
        if found[0].level < LEAST_LIGHT:
            steps = tuple(s for s in plan.steps if not isinstance(s, Shot) or s.role != BRIGHT)
            none = (
                "No frames with light: what does not respond to light cannot be told. Put a uniform slide on."
            )
            return Prepared(replace(plan, steps=steps), scene, {}, (*remarks, none))
        steps = tuple(_with(s, by_channel) if _is_bright(s) else s for s in plan.steps)
        return Prepared(replace(plan, steps=steps), scene, parameters, remarks)
    steps = tuple(_with(step, by_channel) for step in plan.steps)
    return Prepared(replace(plan, steps=steps), scene, parameters, remarks)


def _is_bright(step: Step) -> bool:
    return isinstance(step, Shot) and step.role == BRIGHT


def _with(step: Step, exposures_ms: Mapping[str, float]) -> Step:
    if isinstance(step, Trial):
        sequence = with_exposures(step.stack.sequence, exposures_ms)
        return replace(step, stack=replace(step.stack, sequence=sequence))
    return (
        replace(step, sequence=with_exposures(step.sequence, exposures_ms))
        if isinstance(step, Shot)
        else step
    )


def _parameters(found: list[Exposure], wanted: Level) -> dict[str, Any]:
    parameters: dict[str, Any] = {"exposure_wanted_percent": f"{100 * wanted.low:g} to {100 * wanted.high:g}"}
    for each in found:
        which = f"[{each.channel}]" if len(found) > 1 else ""
        parameters |= {
            f"exposure_ms{which}": each.exposure_ms,
            f"exposure_level_percent{which}": round(100 * each.level, 2),
            f"exposure_n_snaps{which}": each.n_snaps,
            f"exposure_light_ms{which}": round(each.light_ms, 3),
        }
    return parameters
