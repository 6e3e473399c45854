"""The steps of the power routines: the light is set, a meter is read; no frame is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import SettingsError
from agent.quality.meters import light_of, meter_of, thermometer_of
from agent.quality.scene import Scene
from agent.quality.steps import Key, Readings, Set, Step, Wait
from qc_routines.protocols import Protocol

Planned = tuple[tuple[Step, ...], dict[str, tuple[Any, str]], dict[str, str]]
"""Steps, facts, and what the result holds for."""


def _linearity(protocol: Protocol, scene: Scene, options: Mapping[str, Any]) -> Planned:
    """Return settings in equal steps from 0 to 100 % and back, with readings of each after a wait."""
    n, n_readings = int(_number(protocol, "n_settings")), int(_number(protocol, "n_readings"))
    light, (meter, mw) = light_of(scene, options), meter_of(scene, options)
    up = [100.0 * k / (n - 1) for k in range(n)]
    steps = _lit(scene)
    for percent in [*up, *reversed(up)]:
        readings = Readings({"power_mw": (meter, mw)}, {"setting_percent": percent}, n_readings)
        steps += [Set(light, f"{percent:g}"), Wait(_number(protocol, "wait_s")), readings]
    return tuple(steps), _facts(light, meter), {"light": "-".join(light)}


def _stability(protocol: Protocol, scene: Scene, options: Mapping[str, Any]) -> Planned:
    """Return readings in equal intervals at one setting, with the temperature where there is a thermometer."""
    light, (meter, mw) = light_of(scene, options), meter_of(scene, options)
    thermometer, percent = thermometer_of(scene, options), _number(protocol, "setting_percent")
    columns = {"power_mw": (meter, mw)} | ({"temperature_c": (thermometer, 1.0)} if thermometer else {})
    n, interval_s = int(_number(protocol, "n_readings")), _number(protocol, "interval_s")
    readings = Readings(columns, n_counts=n, interval_s=interval_s, has_time=True)
    facts = _facts(light, meter) | {"setting_percent": (percent, "plan"), "interval_s": (interval_s, "plan")}
    path = {"light": "-".join(light), "setting": f"{percent:g} %"}
    return (*_lit(scene), Set(light, f"{percent:g}"), readings), facts, path


def _at_sample(protocol: Protocol, scene: Scene, options: Mapping[str, Any]) -> Planned:
    light, (meter, mw) = light_of(scene, options), meter_of(scene, options)
    percent = _number(protocol, "setting_percent")
    readings = Readings({"power_mw": (meter, mw)}, n_counts=int(_number(protocol, "n_readings")))
    steps = (*_lit(scene), Set(light, f"{percent:g}"), Wait(_number(protocol, "wait_s")), readings)
    facts = _facts(light, meter) | {"setting_percent": (percent, "plan")}
    return steps, facts, {"light": "-".join(light), "setting": f"{percent:g} %"}


def _lit(scene: Scene) -> list[Step]:
    """Return how the shutter is opened for the meter, where there is one."""
    if not (shutter := scene.role("Shutter")):
        return []
    if (shutter, "State") not in scene.readings:
        raise SettingsError(
            f"The shutter {shutter} has no property State, so it cannot be opened for the meter. Open it by hand and "
            "take it out of the configuration's roles (Core, Shutter)."
        )
    return [Set(("Core", "AutoShutter"), "0"), Set((shutter, "State"), "1")]


def _facts(light: Key, meter: Key) -> dict[str, tuple[Any, str]]:
    return {"light": ("-".join(light), "plan"), "meter": ("-".join(meter), "plan")}


def _number(protocol: Protocol, name: str) -> float:
    return float(protocol.parameters[name] or 0.0)


POWER_PLANS: dict[str, Callable[[Protocol, Scene, Mapping[str, Any]], Planned]] = {
    "power_linearity": _linearity,
    "power_stability": _stability,
    "sample_power": _at_sample,
}
"""By name of the routine."""
