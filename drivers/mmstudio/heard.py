"""What our listener's events say has moved (their vocabulary is in listener/EVENTS.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.mmcore.driver import PRESET
from drivers.readings import Key


def moved_in(event: Mapping[str, Any]) -> list[tuple[Key, Any]]:
    """Return what an event of the listener says has moved, and to where; nothing for what it did not give."""
    told: list[tuple[Key, Any]] = []
    match event:
        case {"event": "stage", "device": device, "position_um": position}:
            told = [(Key(device, "@position"), float(position))]
        case {"event": "xy", "device": device, "x_um": x, "y_um": y}:
            told = [(Key(device, "@x"), float(x)), (Key(device, "@y"), float(y))]
        case {"event": "exposure", "camera": camera, "exposure_ms": exposure}:
            told = [(Key(camera, "@exposure"), float(exposure))]
        case {"event": "property", "device": device, "property": name, "value": value}:
            told = [(Key(device, name), value)]
        case {"event": "config", "group": group, "preset": preset}:
            told = [(Key("Core", PRESET + group), preset)]
        case {"event": "pixel_size", "pixel_size_um": size}:
            told = [(Key("Core", "@pixel_size"), float(size))]
        case {"event": "shutter", "device": device, "is_open": is_open}:
            told = [(Key(device, "State"), "1" if is_open else "0")]
        case {"event": "autoshutter", "is_on": is_on}:
            told = [(Key("Core", "AutoShutter"), "1" if is_on else "0")]
    return told
