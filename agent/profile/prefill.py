"""A profile pre-filled from the loaded configuration: every part it names, each guess marked."""

from __future__ import annotations

import re
from typing import Any

from agent.profile.labels import filter_in, is_empty, maker_in, objective_in, wavelength_in
from agent.records import (
    Band,
    Camera,
    ChannelStatement,
    DeviceDescription,
    EnvironmentDevice,
    Filter,
    FocusLock,
    InstrumentDescription,
    LightSource,
    Magnifier,
    Nameplate,
    Objective,
    Part,
    Profile,
    PropertyRef,
    Software,
    Stage,
    Stand,
)

_ROLES = {
    "dichroic": r"dichro|beam ?split|polychro",
    "emission": r"emission|(?:^|\W)em(?:\W|$)|barrier",
    "excitation": r"excitation|(?:^|\W)ex(?:\W|$)",
}
_INTENSITY = re.compile(r"intensity|power|level|brightness", re.IGNORECASE)
_CLIMATE = {"temperature": "temperature|temp", "co2": "co2", "humidity": "humid", "o2": r"(?<!c)o2|oxygen"}
_CLIMATE_UNITS = {"temperature": "Cel", "co2": "%", "humidity": "%", "o2": "%"}


def prefilled(instrument: InstrumentDescription) -> Profile:
    """Return a profile with a part for everything the configuration names; nothing in it was stated by a person."""
    lists: dict[str, list[Part]] = {}
    for label, device in instrument.devices.items():
        for section, part in _parts_of(label, device):
            lists.setdefault(section, []).append(part)
    plate = {key: str(value.value) for key, value in instrument.nameplate.items()}
    return Profile(
        instrument=Nameplate(
            name=plate.get("name"),
            model=plate.get("model"),
            serial_number=plate.get("serial_number"),
        ),
        stand=Stand(name=plate.get("model") or "Stand", manufacturer=plate.get("manufacturer")),
        software=tuple(Software(name=name, version=version) for name, version in _software(instrument)),
        channels=_channels(instrument, lists.get("light_sources", [])),
        **{section: tuple(_with_free_names(parts)) for section, parts in lists.items()},  # type: ignore[arg-type]
    )


def _software(instrument: InstrumentDescription) -> list[tuple[str, str]]:
    programs = {name: v for name, v in instrument.software.items() if not name.startswith("device")}
    return list(programs.items())[:1]


def _with_free_names(parts: list[Part]) -> list[Part]:
    """Name parts after their device too where several have one name."""
    names = [part.name for part in parts]
    return [
        part.model_copy(update={"name": f"{part.device} {part.name}"}) if names.count(part.name) > 1 else part
        for part in parts
    ]


def _parts_of(label: str, device: DeviceDescription) -> list[tuple[str, Part]]:
    """Return the parts that one device is, or that sit in it."""
    kind = device.device_type.removesuffix("Device").lower()
    words = f"{label} {device.adapter_name} {device.description}".lower()
    if kind == "camera":
        return [("cameras", _camera(label, device))]
    if kind in ("xystage", "stage"):
        return [("stages", _stage(label, device, kind, words))]
    if kind == "autofocus":
        lock = FocusLock(name=label, device=label, mechanism="hardware", derived=("mechanism",))
        return [("focus_locks", lock)]
    if kind == "magnifier":
        return [("magnifiers", Magnifier(name=label, device=label))]
    if kind == "state":
        return _parts_in(label, device, words)
    return _lights_and_climate(label, device, words)


def _guess(model: type[Part], stated: dict[str, Any], guessed: dict[str, Any]) -> Any:
    return model.model_validate({**stated, **guessed, "derived": tuple(guessed)})


def _camera(label: str, device: DeviceDescription) -> Camera:
    words = f"{device.library} {device.adapter_name} {device.description}"
    guessed: dict[str, Any] = {"detector_type": "emccd" if "EMGain" in device.properties else "cmos"}
    if maker := maker_in(words):
        guessed["manufacturer"] = maker
    depth = device.properties.get("BitDepth")
    if depth and depth.allowed_values:
        depths = [int(v) for v in depth.allowed_values if str(v).isdigit()]
        if depths and 0 < max(depths) <= 64:
            guessed["bit_depth"] = max(depths)
    stated = {"name": label, "device": label, "model": device.adapter_name}
    camera: Camera = _guess(Camera, stated, guessed)
    return camera


