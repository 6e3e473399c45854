"""The instrument in OME-XML: every part the profile states, with ids that the image refers to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ome_types import model as ome

from agent.exports.convert import stated_fields
from agent.exports.facts import text_of
from agent.exports.mapping import load_mapping
from agent.records import Camera, Filter, FilterCube, LightSource, Objective, Part, Profile

INSTRUMENT_ID = "Instrument:0"


@dataclass
class Annotations:
    """Map annotations of a document, numbered in the order in which they come."""

    prefix: str = "Annotation:scopestamp-"
    maps: list[ome.MapAnnotation] = field(default_factory=list)

    def add(self, namespace: str, values: dict[str, Any]) -> ome.AnnotationRef | None:
        """Add one and return its reference; none when there is nothing to say."""
        texts = {key: text_of(value) for key, value in values.items() if value not in (None, "", ())}
        if not texts:
            return None
        name = f"{self.prefix}{len(self.maps)}"
        self.maps.append(ome.MapAnnotation(id=name, namespace=namespace, value=_xml_safe(texts)))
        return ome.AnnotationRef(id=name)


def _xml_safe(texts: dict[str, str]) -> dict[str, str]:
    """Return texts without characters that XML 1.0 cannot hold; device adapters tell such."""
    return {xml_text(key): xml_text(value) for key, value in texts.items()}


def xml_text(text: str) -> str:
    """Return a text that XML 1.0 can hold.

    >>> xml_text("20\\x00 °C")
    '20\\ufffd °C'
    """
    return "".join(
        c if c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff" else "\ufffd"
        for c in text
    )


@dataclass(frozen=True)
class InstrumentIds:
    """Ids of parts, by section and name."""

    ids: dict[tuple[str, str], str]

    def of(self, section: str, part: Part | str | None) -> str | None:
        """Return the id of a part; none when it is not there."""
        name = part.name if isinstance(part, Part) else part
        return self.ids.get((section, name or ""))


def instrument_ids(profile: Profile) -> InstrumentIds:
    """Number every part that OME has an element for."""
    ids: dict[tuple[str, str], str] = {}
    for section, kind in (
        ("objectives", "Objective"),
        ("cameras", "Detector"),
        ("light_sources", "LightSource"),
        ("filter_cubes", "FilterSet"),
    ):
        ids |= {(section, part.name): f"{kind}:{i}" for i, part in enumerate(getattr(profile, section))}
    for i, part in enumerate(profile.filters):
        ids["filters", part.name] = f"Dichroic:{i}" if part.role == "dichroic" else f"Filter:{i}"
    return InstrumentIds(ids)


def instrument_element(profile: Profile, ids: InstrumentIds, notes: Annotations) -> ome.Instrument:
    """Return the Instrument element; what OME has no attribute for goes into annotations of the part."""
    out = ome.Instrument(id=INSTRUMENT_ID)
    if profile.stand:
        out.microscope = _microscope(profile)
        _note_on(out, notes, "stand", profile.stand)
    out.objectives = [_objective(part, ids, notes) for part in profile.objectives]
    out.detectors = [_detector(part, ids, notes) for part in profile.cameras]
    for part in profile.light_sources:
        group, element = _light_source(part, ids, notes)
        getattr(out, group).append(element)
    out.filters = [_filter(part, ids, notes) for part in profile.filters if part.role != "dichroic"]
    out.dichroics = [_dichroic(part, ids, notes) for part in profile.filters if part.role == "dichroic"]
    out.filter_sets = [_filter_set(part, ids) for part in profile.filter_cubes]
    return out


def _nameplate(part: Part) -> dict[str, Any]:
    texts = {
        "manufacturer": part.manufacturer,
        "model": part.model,
        "serial_number": part.serial_number,
        "lot_number": part.lot_number,
    }
    return {key: xml_text(text) for key, text in texts.items() if text}


def _note_on(element: Any, notes: Annotations, section: str, part: Part) -> Any:
    """Annotate an element with its part under NBO's names, and with what NBO has no name for."""
    mapping = load_mapping()
    found = mapping.section_of_stand(part) if section == "stand" else mapping.class_of(section, part)  # type: ignore[arg-type]
    values: dict[str, Any] = {"Name": part.name, "PID": part.pid, "Guessed": part.derived}
    for item, value in stated_fields(part, mapping.fields[found.nbo] if found else ()):
        values[item.key] = value
        if item.unit and item.unit_key:
            values[item.unit_key] = item.unit
    reference = notes.add(f"{mapping.nbo_namespace}{found.nbo if found else section}", values)
    if reference is not None:
        element.annotation_refs.append(reference)
    return element


