"""A Micro-Manager configuration file, read as text: which devices it loads, without asking any of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.readings import Key, Preset

ROLES = {
    "Camera": "CameraDevice",
    "Shutter": "ShutterDevice",
    "Focus": "StageDevice",
    "XYStage": "XYStageDevice",
    "AutoFocus": "AutoFocusDevice",
}
"""What a device is, as far as the role tells that the file gives it in the core."""


@dataclass
class Configuration:
    """What a configuration file says.

    Attributes
    ----------
    devices : dict
        Label to type, library, name, parent, state labels and properties.
    presets : list of Preset
    pixel_sizes_um : dict
    """

    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    presets: list[Preset] = field(default_factory=list)
    pixel_sizes_um: dict[str, float] = field(default_factory=dict)


def read_configuration(path: Path) -> Configuration:
    """Return what a file says; nothing when it cannot be read, since Studio may run on what is deleted meanwhile."""
    try:
        text = path.read_bytes()
    except OSError:
        return Configuration()
    try:
        return parse_configuration(text.decode("utf-8").splitlines())
    except UnicodeDecodeError:  # written in a Windows code page
        return parse_configuration(text.decode("iso-8859-1").splitlines())


def parse_configuration(lines: Iterable[str]) -> Configuration:
    """Return what the lines of a configuration file say; lines that are not understood are passed over.

    >>> parse_configuration(["Device,Cam,DemoCamera,DCam", "Property,Core,Camera,Cam"]).devices["Cam"]["type"]
    'CameraDevice'
    """
    made = Configuration({"Core": _device("", "", "CoreDevice")})
    presets: dict[tuple[str, str], dict[Key, str]] = {}
    labels: dict[str, dict[int, str]] = {}
    for line in lines:
        match line.rstrip().split(","):
            case ["Device", label, library, name]:
                made.devices[label] = _device(library, name)
            case ["Parent", label, parent] if label in made.devices:
                made.devices[label]["parent"] = parent
            case ["Label", label, state, text] if state.isdecimal():
                labels.setdefault(label, {})[int(state)] = text
            case ["Property", "Core", role, label] if role in ROLES and label in made.devices:
                made.devices[label]["type"] = ROLES[role]
            case ["ConfigGroup", group, preset, label, name, value]:
                presets.setdefault((group, preset), {})[Key(label, name)] = value
            case ["PixelSize_um", name, size]:
                made.pixel_sizes_um[name] = _number(size)
    for label, texts in labels.items():
        if label in made.devices:
            made.devices[label] |= {"type": "StateDevice", "state_labels": [texts[n] for n in sorted(texts)]}
    made.presets = [Preset(group, name, settings) for (group, name), settings in presets.items()]
    return made


def _device(library: str, name: str, kind: str = "UnknownDevice") -> dict[str, Any]:
    return {
        "type": kind,
        "library": library,
        "name": name,
        "parent": None,
        "state_labels": [],
        "properties": [],
    }


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
