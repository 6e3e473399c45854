"""A microscope as a file of Micro-Meta App (4DN-BINA-OME), and such a file as a profile.

What a file holds that no field of ours can is carried in `Part.nbo` and `Profile.micro_meta`, so that the way
there and back loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from agent.exports.convert import stated_fields, to_nbo
from agent.exports.mapping import NboClass, load_mapping
from agent.records import FilterCube, OtherPart, Part, Profile, Stand

_GRID_STEP = 110
_GRID_COLUMNS = 10
NOT_STATED = "Not stated"
"""Name of what must have a name in a file of Micro-Meta App and was given none."""


def part_id(instrument_id: str, section: str, part: Part) -> str:
    """Return the id of a part: its own, else one made from instrument, section and name."""
    own = part.part_id or uuid5(NAMESPACE_URL, f"urn:scopestamp:{instrument_id}:{section}:{part.name}")
    return str(part.nbo.get("ID", own))


def instrument_uuid(instrument_id: str, profile: Profile) -> UUID:
    """Return the id of the instrument as a UUID."""
    return profile.instrument.instrument_uuid or uuid5(NAMESPACE_URL, f"urn:scopestamp:{instrument_id}")


def microscope(profile: Profile, instrument_id: str, tier: int = 1) -> dict[str, Any]:
    """Return the microscope file; what nobody stated is left out, never invented."""
    mapping = load_mapping()
    extras = profile.micro_meta
    stand = profile.stand or Stand(name=NOT_STATED)
    head: dict[str, Any] = {
        "Name": profile.instrument.name or instrument_id,
        "Schema_ID": "Instrument.json",
        "ID": str(instrument_uuid(instrument_id, profile)),
        "Tier": tier,
        "ValidationTier": tier,
        "ModelVersion": mapping.nbo_version,
        "AppVersion": mapping.micro_meta_app_version,
        "ScalingFactor": 1,
        "linkedFields": _linked(profile, instrument_id),
    }
    if profile.instrument.description:
        head["Description"] = profile.instrument.description
    return head | {
        **extras,
        "MicroscopeStand": component(profile, instrument_id, "stand", stand, 0),
        "components": components(profile, instrument_id),
    }


def components(profile: Profile, instrument_id: str) -> list[dict[str, Any]]:
    """Return every part as a component, but for the stand."""
    parts = [(section, part) for section, group in profile.sections() for part in group]
    order = {str(key): place for place, key in enumerate(profile.micro_meta.get("component_order", ()))}
    found = [
        component(profile, instrument_id, section, part, place)
        for place, (section, part) in enumerate(parts, start=1)
        if _class_of(section, part)
    ]
    return sorted(found, key=lambda item: order.get(item["ID"], len(order)))


def component(profile: Profile, instrument_id: str, section: str, part: Part, place: int) -> dict[str, Any]:
    """Return one part as a component: the mapping's fields, then what the part holds under NBO's own names."""
    mapping = load_mapping()
    found = _class_of(section, part)
    assert found is not None, f"{section} has a class for every part"
    out: dict[str, Any] = {
        "Name": part.name,
        "ID": part_id(instrument_id, section, part),
        "Tier": found.tier,
        "Schema_ID": f"{found.nbo}.json",
        "ModelVersion": mapping.nbo_version,
        "Extension": found.extension,
        "Domain": found.domain,
        "Category": found.category,
        **_place(place),
        **found.fixed,
    }
    refs = _refs(profile, instrument_id) if isinstance(part, FilterCube) else {}
    for field, value in stated_fields(part, mapping.fields.get(found.nbo, ())):
        out |= to_nbo(mapping, field, value, part.nbo, refs)
    return out | dict(part.nbo) | dict.fromkeys(part.nbo_null)


def _place(place: int) -> dict[str, Any]:
    """Return a place on the canvas, on a grid."""
    row, column = divmod(place, _GRID_COLUMNS)
    return {
        "PositionX": 10 + column * _GRID_STEP,
        "PositionY": 10 + row * _GRID_STEP,
        "PositionZ": 0,
        "Width": 100,
        "Height": 100,
        "OffsetX": 0,
        "OffsetY": 0,
    }


def _class_of(section: str, part: Part) -> NboClass | None:
    mapping = load_mapping()
    if isinstance(part, OtherPart):
        known = mapping.class_named(part.nbo_class)
        return known or NboClass(nbo=part.nbo_class, section=section, tier=int(part.nbo.get("Tier", 1)))
    return mapping.section_of_stand(part) if isinstance(part, Stand) else mapping.class_of(section, part)


def _refs(profile: Profile, instrument_id: str) -> Mapping[str, str]:
    return {item.name: part_id(instrument_id, "filters", item) for item in profile.filters}


def _linked(profile: Profile, instrument_id: str) -> dict[str, Any]:
    """Return which filters sit in which cube, as the app keeps it beside the components."""
    refs = _refs(profile, instrument_id)
    keys = {"ExcitationFilter": "excitation", "StandardDichroic": "dichroic", "EmissionFilter": "emission"}
    return {
        f"FilterCube_{part_id(instrument_id, 'filter_cubes', cube)}": {
            theirs: {"schemaType": "FilterCube", "value": refs.get(getattr(cube, ours) or "", "na")}
            for theirs, ours in keys.items()
        }
        for cube in profile.filter_cubes
    }
