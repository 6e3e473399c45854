"""How complete an acquisition's metadata is: per class and tier of 4DN-BINA-OME, WG11's checklist, REMBI.

What is counted is what the export really holds, so that the report and the files cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.exports.facts import Facts, facts_in, facts_of, modality_of
from agent.exports.mapping import load_mapping
from agent.exports.micro_meta import NOT_STATED, component
from agent.exports.micro_meta_settings import image_settings
from agent.exports.quality import is_under_qc, profile_as_measured
from agent.exports.view import AcquisitionView, ChannelView
from agent.records import Part, Profile, Stand


@dataclass(frozen=True)
class Missing:
    """One thing that a standard asks for and nobody told.

    Attributes
    ----------
    standard : str
        nbo, wg11 or rembi.
    tier : int
        NBO's tier; 0 for the others.
    nbo : str
        Class and field there, or the item of the checklist.
    place : str
        Which part, channel or setting.
    field : str
        Our field that would hold it; empty when we have none.
    who : str
        Who can supply it: facility (in the profile, or by how the microscope is set up), operator, vendor (a property
        of the device's adapter), qc (the facility, by measuring it), or agent (that ought to have known it).
    """

    standard: str
    tier: int
    nbo: str
    place: str
    field: str
    who: str


@dataclass(frozen=True)
class Score:
    """How much of what is asked for is there."""

    name: str
    tier: int
    n_present: int
    n_required: int

    @property
    def fraction(self) -> float:
        """From 0 to 1; 1 when nothing is asked for."""
        return self.n_present / self.n_required if self.n_required else 1.0


@dataclass(frozen=True)
class Completeness:
    """The report on one acquisition."""

    classes: tuple[Score, ...]
    tiers: tuple[Score, ...]
    wg11: Score
    rembi: Score
    missing: tuple[Missing, ...]
    contradictions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        scores = [*self.tiers, self.wg11, self.rembi]
        return {
            "scores": [_score(item) | {"name": item.name} for item in scores],
            "classes": [_score(item) | {"name": item.name, "tier": item.tier} for item in self.classes],
            "missing": [vars(item) for item in self.missing],
            "contradictions": list(self.contradictions),
        }


def _score(item: Score) -> dict[str, Any]:
    return {
        "present": item.n_present,
        "required": item.n_required,
        "percent": round(100.0 * item.fraction, 1),
    }


Held = tuple[str, str, Mapping[str, Any]]
"""A class, the place where it is wanted, and what the export holds of it."""


def completeness(view: AcquisitionView, max_tier: int = 3) -> Completeness:
    """Return how complete the metadata of an acquisition is."""
    held = held_of(view)
    missing = [item for one in held for item in _missing_in(*one, max_tier)]
    wg11, wg11_missing = _checklist(view, load_mapping().wg11, "wg11")
    rembi, rembi_missing = _checklist(view, load_mapping().rembi, "rembi")
    return Completeness(
        classes=tuple(_class_scores(held, missing, max_tier)),
        tiers=tuple(_tier_scores(held, missing, max_tier)),
        wg11=wg11,
        rembi=rembi,
        missing=(*missing, *wg11_missing, *rembi_missing),
        contradictions=view.contradictions,
    )


def held_of(view: AcquisitionView) -> list[Held]:
    """Return every class that an acquisition asks for, where, and what the export holds of it."""
    return [*_hardware(view), *_settings(view)]


def missing_of_microscope(profile: Profile, instrument_id: str, tier: int = 1) -> list[Missing]:
    """Return what every part of a profile lacks up to a tier; a profile without a stand lacks that too."""
    parts = [(section, part) for section, group in profile.sections() for part in group]
    parts.insert(0, ("stand", profile.stand or Stand(name=NOT_STATED)))
    held = [_held(profile, instrument_id, section, part) for section, part in parts]
    return [item for one in held if one for item in _missing_in(*one, tier)]


def _held(profile: Profile, instrument_id: str, section: str, part: Part) -> Held | None:
    mapping = load_mapping()
    found = mapping.section_of_stand(part) if isinstance(part, Stand) else mapping.class_of(section, part)
    if found is None:
        return None
    have = component(profile, instrument_id, section, part, 0)
    return found.nbo, f"{section} '{part.name}'", have


def _missing_in(nbo: str, place: str, have: Mapping[str, Any], max_tier: int) -> Iterable[Missing]:
    for field in load_mapping().fields[nbo]:
        if field.required and field.tier <= max_tier and have.get(field.key) in (None, "", NOT_STATED):
            yield Missing("nbo", field.tier, field.nbo, place, field.field, field.who)


def _hardware(view: AcquisitionView) -> list[Held]:
    """Return the parts that took the images; one that ought to be there and is not is held empty."""
    profile = profile_as_measured(view.bundle)
    name = view.bundle.finished.instrument_id
    measured = {(s, part.name): part for s, group in profile.sections() for part in group}
    wanted: list[tuple[str, str, Part | None]] = [
        ("stand", "InvertedMicroscopeStand", profile.stand),
        ("objectives", "Objective", view.objective),
        *(("cameras", "CMOS", camera) for camera in view.cameras or (None,)),
        ("software", "AcquisitionSoftware", next(iter(profile.software), None)),
    ]
    for channel in view.channels:
        wanted += _wanted_in(view, channel)
    for section in ("stages", "focus_locks", "environment", "magnifiers"):
        wanted += [(section, "", part) for part in getattr(profile, section)]
    held: dict[tuple[str, str], Held] = {}
    for section, nbo, part in wanted:
        if part is None:
            held[nbo, "absent"] = (nbo, f"{section} of this light path", {})
        else:
            one = _held(profile, name, section, measured.get((section, part.name), part))
            if one is not None:
                held[section, part.name] = one
    return list(held.values())


def _wanted_in(view: AcquisitionView, channel: ChannelView) -> list[tuple[str, str, Part | None]]:
    modality = modality_of(view, channel)
    contrast = load_mapping().term("modality", modality, "contrast") if modality else "fluorescence"
    light = ("light_sources", "Fluorescence_LightSource_LightEmittingDiode", channel.light)
    filters: list[tuple[str, str, Part | None]] = [
        ("filters", "ExcitationFilter", channel.excitation),
        ("filters", "StandardDichroic", channel.dichroic),
        ("filters", "EmissionFilter", channel.emission),
    ]
    return [light, *(one for one in filters if contrast == "fluorescence" or one[2] is not None)]


def _settings(view: AcquisitionView) -> list[Held]:
    """Return every settings object of the first image, and what ought to be set and is not."""
    image = image_settings(view)
    held: list[Held] = [("Image", "image", image), ("Pixels", "image", image["Pixels"])]
    held += [("Plane", "planes", plane) for plane in image["Planes"][:1]]
    for channel in image["Channels"]:
        place = f"channel '{channel['Name']}'"
        path = channel["LightPath"]["ComponentSettings"]
        held += [
            ("Channel", place, channel),
            ("LightSourceSettings", place, path.get("LightSource", {})),
            ("CameraSettings", place, path.get("Detector", {})),
        ]
    if view.bundle.profile.environment:
        held.append(("ImagingEnvironment", "environment", image.get("ImagingEnvironment", {})))
    return held


def _class_scores(held: list[Held], missing: list[Missing], max_tier: int) -> Iterable[Score]:
    for nbo in dict.fromkeys(one[0] for one in held):
        for tier in range(1, max_tier + 1):
            required = _n_required([one for one in held if one[0] == nbo], tier)
            lacking = sum(item.tier == tier and item.nbo.startswith(f"{nbo}.") for item in missing)
            if required:
                yield Score(nbo, tier, required - lacking, required)


def _tier_scores(held: list[Held], missing: list[Missing], max_tier: int) -> Iterable[Score]:
    for tier in range(1, max_tier + 1):
        required = _n_required(held, tier)
        yield Score(f"NBO Tier {tier}", tier, required - sum(i.tier == tier for i in missing), required)


def _n_required(held: list[Held], tier: int) -> int:
    fields = load_mapping().fields
    return sum(field.required and field.tier == tier for one in held for field in fields[one[0]])


def _checklist(
    view: AcquisitionView, rows: Iterable[Mapping[str, Any]], standard: str
) -> tuple[Score, list[Missing]]:
    """Judge a checklist; what is asked of channels is there when every channel has it."""
    facts = facts_of(view)
    per_channel = [facts_in(view, channel) for channel in view.channels]
    if is_under_qc(view):
        for one in per_channel:
            one["qc.checked_at"] = facts["image.acquired_at"]
    n_present, n_asked, missing = 0, 0, []
    for row in rows:
        if row.get("applies") and view.size(row["applies"]) <= 1:
            continue
        n_asked += 1
        lacking = [name for one in per_channel for name in _lacking(row, one)]
        if not lacking:
            n_present += 1
            continue
        item = str(row.get("item"))
        place = str(row.get("module", "report"))
        missing.append(Missing(standard, 0, item, place, ", ".join(dict.fromkeys(lacking)), row["who"]))
    name = {"wg11": "WG11 checklist", "rembi": "REMBI"}[standard]
    return Score(name, 0, n_present, n_asked), missing


def _lacking(row: Mapping[str, Any], facts: Facts) -> list[str]:
    lacking = [name for name in row.get("needs", ()) if name not in facts]
    choice = row.get("any", ())
    return lacking + ([" or ".join(choice)] if choice and not any(name in facts for name in choice) else [])
