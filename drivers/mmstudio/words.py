"""Micro-Manager's words as the bridge brings them, in the drivers' types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.mmcore.description import unit_of_property
from drivers.mmcore.driver import CALLS_OF_TYPE, CORE_CALLS, PRESET
from drivers.mmcore.sequences import is_stale_in_cache
from drivers.mmstudio.wire import is_damaged
from drivers.readings import (
    Device,
    Hardware,
    How,
    Key,
    Moment,
    Preset,
    Property,
    PropertyReading,
    Status,
    Value,
)

VALUE_TYPES = {"Undef": "undefined", "String": "string", "Float": "float", "Integer": "integer"}
ACTIVITY = {("Core", "AutoShutter"), ("Core", "Initialize"), ("Core", "TimeoutMs")}
UNITS = {name: unit for name, (unit, _) in CORE_CALLS.items()}
NOT_EXACT = "it holds characters that the bridge cannot carry and shows as '?': "


@dataclass(frozen=True, slots=True)
class State:
    """Everything the core has in its cache, from one round trip.

    Attributes
    ----------
    moment : Moment
        When it was asked for.
    values : mapping
        Text or number of each thing, as the cache has it.
    """

    moment: Moment
    values: Mapping[Key, Value] = field(default_factory=dict)


def device_of(
    label: str, told: Mapping[str, Any], properties: Iterable[tuple[str, Mapping[str, Any]]]
) -> Device:
    """Return a device from what is told of it: type, library, name, description, parent and state_labels."""
    kind = told.get("type", "UnknownDevice")
    return Device(
        label=label,
        device_type=kind,
        library=told.get("library", ""),
        adapter_name=told.get("name", ""),
        description=told.get("description", ""),
        parent=told.get("parent") or None,
        state_labels=tuple(told.get("state_labels", ())),
        properties={name: property_of(kind, name, declared) for name, declared in properties},
    )


def property_of(device_type: str, name: str, told: Mapping[str, Any]) -> Property:
    """Return what a device declares of a property."""
    return Property(
        value_type=VALUE_TYPES.get(told.get("type", ""), "undefined"),
        unit="um" if (device_type, name) == ("StageDevice", "Position") else unit_of_property(name),
        is_read_only=bool(told.get("is_read_only")),
        is_pre_init=bool(told.get("is_pre_init")),
        is_sequenceable=bool(told.get("is_sequenceable")),
        lower_limit=told.get("lower"),
        upper_limit=told.get("upper"),
        allowed_values=tuple(map(str, told.get("allowed", ()))),
    )


def preset_of(group: str, name: str, settings: Iterable[Iterable[str]]) -> Preset:
    """Return a preset from its settings: device, property, value."""
    return Preset(group, name, {Key(device, prop): value for device, prop, value in settings})


def keys_of(hardware: Hardware) -> Iterator[Key]:
    """Yield everything that can be read of an instrument."""
    for label, device in hardware.devices.items():
        yield from (Key(label, name) for name in device.properties)
        yield from (Key(label, name) for name in CALLS_OF_TYPE.get(device.device_type, ()))
    yield from (Key("Core", PRESET + group) for group in dict.fromkeys(p.group for p in hardware.presets))


def followed_keys(hardware: Hardware) -> frozenset[Key]:
    """Return the properties whose cached value tells of changes.

    Left out is what the cache is known to be wrong of, and what moves by itself around every exposure.
    """
    return frozenset(
        Key(label, name)
        for label, device in hardware.devices.items()
        for name, declared in device.properties.items()
        if not declared.is_pre_init
        and not is_stale_in_cache(device.device_type, name)
        and (label, name) not in ACTIVITY
        and (device.device_type, name) != ("ShutterDevice", "State")
    )


def is_there(hardware: Hardware, key: Key) -> bool:
    """Return whether a thing exists, whoever may read it."""
    if key.property.startswith(PRESET):
        return any(preset.group == key.property.removeprefix(PRESET) for preset in hardware.presets)
    return key.device in hardware.devices and (
        key.property in UNITS or key.property in hardware.devices[key.device].properties
    )


def unit_of(hardware: Hardware, key: Key) -> str | None:
    """Return the unit of what `key` reads."""
    if key.property in UNITS:
        return UNITS[key.property]
    declared = hardware.declared(key)
    return declared.unit if declared else None


def reading_of(
    hardware: Hardware, key: Key, raw: Any, how: How, moment: Moment, *, is_exact: bool
) -> PropertyReading:
    """Return a reading; text that lost characters on the way is a failed one that shows what came.

    Parameters
    ----------
    is_exact : bool
        Whether text comes whole, as the listener sends it; else a '?' may stand for any character.
    """
    if raw is None:
        return PropertyReading(key, Status.FAILED, how, moment, error="the device gave no value")
    if not is_exact and is_damaged(raw):
        return PropertyReading(key, Status.FAILED, how, moment, error=f"{NOT_EXACT}{raw!r}")
    value = hardware.typed(key, raw) if isinstance(raw, str) or key.property not in UNITS else raw
    if key.property in UNITS and UNITS[key.property] and isinstance(value, int):
        value = float(value)  # Java writes a whole number without its fraction
    return PropertyReading(key, Status.OK, how, moment, value, unit_of(hardware, key))
