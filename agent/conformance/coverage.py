"""What of this hardware, with its profile, ends up in the standards, and what is missing and where it should come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.conformance.findings import Coverage, Filled, Gap
from agent.exports.completeness import missing_of_microscope
from agent.exports.mapping import NboField, load_mapping
from agent.exports.micro_meta import NOT_STATED, component
from agent.profile import prefilled
from agent.records import DeviceDescription, InstrumentDescription, Profile, PropertyDescription, Stand

INSTRUMENT_ID = "conformance"
TIERS = (1, 2, 3)
_NBO = "4DN-BINA-OME"
_OTHERS = {"OME-XML": "ome", "REMBI": "rembi", "OME-Zarr": "ngff"}


def profile_from(description: Mapping[str, Any]) -> Profile:
    """Return the profile that the loaded configuration alone gives."""
    groups: dict[str, dict[str, dict[str, str]]] = {}
    for preset in description["presets"]:
        settings = {f"{device}-{name}": value for device, name, value in preset["settings"]}
        groups.setdefault(preset["group"], {})[preset["name"]] = settings
    devices = {device["label"]: _device(device) for device in description["devices"]}
    return prefilled(
        InstrumentDescription.model_construct(
            devices=devices, nameplate={}, config_groups=groups, software=description["software"]
        )
    )


def coverage_of(profile: Profile) -> tuple[tuple[Coverage, ...], tuple[Filled, ...], tuple[Gap, ...]]:
    """Return how much each standard gets, what is filled, and what NBO asks for and nobody tells."""
    fields = list(_fields(profile))
    gaps = tuple(
        Gap(_NBO, item.tier, item.nbo, item.place, item.who)
        for item in missing_of_microscope(profile, INSTRUMENT_ID, max(TIERS))
    )
    filled = tuple(Filled(item.tier, item.nbo, place, item.ome) for item, place, has in fields if has)
    scores = [_tier_score(tier, fields) for tier in TIERS]
    scores += [_mapped_score(name, key, fields) for name, key in _OTHERS.items()]
    return tuple(score for score in scores if score.n_required), filled, gaps


_Field = tuple[NboField, str, bool]


def _fields(profile: Profile) -> Iterable[_Field]:
    """Give every field of every part's class, where it is, and whether it has a value."""
    mapping = load_mapping()
    parts = [(section, part) for section, group in profile.sections() for part in group]
    parts.insert(0, ("stand", profile.stand or Stand(name=NOT_STATED)))
    for section, part in parts:
        known = mapping.section_of_stand(part) if isinstance(part, Stand) else mapping.class_of(section, part)
        if known is None:
            continue
        have = component(profile, INSTRUMENT_ID, section, part, 0)
        for item in mapping.fields[known.nbo]:
            yield item, f"{section} '{part.name}'", have.get(item.key) not in (None, "", NOT_STATED)


def _tier_score(tier: int, fields: list[_Field]) -> Coverage:
    asked = [has for item, _, has in fields if item.required and item.tier == tier]
    return Coverage(_NBO, tier, sum(asked), len(asked))


def _mapped_score(name: str, key: str, fields: list[_Field]) -> Coverage:
    asked = [has for item, _, has in fields if getattr(item, key)]
    return Coverage(name, 0, sum(asked), len(asked))


def _device(device: Mapping[str, Any]) -> DeviceDescription:
    properties = {
        item["name"]: PropertyDescription(
            value_type=item["value_type"],
            is_read_only=item["is_read_only"],
            is_pre_init=item["is_pre_init"],
            lower_limit=item["lower_limit"],
            upper_limit=item["upper_limit"],
            allowed_values=tuple(item["allowed_values"]),
        )
        for item in device["properties"]
    }
    return DeviceDescription(
        device_type=device["device_type"],
        library=device["library"],
        adapter_name=device["adapter_name"],
        description=device["description"],
        state_labels=tuple(device["state_labels"]),
        properties=properties,
    )
