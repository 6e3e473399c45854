"""What of this hardware and of an acquisition on it ends up in the standards, what is missing, and who should supply it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.conformance.findings import Coverage, Exported, Filled, Gap
from agent.exports import FORMATS, AcquisitionView, ExportError
from agent.exports.completeness import Held, Missing, Score, completeness, held_of, missing_of_microscope
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


@dataclass(frozen=True)
class Standards:
    """What the standards get of something."""

    coverage: tuple[Coverage, ...] = ()
    filled: tuple[Filled, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def __add__(self, other: Standards) -> Standards:
        return Standards(self.coverage + other.coverage, self.filled + other.filled, self.gaps + other.gaps)


def of_instrument(profile: Profile) -> Standards:
    """Return how much each standard gets of the instrument's parts, what is filled, and what nobody tells."""
    mapping = load_mapping()
    parts = [(section, part) for section, group in profile.sections() for part in group]
    parts.insert(0, ("stand", profile.stand or Stand(name=NOT_STATED)))
    held: list[Held] = []
    for section, part in parts:
        known = mapping.section_of_stand(part) if isinstance(part, Stand) else mapping.class_of(section, part)
        if known is not None:
            have = component(profile, INSTRUMENT_ID, section, part, 0)
            held.append((known.nbo, f"{section} '{part.name}'", have))
    missing = missing_of_microscope(profile, INSTRUMENT_ID, max(TIERS))
    return _judged("instrument", held, missing)


def of_acquisition(view: AcquisitionView) -> Standards:
    """Return the same of an acquisition: its light path, its image, channels and planes, and the reporting checklist."""
    report = completeness(view)
    found = _judged("acquisition", held_of(view), [i for i in report.missing if i.standard == "nbo"])
    lists = [item for item in report.missing if item.standard != "nbo"]
    scores = (_checklist(report.wg11), _checklist(report.rembi))
    gaps = tuple(Gap(item.standard.upper(), 0, item.nbo, item.place, item.who) for item in lists)
    return found + Standards(scores, (), gaps)


def exports_of(view: AcquisitionView) -> tuple[Exported, ...]:
    """Write an acquisition in every format, and return what came of it."""
    found = []
    for name, item in FORMATS.items():
        try:
            found.append(Exported(name, item.title, len(item.write(view, "en"))))
        except ExportError as error:
            found.append(Exported(name, item.title, 0, str(error)))
    return tuple(found)


def _checklist(score: Score) -> Coverage:
    name = score.name if score.name.endswith("checklist") else f"{score.name} checklist"
    return Coverage("acquisition", name, 0, score.n_present, score.n_required)


def _judged(scope: str, held: Iterable[Held], missing: Iterable[Missing]) -> Standards:
    fields = [
        (item, place, have.get(item.key) not in (None, "", NOT_STATED))
        for nbo, place, have in held
        for item in load_mapping().fields[nbo]
    ]
    scores = [_tier_score(scope, tier, fields) for tier in TIERS]
    scores += [_mapped_score(scope, name, key, fields) for name, key in _OTHERS.items()]
    return Standards(
        tuple(score for score in scores if score.n_required),
        tuple(Filled(item.tier, item.nbo, place, item.ome) for item, place, has in fields if has),
        tuple(Gap(_NBO, item.tier, item.nbo, item.place, item.who) for item in missing),
    )


_Field = tuple[NboField, str, bool]


def _tier_score(scope: str, tier: int, fields: list[_Field]) -> Coverage:
    asked = [has for item, _, has in fields if item.required and item.tier == tier]
    return Coverage(scope, _NBO, tier, sum(asked), len(asked))


def _mapped_score(scope: str, name: str, key: str, fields: list[_Field]) -> Coverage:
    asked = [has for item, _, has in fields if getattr(item, key)]
    return Coverage(scope, name, 0, sum(asked), len(asked))


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
