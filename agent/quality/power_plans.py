"""The steps of the power routines: the light is set, a meter is read; no frame is taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from agent.errors import SettingsError
from agent.quality.meters import Line, lines_of, meter_of, thermometer_of
from agent.quality.scene import Scene
from agent.quality.steps import Key, Preset, Readings, Set, Step, Wait
from qc_routines.protocols import Protocol

Planned = tuple[tuple[Step, ...], dict[str, tuple[Any, str]], dict[str, str]]
"""Steps, facts, and what the result holds for."""
Columns = Mapping[str, tuple[Key, float]]


@dataclass(frozen=True)
class Series:
    """Readings of one line; at one setting, unless the routine goes through them.

    Attributes
    ----------
    name : str
        Stands with its figures; empty where a run has but one series.
    line : Line
        Of the light.
    percent : float or None
        Its setting.
    constants : mapping
        Columns that are the same in each of its readings.
    """

    name: str
    line: Line
    percent: float | None
    constants: Mapping[str, float]


def power_plan(
    protocol: Protocol, channels: Sequence[str], scene: Scene, options: Mapping[str, Any]
) -> Planned:
    """Return the steps of a power routine, line after line; while one is read, the run's other lines are at 0 %.

    Raises
    ------
    SettingsError, MissingFactError
        The shutter cannot be opened, or which property is the meter or sets a light is not clear.
    """
    lines, (meter, mw) = lines_of(scene, channels, options), meter_of(scene, options)
    if any(line.channel for line in lines) and not scene.channel_group:
        raise SettingsError(
            "The configuration has no channel group, so channels cannot be set one after the other."
        )
    columns: dict[str, tuple[Key, float]] = {"power_mw": (meter, mw)}
    if protocol.routine == "power_stability" and (thermometer := thermometer_of(scene, options)):
        columns["temperature_c"] = (thermometer, 1.0)
    keys, all_series = list(dict.fromkeys(line.key for line in lines)), _series(protocol, lines)
    steps = [*_lit(scene), *(Set(key, "0") for key in keys if len(keys) > 1)]
    for series in all_series:
        if series.line.channel:
            steps.append(Preset(scene.channel_group, series.line.channel))
        steps += STEPS[protocol.routine](protocol, series, columns)
        if len(keys) > 1:
            steps.append(Set(series.line.key, "0"))
    light = " + ".join("-".join(key) for key in keys)
    facts: dict[str, tuple[Any, str]] = {"light": (light, "plan"), "meter": ("-".join(meter), "plan")}
    for name in ("setting_percent", "interval_s"):
        if name in protocol.parameters:
            facts[name] = (protocol.parameters[name], "plan")
    if len(all_series) > 1:
        facts["lines"] = (", ".join(series.name for series in all_series), "plan")
    stated = protocol.parameters.get("setting_percent")
    return (
        tuple(steps),
        facts,
        {"light": light} | ({"setting": _percent(stated)} if stated is not None else {}),
    )


def _series(protocol: Protocol, lines: Sequence[Line]) -> list[Series]:
    """Return the series in their order: each line at each of its settings."""
    stated = protocol.parameters.get("setting_percent")
    percents = [None] if stated is None else [float(part) for part in str(stated).split(",")]
    pairs = list(product(lines, percents))
    series = []
    for k, (line, percent) in enumerate(pairs):
        parts = [line.name] if line.name else []
        parts += [f"{percent:g} %"] if len(percents) > 1 else []
        constants = {"line": float(k)} if len(pairs) > 1 else {}
        series.append(Series(" at ".join(parts), line, percent, constants))
    return series


def _up_and_down(protocol: Protocol, series: Series, columns: Columns) -> list[Step]:
    """Return settings in equal steps from 0 to 100 % and back, with readings of each after a wait."""
    n, n_readings = int(_number(protocol, "n_settings")), int(_number(protocol, "n_readings"))
    up, steps = [100.0 * k / (n - 1) for k in range(n)], list[Step]()
    for percent in [*up, *reversed(up)]:
        readings = Readings(columns, {**series.constants, "setting_percent": percent}, n_readings)
        steps += [Set(series.line.key, f"{percent:g}"), Wait(_number(protocol, "wait_s")), readings]
    return steps


def _over_time(protocol: Protocol, series: Series, columns: Columns) -> list[Step]:
    """Return readings in equal intervals at one setting."""
    n, interval_s = int(_number(protocol, "n_readings")), _number(protocol, "interval_s")
    readings = Readings(columns, series.constants, n, interval_s, has_time=True)
    return [Set(series.line.key, f"{series.percent:g}"), readings]


def _at_sample(protocol: Protocol, series: Series, columns: Columns) -> list[Step]:
    readings = Readings(columns, series.constants, int(_number(protocol, "n_readings")))
    return [Set(series.line.key, f"{series.percent:g}"), Wait(_number(protocol, "wait_s")), readings]


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


def _number(protocol: Protocol, name: str) -> float:
    return float(protocol.parameters[name] or 0.0)


def _percent(stated: Any) -> str:
    return f"{stated} %" if isinstance(stated, str) else f"{stated:g} %"


STEPS: dict[str, Callable[[Protocol, Series, Columns], list[Step]]] = {
    "power_linearity": _up_and_down,
    "power_stability": _over_time,
    "sample_power": _at_sample,
}
"""Of one series, by name of the routine."""
