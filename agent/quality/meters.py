"""Which property is the power meter, which sets the light or a detector: stated, or the only one it can be; never guessed silently."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.quality.facts import Facts, MissingFactError
from agent.quality.scene import Scene
from agent.quality.steps import Key

MW_PER = {"mw": 1.0, "uw": 1e-3, "µw": 1e-3, "w": 1e3, "nw": 1e-6}
_POWER = re.compile(r"(?:power|watt)", re.IGNORECASE)
_UNIT = re.compile(r"(?:^|[-_ (\[])(mW|uW|µW|nW|W)(?:$|[-_ )\]])")
_SETTING = re.compile(r"(?:power|intensity|level)", re.IGNORECASE)
_GAIN = re.compile(r"gain|high.?voltage", re.IGNORECASE)
_PERCENT = re.compile(r"(?:percent|%|\(0-100\))", re.IGNORECASE)
_TEMPERATURE = re.compile(r"temperature.*(?:degc|celsius|°c)", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """One line of light of a run.

    Attributes
    ----------
    name : str
        Stands with its figures; empty where a run has but one.
    channel : str
        Preset that lets it through; empty: as it stands.
    key : Key
        Property that sets its power.
    """

    name: str
    channel: str
    key: Key


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


def lines_of(scene: Scene, channels: Sequence[str], options: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return the lines of light that a run goes through: of each channel, or each property that is named.

    Raises
    ------
    MissingFactError
        Which property sets one of them is not stated, and there is not exactly one it could be.
    """
    stated = _stated_lights(scene, options)
    if len(channels) < 2 and len(stated) < 2:
        return (Line("", "", light_of(scene, options)),)
    if len(channels) < 2:
        return tuple(Line("-".join(key), "", key) for key in stated)
    if len(stated) not in (0, 1, len(channels)):
        raise MissingFactError(
            f"--set light names {len(stated)} properties for {len(channels)} channels; name one for each channel, in "
            "the same order, or one for all."
        )
    keys = stated * len(channels) if len(stated) == 1 else stated
    keys = keys or [light_of(scene, {}, channel) for channel in channels]
    return tuple(Line(channel, channel, key) for channel, key in zip(channels, keys, strict=True))


def light_of(scene: Scene, options: Mapping[str, Any], channel: str = "") -> Key:
    """Return the property that sets the power of the light of a channel, that which is set by default, in percent.

    Raises
    ------
    MissingFactError
        It is not stated, and there is not exactly one it could be.
    """
    if stated := _stated_lights(scene, options):
        return stated[0]
    settings, channel = settings_of_light(scene, {}), channel or scene.channel
    of_channel = [k for k in settings if channel and channel.lower() in f"{k[0]} {k[1]}".lower()]
    return _only("setting of the light", "light", of_channel or settings)


def settings_of_light(scene: Scene, options: Mapping[str, Any]) -> tuple[Key, ...]:
    """Return every property that `light_of` may choose, whichever channel is set by then."""
    stated = [key_of(text) for text in _texts(scene, options)]
    return (*stated, *(k for k in scene.readings if _SETTING.search(k[1]) and _PERCENT.search(k[1])))


def detector_of(scene: Scene, options: Mapping[str, Any]) -> Key:
    """Return the property that sets the gain or high voltage of a detector.

    Raises
    ------
    MissingFactError
        It is not stated, or not there: high voltage is set on no guess.
    """
    Facts(options).need("gain")
    key = key_of(str(options["gain"]))
    if key in scene.readings:
        return key
    found = ", ".join("-".join(key) for key in sorted(scene.readings) if _GAIN.search(key[1]))
    among = f"it may be one of {found}; " if found else ""
    raise MissingFactError(f"There is no property {options['gain']}; {among}'scopestamp snapshot' lists all.")


def _stated_lights(scene: Scene, options: Mapping[str, Any]) -> list[Key]:
    return [key for text in _texts(scene, options) if (key := _stated(scene, {"light": text}, "light"))]


def _texts(scene: Scene, options: Mapping[str, Any]) -> list[str]:
    """Return what --set light names: one property, or several with commas between them."""
    text = str(options.get("light") or "")
    if not text or key_of(text) in scene.readings:
        return [text] if text else []
    return [part.strip() for part in text.split(",")]


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
        raise MissingFactError(f"There is no property {options[name]}; 'scopestamp snapshot' lists them.")
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
