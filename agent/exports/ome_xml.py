"""An acquisition as complete OME-XML (2016-06): instrument, images, light paths, planes with units."""

from __future__ import annotations

from typing import Any

from ome_types import model as ome
from ome_types import to_xml

from agent.exports.facts import Facts, facts_in, facts_of, image_name, modality_of
from agent.exports.mapping import load_mapping
from agent.exports.ome_instrument import (
    INSTRUMENT_ID,
    Annotations,
    InstrumentIds,
    instrument_element,
    instrument_ids,
    xml_text,
)
from agent.exports.ome_notes import PEOPLE_NAMESPACE, image_notes, instrument_notes
from agent.exports.quality import profile_as_measured
from agent.exports.view import AcquisitionView, ChannelView, PlaneView, PositionView, number

_DTYPES = {"float32": "float", "float64": "double", "complex64": "complex", "complex128": "double-complex"}
_TYPES = {item.value for item in ome.PixelType}


def ome_xml(view: AcquisitionView) -> bytes:
    """Return the OME-XML of an acquisition, with ``<MetadataOnly/>`` in the place of pixels."""
    return to_xml(ome_document(view)).encode()


def ome_document(view: AcquisitionView) -> ome.OME:
    """Return the OME-XML of an acquisition as ome-types' objects."""
    profile = profile_as_measured(view.bundle)
    ids, notes = instrument_ids(profile), Annotations()
    instrument = instrument_element(profile, ids, notes)
    instrument.annotation_refs += instrument_notes(view, notes)
    experimenters = _experimenters(view, notes)
    on_images = image_notes(view, notes)
    producer = view.bundle.finished.producer
    document = ome.OME(
        creator=f"{producer.software} {producer.version}",
        experimenters=experimenters,
        instruments=[instrument],
        images=[_image(view, place, ids, on_images) for place in _places(view)],
        structured_annotations=ome.StructuredAnnotations(map_annotations=notes.maps),
        rights=_rights(view),
    )
    experimenter = next((i for i, person in enumerate(_named(view)) if person.is_experimenter), None)
    if experimenter is not None:
        for image in document.images:
            image.experimenter_ref = ome.ExperimenterRef(id=f"Experimenter:{experimenter}")
    return document


def _named(view: AcquisitionView) -> list[Any]:
    return [person for person in view.bundle.profile.people if person.has_consented]


def _experimenters(view: AcquisitionView, notes: Annotations) -> list[ome.Experimenter]:
    """Return those who consented; their ORCID goes into an annotation, for OME has no attribute for it."""
    out = []
    for i, person in enumerate(_named(view)):
        element = ome.Experimenter(
            id=f"Experimenter:{i}",
            first_name=xml_text(person.given_name),
            last_name=xml_text(person.family_name),
            institution=xml_text(view.bundle.profile.organisation.name or "") or None,
        )
        pairs = {"ORCID": person.orcid, "CRediT": person.roles}
        if (reference := notes.add(PEOPLE_NAMESPACE, pairs)) is not None:
            element.annotation_refs.append(reference)
        out.append(element)
    return out


def _rights(view: AcquisitionView) -> ome.Rights | None:
    rights = view.bundle.profile.rights
    held = " ".join(text for text in (rights.licence, rights.licence_url) if text)
    if not (rights.holder or held):
        return None
    return ome.Rights(rights_holder=xml_text(rights.holder or "") or None, rights_held=xml_text(held) or None)


def _places(view: AcquisitionView) -> tuple[PositionView, ...]:
    """Return the positions that have an image: none when no camera delivered one."""
    image = view.image
    return view.positions if image and image.width_px and image.height_px else ()


def _image(
    view: AcquisitionView, place: PositionView, ids: InstrumentIds, notes: list[ome.AnnotationRef]
) -> ome.Image:
    pixels = _pixels(view, place)
    pixels.channels = channel_elements(view, ids, place.index)
    image = ome.Image(
        id=f"Image:{place.index}",
        name=xml_text(f"{image_name(view)} {place.name}" if len(view.positions) > 1 else image_name(view)),
        pixels=pixels,
    )
    return dress_image(view, image, place, ids, notes)


