"""A microscope file of Micro-Meta App as a profile, without loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agent.exports.convert import from_nbo
from agent.exports.errors import ExportError
from agent.exports.mapping import NboClass, load_mapping
from agent.exports.micro_meta import component
from agent.records import (
    Camera,
    EnvironmentDevice,
    Filter,
    FilterCube,
    FocusLock,
    LightSource,
    Magnifier,
    Nameplate,
    Objective,
    OtherPart,
    Part,
    Profile,
    Software,
    Stage,
    Stand,
)

_MODELS: dict[str, type[Part]] = {
    "stand": Stand,
    "objectives": Objective,
    "filters": Filter,
    "filter_cubes": FilterCube,
    "light_sources": LightSource,
    "cameras": Camera,
    "stages": Stage,
    "magnifiers": Magnifier,
    "focus_locks": FocusLock,
    "environment": EnvironmentDevice,
    "software": Software,
}
_OWN = {"Name", "ID", "Description", "MicroscopeStand", "components"}


def profile_from_micro_meta(data: bytes) -> Profile:
    """Return a profile with everything that a microscope file holds.

    Raises
    ------
    ExportError
        The bytes are no microscope file of Micro-Meta App.
    """
    raw = _microscope_in(data)
    extras = {key: value for key, value in raw.items() if key not in _OWN}
    extras["component_order"] = [str(item.get("ID")) for item in raw["components"]]
    names = {str(item.get("ID")): str(item.get("Name")) for item in raw["components"]}
    profile = Profile(
        instrument=Nameplate(
            name=raw.get("Name"), instrument_uuid=_uuid(raw.get("ID")), description=raw.get("Description")
        ),
        micro_meta=extras,
    )
    sections: dict[str, list[Part]] = {}
    for item in sorted(raw["components"], key=lambda item: item.get("Schema_ID") == "FilterCube.json"):
        section, part = _part(item, names, sections)
        sections.setdefault(section, []).append(part)
    profile = profile.model_copy(
        update={section: tuple(parts) for section, parts in sections.items()}
        | {"stand": _stand(raw["MicroscopeStand"])}
    )
    return Profile.model_validate(_kept_exactly(profile, raw).model_dump())


def _microscope_in(data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except ValueError as error:
        raise ExportError(f"expected a microscope file of Micro-Meta App (JSON), came: {error}.") from error
    if isinstance(raw, list) and len(raw) == 1:  # as the 4DN portal keeps them
        raw = raw[0]
    if isinstance(raw, dict) and isinstance(raw.get("microscope"), dict):
        raw = raw["microscope"]
    if (
        not isinstance(raw, dict)
        or not isinstance(raw.get("components"), list)
        or "MicroscopeStand" not in raw
    ):
        raise ExportError(
            "expected a microscope file of Micro-Meta App, with MicroscopeStand and components; came other JSON. "
            "In the app: Save Microscope."
        )
    return raw


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _stand(raw: Mapping[str, Any]) -> Part:
    return _part(raw, {}, {})[1]


def _class_of(raw: Mapping[str, Any]) -> NboClass | None:
    name = str(raw.get("Schema_ID", "")).removesuffix(".json")
    for candidate in load_mapping().classes:
        if candidate.nbo == name and all(raw.get(key) == value for key, value in candidate.fixed.items()):
            return candidate
    return None


def _part(
    raw: Mapping[str, Any], names: Mapping[str, str], sections: Mapping[str, list[Part]]
) -> tuple[str, Part]:
    """Return a component as a part, with what no field of ours holds under NBO's own names."""
    mapping = load_mapping()
    found = _class_of(raw)
    section = found.section if found and found.section in _MODELS else "other_parts"
    model = _MODELS.get(section, OtherPart)
    values: dict[str, Any] = dict(found.when) if found else {}
    if model is OtherPart:
        values = {"nbo_class": str(raw.get("Schema_ID", "unknown")).removesuffix(".json")}
    used: dict[str, str] = {}
    for field in mapping.fields.get(found.nbo, ()) if found else ():
        value = from_nbo(mapping, field, raw, names) if field.attribute else None
        if value is not None:
            values[field.attribute] = value
            used[field.attribute] = field.key
    taken = {part.name for part in sections.get(section, ())}
    values["name"] = _free_name(str(raw.get("Name") or raw.get("ID") or "unnamed"), taken)
    values["part_id"] = _uuid(raw.get("ID"))
    return section, _valid_part(model, values)


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 2, name.strip() or "unnamed"
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def _valid_part(model: type[Part], values: Mapping[str, Any]) -> Part:
    """Return the part without the values that our field refuses, such as a numerical aperture of 0."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        refused = {str(item["loc"][0]) for item in error.errors()}
        return model.model_validate({key: value for key, value in values.items() if key not in refused})


def _kept_exactly(profile: Profile, raw: Mapping[str, Any]) -> Profile:
    """Give every part what its own export would lack or change."""
    by_id = {str(item.get("ID")): item for item in raw["components"]}
    updates: dict[str, Any] = {
        section: tuple(_with_rest(profile, section, part, by_id[str(part.part_id)]) for part in parts)
        for section, parts in profile.sections()
        if parts
    }
    assert profile.stand is not None
    updates["stand"] = _with_rest(profile, "stand", profile.stand, raw["MicroscopeStand"])
    return profile.model_copy(update=updates)


def _with_rest(profile: Profile, section: str, part: Part, raw: Mapping[str, Any]) -> Part:
    """Return the part with what differs: units first, for with them values may come out as they were."""
    units = {key: value for key, value in _rest(profile, section, part, raw).items() if "Unit" in key}
    rest = _rest(profile, section, part.model_copy(update={"nbo": units}), raw) | units
    return part.model_copy(
        update={
            "nbo": {key: value for key, value in rest.items() if value is not None},
            "nbo_null": tuple(key for key, value in rest.items() if value is None),
        }
    )


def _rest(profile: Profile, section: str, part: Part, raw: Mapping[str, Any]) -> dict[str, Any]:
    exported = component(profile, "", section, part, 0)
    return {key: value for key, value in raw.items() if key not in exported or exported[key] != value}
