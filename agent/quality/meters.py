"""Which property is the power meter, which sets the light: stated, or the only one it can be; never guessed silently."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent.quality.facts import MissingFactError
from agent.quality.scene import Scene
from agent.quality.steps import Key

MW_PER = {"mw": 1.0, "uw": 1e-3, "µw": 1e-3, "w": 1e3, "nw": 1e-6}
_POWER = re.compile(r"(?:power|watt)", re.IGNORECASE)
_UNIT = re.compile(r"(?:^|[-_ (\[])(mW|uW|µW|nW|W)(?:$|[-_ )\]])")
_SETTING = re.compile(r"(?:power|intensity|level)", re.IGNORECASE)
_PERCENT = re.compile(r"(?:percent|%|\(0-100\))", re.IGNORECASE)
_TEMPERATURE = re.compile(r"temperature.*(?:degc|celsius|°c)", re.IGNORECASE)


def key_of(text: str) -> Key:
    """Return DEVICE-PROPERTY as device and property; the device's label ends at the first hyphen."""
    device, _, name = text.partition("-")
    return device, name


def meter_of(scene: Scene, options: Mapping[str, Any]) -> tuple[Key, float]:
    """Return the property that is read as power and what its unit is in mW.

    Raises
    ------
    MissingFactError
        It is not stated, or its unit is not, and they do not follow from the names.
    """
    key = _stated(scene, options, "meter") or _only(
        "power meter", "meter", (k for k in scene.readings if _POWER.search(k[1]) and _unit(k[1]))
    )
    unit = str(options.get("meter_unit") or _unit(key[1]) or "")
    if unit.lower() not in MW_PER:
        raise MissingFactError(
            f"Needed is the unit of {key[0]}-{key[1]}, which its name does not say. Give it with --set meter_unit=mW."
        )
    return key, MW_PER[unit.lower()]


def light_of(scene: Scene, options: Mapping[str, Any]) -> Key:
    """Return the property that sets the power of the light, in percent.

    Raises
    ------
    MissingFactError
        It is not stated, and there is not exactly one it could be.
    """
    stated = _stated(scene, options, "light")
    if stated:
        return stated
    settings = settings_of_light(scene, {})
    of_channel = [k for k in settings if scene.channel and scene.channel.lower() in f"{k[0]} {k[1]}".lower()]
    return _only("setting of the light", "light", of_channel or settings)


def settings_of_light(scene: Scene, options: Mapping[str, Any]) -> tuple[Key, ...]:
    """Return every property that `light_of` may choose, whichever channel is set by then."""
    stated = [key_of(str(options["light"]))] if options.get("light") else []
    return (*stated, *(k for k in scene.readings if _SETTING.search(k[1]) and _PERCENT.search(k[1])))


def thermometer_of(scene: Scene, options: Mapping[str, Any]) -> Key | None:
    """Return the property that is read as the temperature of the room, or None when there is not just one."""
    stated = _stated(scene, options, "thermometer")
    found = [k for k in scene.readings if _TEMPERATURE.search(k[1]) and k[0] != scene.role("Camera")]
    return stated or (found[0] if len(found) == 1 else None)


def _unit(name: str) -> str | None:
    found = _UNIT.search(name)
    return found.group(1) if found else None


def _stated(scene: Scene, options: Mapping[str, Any], name: str) -> Key | None:
    if not options.get(name):
        return None
    key = key_of(str(options[name]))
    if key not in scene.readings:
        raise MissingFactError(f"There is no property {options[name]}; 'scopestamp doctor' lists them.")
    return key


def _only(words: str, option: str, found: Iterable[Key]) -> Key:
    keys = sorted(found)
    if len(keys) == 1:
        return keys[0]
    among = ": " + ", ".join("-".join(key) for key in keys) if keys else ""
    raise MissingFactError(
        f"Needed is the property that is the {words}; {len(keys) or 'none'} could be it{among}. "
        f"Name it with --set {option}=DEVICE-PROPERTY."
    )