def dress_image(
    view: AcquisitionView,
    image: ome.Image,
    place: PositionView,
    ids: InstrumentIds,
    notes: list[ome.AnnotationRef],
) -> ome.Image:
    """Give an image everything but its pixels: when, with what, where, in which climate."""
    facts = facts_of(view)
    image.acquisition_date = view.bundle.finished.started.wall_at
    image.instrument_ref = ome.InstrumentRef(id=INSTRUMENT_ID)
    image.objective_settings = _objective_settings(view, ids, facts)
    image.imaging_environment = _environment(facts)
    image.stage_label = _stage_label(place)
    have = {reference.id for reference in image.annotation_refs}
    image.annotation_refs += [reference for reference in notes if reference.id not in have]
    return image


def _objective_settings(
    view: AcquisitionView, ids: InstrumentIds, facts: Facts
) -> ome.ObjectiveSettings | None:
    objective = view.objective
    if objective is None:
        return None
    medium = load_mapping().term("immersion", objective.immersion, "ome")
    medium = {"WaterDipping": "Water", "Multi": "Other"}.get(medium or "", medium)
    return ome.ObjectiveSettings(
        id=ids.of("objectives", objective) or "",
        medium=medium,
        refractive_index=objective.refractive_index,
        correction_collar=number(objective.collar_position),
    )


def _environment(facts: Facts) -> ome.ImagingEnvironment | None:
    """Return the climate; OME wants CO2 and humidity as fractions."""
    values = {
        name: facts[f"environment.{key}"].value
        for name, key in (
            ("temperature", "temperature_c"),
            ("co2_percent", "co2_percent"),
            ("humidity", "humidity_percent"),
        )
        if f"environment.{key}" in facts
    }
    for name in ("co2_percent", "humidity"):
        if name in values:
            values[name] = min(max(values[name] / 100.0, 0.0), 1.0)
    if oxygen := facts.get("environment.o2_percent"):
        values["map"] = ome.Map(ms=[ome.Map.M(k="O2Percent", value=f"{oxygen.value:g}")])
    return ome.ImagingEnvironment(**values) if values else None


def _stage_label(place: PositionView) -> ome.StageLabel:
    where = {axis: getattr(place, f"{axis}_um") for axis in "xyz"}
    known = {axis: value for axis, value in where.items() if value is not None}
    units = {f"{axis}_unit": ome.UnitsLength.MICROMETER for axis in known}
    return ome.StageLabel(name=xml_text(place.name), **known, **units)


def _pixels(view: AcquisitionView, place: PositionView) -> ome.Pixels:
    image = view.image
    assert image is not None
    dtype = _DTYPES.get(image.dtype, image.dtype)
    values: dict[str, Any] = {
        "id": f"Pixels:{place.index}",
        "dimension_order": "XYZCT",
        "type": dtype if dtype in _TYPES else "uint16",
        "size_x": image.width_px,
        "size_y": image.height_px,
        "size_z": view.size("z"),
        "size_c": len(view.channels),
        "size_t": view.size("t"),
        "metadata_only": ome.MetadataOnly(),
        "planes": [plane_element(plane) for plane in planes_of(view, place)],
    }
    return ome.Pixels(**values, **pixel_sizes(view))


def pixel_sizes(view: AcquisitionView) -> dict[str, Any]:
    """Return physical sizes and time increment, each with its unit; what is not known is left out."""
    micrometre = ome.UnitsLength.MICROMETER
    values: dict[str, Any] = {}
    if size := view.pixel_size_um:
        values |= {"physical_size_x": size, "physical_size_y": size}
        values |= {"physical_size_x_unit": micrometre, "physical_size_y_unit": micrometre}
    if step := view.z_step_um:
        values |= {"physical_size_z": step, "physical_size_z_unit": micrometre}
    if interval := view.time_interval_s:
        values |= {"time_increment": interval, "time_increment_unit": ome.UnitsTime.SECOND}
    depth = number(view.reading(view.camera_label, "BitDepth"))
    if depth and depth >= 1:
        values["significant_bits"] = int(depth)
    return values