def _microscope(profile: Profile) -> ome.Microscope:
    stand = profile.stand
    assert stand is not None
    kind = load_mapping().term("stand_type", stand.stand_type, "ome") or (stand.geometry or "").capitalize()
    return ome.Microscope(type=kind or None, **_nameplate(stand))


def _objective(part: Objective, ids: InstrumentIds, notes: Annotations) -> ome.Objective:
    mapping = load_mapping()
    element = ome.Objective(
        id=ids.of("objectives", part),
        nominal_magnification=part.magnification,
        calibrated_magnification=part.calibrated_magnification,
        lens_na=part.na,
        correction=mapping.term("correction", part.correction, "ome"),
        immersion=mapping.term("immersion", part.immersion, "ome"),
        working_distance=part.working_distance_um,
        **_nameplate(part),
    )
    return _note_on(element, notes, "objectives", part)


def _detector(part: Camera, ids: InstrumentIds, notes: Annotations) -> ome.Detector:
    kind = load_mapping().term("detector_type", part.detector_type, "ome")
    element = ome.Detector(id=ids.of("cameras", part), type=kind, **_nameplate(part))
    return _note_on(element, notes, "cameras", part)


def _light_source(part: LightSource, ids: InstrumentIds, notes: Annotations) -> tuple[str, Any]:
    groups = {
        "laser": ("lasers", ome.Laser),
        "led": ("light_emitting_diodes", ome.LightEmittingDiode),
        "arc": ("arcs", ome.Arc),
        "filament": ("filaments", ome.Filament),
    }
    group, kind = groups.get(part.source_type, ("generic_excitation_sources", ome.GenericExcitationSource))
    single = part.emissions[0] if len(part.emissions) == 1 else None
    values = _nameplate(part) | {"id": ids.of("light_sources", part)}
    if single and single.power_mw:
        values["power"] = single.power_mw
    if kind is ome.Laser:
        values |= {"wavelength": single.peak_nm if single else None, "tuneable": part.is_tunable}
        values["pulse"] = None if part.is_pulsed in (None, True) else ome.Laser_Pulse.CW
    if kind in (ome.Arc, ome.Filament):
        words = {item.value for item in (ome.Arc_Type if kind is ome.Arc else ome.Filament_Type)}
        values["type"] = part.nbo.get("Type") if part.nbo.get("Type") in words else None
    element = kind(**{key: value for key, value in values.items() if value is not None})
    return group, _note_on(element, notes, "light_sources", part)


def _filter(part: Filter, ids: InstrumentIds, notes: Annotations) -> ome.Filter:
    band = part.bands[0] if len(part.bands) == 1 else None
    element = ome.Filter(
        id=ids.of("filters", part),
        type=load_mapping().term("filter_type", part.filter_type, "ome"),
        filter_wheel=xml_text(part.device) if part.device else None,
        transmittance_range=ome.TransmittanceRange(
            cut_in=band.cut_on_nm, cut_out=band.cut_off_nm, transmittance=band.transmittance
        )
        if band
        else None,
        **_nameplate(part),
    )
    return _note_on(element, notes, "filters", part)


def _dichroic(part: Filter, ids: InstrumentIds, notes: Annotations) -> ome.Dichroic:
    element = ome.Dichroic(id=ids.of("filters", part), **_nameplate(part))
    return _note_on(element, notes, "filters", part)


def _filter_set(part: FilterCube, ids: InstrumentIds) -> ome.FilterSet:
    excitation, dichroic, emission = (
        ids.of("filters", name) for name in (part.excitation, part.dichroic, part.emission)
    )
    return ome.FilterSet(
        id=ids.of("filter_cubes", part),
        excitation_filters=[ome.FilterRef(id=excitation)] if excitation else [],
        dichroic_ref=ome.DichroicRef(id=dichroic) if dichroic else None,
        emission_filters=[ome.FilterRef(id=emission)] if emission else [],
        **_nameplate(part),
    )
