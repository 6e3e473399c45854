"""What may be set, to which values, and what is left alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.conformance.findings import PropertyFacts

MOVE_UM = 2.0
"""A stage is moved this far and back."""

_MOVING_TYPES = ("StageDevice", "XYStageDevice", "AutoFocusDevice")
_OBJECTIVES = re.compile(r"obj|nosepiece|revolver|^(?!.*(filter|cube|dichro)).*turret", re.IGNORECASE)
_MAGNIFICATION = re.compile(r"\b\d{1,3} ?[x×]|\d[x×]\b", re.IGNORECASE)
_FOCUS = re.compile(r"focus|piezo|\bz.?(drive|stage)|\bposition|\bPFS\b", re.IGNORECASE)
_HARMFUL = re.compile(
    r"crash|reset|reboot|restart|shutdown|\bformat\b|erase|delete|save|store|firmware|home|calibrat|initiali[sz]e|cooler|\bfan",
    re.IGNORECASE,
)
_LIGHT = re.compile(r"laser|power|intensity|lamp|shutter|emission|voltage|illuminat|\bled\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Permission:
    """What the person at the instrument allows."""

    may_move: bool = False
    may_light: bool = False


def is_objective_turret(device: Mapping[str, Any]) -> bool:
    """Return whether a device looks as if it held objectives, which can hit the stage when it turns.

    >>> is_objective_turret({"device_type": "StateDevice", "label": "DWheel", "adapter_name": "", "description": "",
    ...                      "state_labels": ["Nikon 10X S Fluor"]})
    True
    """
    if device["device_type"] != "StateDevice":
        return False
    words = f"{device['label']} {device['adapter_name']} {device['description']}"
    return bool(_OBJECTIVES.search(words)) or any(map(_MAGNIFICATION.search, device["state_labels"]))


def why_device_left_alone(device: Mapping[str, Any], may: Permission) -> str | None:
    """Return why nothing on a device is set; None when it may be."""
    kind, words = device["device_type"], f"{device['label']} {device['adapter_name']} {device['description']}"
    if kind == "CoreDevice":
        return "is Micro-Manager's own"
    if not may.may_move and (kind in _MOVING_TYPES or is_objective_turret(device) or _FOCUS.search(words)):
        return "may move: allow it with --move"
    lit_words = words.lower().replace(
        "emission", ""
    )  # as a device an emission filter, as a property a switch
    is_light = kind == "ShutterDevice" or _LIGHT.search(lit_words)
    if is_light and not may.may_light:
        return "may give light: allow it with --light"
    return None


def why_left_alone(facts: PropertyFacts, may: Permission) -> str | None:
    """Return why a property is not set; None when it may be."""
    if facts.is_read_only:
        return "is read-only"
    if facts.is_pre_init:
        return "is set before initialisation alone"
    if _HARMFUL.search(facts.name):
        return "its name says that setting it may do harm"
    if not may.may_light and _LIGHT.search(facts.name):
        return "may give light: allow it with --light"
    if not may.may_move and _FOCUS.search(facts.name):
        return "may move: allow it with --move"
    if not values_to_try(facts, ""):
        return "declares neither limits nor allowed values"
    return None


def values_to_try(facts: PropertyFacts, before: str) -> tuple[str, ...]:
    """Return up to two values that the device itself says are allowed, other than the one it has.

    >>> facts = PropertyFacts("C", "CameraDevice", "Binning", "integer", False, False, None, None, ("1", "2", "4"))
    >>> values_to_try(facts, "1")
    ('2', '4')
    """
    if facts.allowed_values:
        others = [value for value in facts.allowed_values if value != before and value]
        return tuple(dict.fromkeys((*others[:1], *others[-1:])))
    if facts.lower_limit is None or facts.upper_limit is None or facts.lower_limit > facts.upper_limit:
        return ()
    limits = [_written(value, facts.value_type) for value in (facts.lower_limit, facts.upper_limit)]
    return tuple(value for value in dict.fromkeys(limits) if not _is_same_number(value, before))


def _written(value: float, value_type: str) -> str:
    return (
        str(int(value))
        if value_type == "integer"
        else f"{value:g}"
        if value == round(value, 4)
        else str(value)
    )


def _is_same_number(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return False