def planes_of(view: AcquisitionView, place: PositionView) -> list[PlaneView]:
    """Return the frames of one position that lie within the image."""
    limits = view.size("t"), len(view.channels), view.size("z")
    return [
        plane
        for plane in view.planes
        if plane.position == place.index and all(map(int.__lt__, (plane.t, plane.c, plane.z), limits))
    ]


def plane_element(plane: PlaneView) -> ome.Plane:
    """Return a frame as a Plane, every value with its unit."""
    values: dict[str, Any] = {"the_t": plane.t, "the_c": plane.c, "the_z": plane.z}
    if plane.delta_t_s is not None:
        values |= {"delta_t": plane.delta_t_s, "delta_t_unit": ome.UnitsTime.SECOND}
    if plane.exposure_ms is not None:
        values |= {"exposure_time": plane.exposure_ms, "exposure_time_unit": ome.UnitsTime.MILLISECOND}
    for axis in "xyz":
        if (where := getattr(plane, f"{axis}_um")) is not None:
            values |= {
                f"position_{axis}": where,
                f"position_{axis}_unit": ome.UnitsLength.MICROMETER,
            }
    return ome.Plane(**values)


def channel_elements(view: AcquisitionView, ids: InstrumentIds, image: int) -> list[ome.Channel]:
    """Return the channels of an image, each with its light path and settings."""
    return [_channel(view, channel, ids, f"Channel:{image}:{c}") for c, channel in enumerate(view.channels)]


def _channel(view: AcquisitionView, channel: ChannelView, ids: InstrumentIds, name: str) -> ome.Channel:
    mapping = load_mapping()
    facts = facts_in(view, channel)
    modality = modality_of(view, channel)
    element = ome.Channel(id=name, name=xml_text(channel.name), samples_per_pixel=1)
    if modality:
        element.illumination_type = ome.Channel_IlluminationType(mapping.term("modality", modality, "ome"))
        element.acquisition_mode = ome.Channel_AcquisitionMode(mapping.term("modality", modality, "ome_mode"))
        contrast = mapping.term("modality", modality, "contrast")
        element.contrast_method = ome.Channel_ContrastMethod(mapping.term("contrast", contrast, "ome"))
    if statement := channel.statement:
        element.fluor = xml_text(statement.fluorophore) if statement.fluorophore else None
        element.excitation_wavelength = statement.excitation_nm
        element.emission_wavelength = statement.emission_nm
    element.light_source_settings = _light_source_settings(channel, ids)
    element.detector_settings = _detector_settings(channel, ids, facts)
    if cube := ids.of("filter_cubes", channel.cube):
        element.filter_set_ref = ome.FilterSetRef(id=cube)
    element.light_path = _light_path(channel, ids)
    return element


def _light_source_settings(channel: ChannelView, ids: InstrumentIds) -> ome.LightSourceSettings | None:
    name = ids.of("light_sources", channel.light)
    if name is None:
        return None
    percent = channel.power_percent
    attenuation = percent / 100.0 if percent is not None and 0 <= percent <= 100 else None
    return ome.LightSourceSettings(id=name, attenuation=attenuation)


def _detector_settings(channel: ChannelView, ids: InstrumentIds, facts: Facts) -> ome.DetectorSettings | None:
    name = ids.of("cameras", channel.camera)
    if name is None:
        return None
    values = {
        key: number(facts[f"camera_settings.{ours}"].value)
        for key, ours in (("gain", "gain"), ("offset", "offset"), ("read_out_rate", "readout_rate_mhz"))
        if f"camera_settings.{ours}" in facts
    }
    binning = facts.get("camera_settings.binning")
    if binning is not None:
        known = {item.value for item in ome.Binning}
        values["binning"] = binning.value if binning.value in known else "Other"
    return ome.DetectorSettings(id=name, **values)


def _light_path(channel: ChannelView, ids: InstrumentIds) -> ome.LightPath | None:
    excitation, dichroic, emission = (
        ids.of("filters", part) for part in (channel.excitation, channel.dichroic, channel.emission)
    )
    if not (excitation or dichroic or emission):
        return None
    return ome.LightPath(
        excitation_filters=[ome.FilterRef(id=excitation)] if excitation else [],
        dichroic_ref=ome.DichroicRef(id=dichroic) if dichroic else None,
        emission_filters=[ome.FilterRef(id=emission)] if emission else [],
    )