def _stage(label: str, device: DeviceDescription, kind: str, words: str) -> Stage:
    guessed: dict[str, Any] = {"is_motorized": True}
    if kind == "xystage":
        guessed |= {"stage_type": "xy", "axes": "XY"}
    else:
        guessed |= {"stage_type": "piezo" if "piezo" in words else "z_drive", "axes": "Z"}
    if maker := maker_in(f"{device.library} {words}"):
        guessed["manufacturer"] = maker
    stage: Stage = _guess(Stage, {"name": label, "device": label, "model": device.adapter_name}, guessed)
    return stage


def _parts_in(label: str, device: DeviceDescription, words: str) -> list[tuple[str, Part]]:
    """Return what sits in the positions of a turret or wheel."""
    states = [state for state in device.state_labels if not is_empty(state)]
    if re.search(r"objective|nosepiece|revolver", words):
        return [("objectives", _objective(label, state)) for state in states]
    role = next((role for role, pattern in _ROLES.items() if re.search(pattern, label.lower())), None)
    if role:
        return [("filters", _filter(label, state, role)) for state in states]
    if re.search(r"filter|wheel|turret|cube", words) and any(
        filter_in(state).get("bands") for state in states
    ):
        return [("filters", _filter(label, state, "emission", is_role_guessed=True)) for state in states]
    return _lights_and_climate(label, device, words)


def _objective(device: str, state: str) -> Objective:
    guessed = objective_in(state)
    objective: Objective = _guess(Objective, {"name": state, "device": device, "state": state}, guessed)
    return objective


def _filter(device: str, state: str, role: str, *, is_role_guessed: bool = False) -> Filter:
    guessed = filter_in(state)
    if "bands" in guessed:
        guessed["bands"] = tuple(Band(**band) for band in guessed["bands"])
    stated = {"name": state, "device": device, "state": state, "role": role}
    found: Filter = _guess(Filter, stated, guessed | ({"role": role} if is_role_guessed else {}))
    return found


def _lights_and_climate(label: str, device: DeviceDescription, words: str) -> list[tuple[str, Part]]:
    if (
        re.search(r"\bled\b|laser|lumencor|spectra|lamp|light source|x-?cite|coolled", words)
        and "shutter" not in words
    ):
        return [("light_sources", _light(label, device, words))]
    refs = {
        key: PropertyRef(device=label, property=name, unit=_CLIMATE_UNITS[key])
        for key, pattern in _CLIMATE.items()
        for name in device.properties
        if re.search(pattern, name, re.IGNORECASE)
    }
    if refs and re.search(r"incubat|climate|environment|okolab|tokai|stage ?top|chamber", words):
        part: EnvironmentDevice = _guess(EnvironmentDevice, {"name": label, "device": label}, dict(refs))
        return [("environment", part)]
    return []


def _light(label: str, device: DeviceDescription, words: str) -> LightSource:
    guessed: dict[str, Any] = {"source_type": "laser" if "laser" in words else "led"}
    if peak := wavelength_in(label):
        guessed["emissions"] = ({"peak_nm": peak},)
    if maker := maker_in(f"{device.library} {words}"):
        guessed["manufacturer"] = maker
    setting = next((name for name in device.properties if _INTENSITY.search(name)), None)
    if setting:
        described = device.properties[setting]
        unit = described.unit or ("%" if described.upper_limit == 100 else None)
        guessed["intensity"] = PropertyRef(device=label, property=setting, unit=unit)
        if described.upper_limit and described.upper_limit > 0:
            guessed["intensity_maximum"] = described.upper_limit
    light: LightSource = _guess(LightSource, {"name": label, "device": label}, guessed)
    return light


def _channels(instrument: InstrumentDescription, lights: list[Part]) -> tuple[ChannelStatement, ...]:
    """Return one statement per preset of a channel group, for a person to fill in."""
    only = lights[0].name if len(lights) == 1 else None
    return tuple(
        ChannelStatement(
            group=group, preset=preset, light_source=only, derived=("light_source",) if only else ()
        )
        for group, presets in instrument.config_groups.items()
        if "channel" in group.lower()
        for preset in presets
    )
