"""OME-XML against the 2016-06 schema, references included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ome_types
import pytest
from lxml import etree
from ome_types import model as ome

from agent.exports import Bundle, load_mapping, view_of
from agent.exports.ome_xml import ome_xml
from agent.exports.view import AcquisitionView
from agent.profile import read_profile
from agent.records import Profile, QcResult, sha256_of


def valid(data: bytes) -> ome.OME:
    ome_types.validate_xml(data)
    return ome_types.from_xml(data)


@pytest.fixture
def document(view: AcquisitionView) -> ome.OME:
    return valid(ome_xml(view))


def test_document_is_valid_against_the_schema_of_the_standard(standards: Path, view: AcquisitionView) -> None:
    schema = etree.XMLSchema(etree.parse(standards / "ome" / "ome-2016-06.xsd"))
    assert schema.validate(etree.fromstring(ome_xml(view))), schema.error_log


def test_instrument_has_every_part(document: ome.OME) -> None:
    (instrument,) = document.instruments
    assert instrument.microscope is not None and instrument.microscope.type is ome.Microscope_Type.INVERTED
    assert [item.lens_na for item in instrument.objectives] == [0.5, 0.6, 0.45]
    assert len(instrument.filters) == 4 and len(instrument.dichroics) == 2
    assert instrument.detectors[0].serial_number == "302173"
    assert instrument.light_emitting_diodes[0].model == "Spectra X"
    band = instrument.filters[0].transmittance_range
    assert band is not None and (band.cut_in, band.cut_out) == (340, 380)


def test_image_has_settings_light_path_and_planes_with_units(document: ome.OME) -> None:
    first, second = document.images
    assert first.objective_settings is not None and first.objective_settings.id == "Objective:1"
    assert first.objective_settings.medium is ome.ObjectiveSettings_Medium.AIR
    assert second.stage_label is not None and second.stage_label.name == "A2"
    assert second.stage_label.x_unit is ome.UnitsLength.MICROMETER
    channel = first.pixels.channels[1]
    assert channel.light_path is not None and channel.light_path.dichroic_ref is not None
    assert channel.detector_settings is not None and channel.detector_settings.binning is ome.Binning.ONEBYONE
    assert channel.light_source_settings is not None and channel.light_source_settings.attenuation == 0
    assert channel.contrast_method is ome.Channel_ContrastMethod.FLUORESCENCE
    assert len(first.pixels.planes) == 22
    plane = first.pixels.planes[0]
    assert plane.position_x_unit is ome.UnitsLength.MICROMETER
    assert plane.exposure_time_unit is ome.UnitsTime.MILLISECOND
    assert not any(plane.annotation_refs for plane in first.pixels.planes)


def test_every_camera_is_described_and_each_channel_has_the_settings_of_its_own(
    two_cameras: AcquisitionView,
) -> None:
    document = valid(ome_xml(two_cameras))
    pixels = document.images[0].pixels
    assert [detector.serial_number for detector in document.instruments[0].detectors] == ["302173", "2"]
    assert [channel.name for channel in pixels.channels] == ["DAPI", "FITC (Camera)", "FITC (Camera-2)"]
    settings = [channel.detector_settings for channel in pixels.channels]
    assert [(item.id, item.gain) for item in settings if item] == [
        ("Detector:0", 3.0),
        ("Detector:0", 3.0),
        ("Detector:1", 7.0),
    ]
    assert sorted({plane.the_c for plane in pixels.planes}) == [0, 1, 2]
    assert len(pixels.planes) == 33 and pixels.size_c == 3


def test_climate_is_in_fractions(bundle: Bundle) -> None:
    part = bundle.profile.environment[0]
    ref = part.temperature
    assert ref is not None
    five = ref.model_copy(update={"property": "BeadSize", "unit": "%"})  # holds 2.0
    changed = bundle.profile.model_copy(
        update={"environment": (part.model_copy(update={"co2": five, "o2": five}),)}
    )
    climate = valid(ome_xml(view_of(replace(bundle, profile=changed)))).images[0].imaging_environment
    assert climate is not None and climate.co2_percent == 0.02 and climate.temperature == 0
    assert climate.map is not None and climate.map.ms[0].value == "2"


def annotations(document: ome.OME, part: str) -> list[dict[str, Any]]:
    assert document.structured_annotations is not None
    return [
        {item.k: item.value for item in note.value.ms}
        for note in document.structured_annotations.map_annotations
        if part in (note.namespace or "")
    ]


def test_qc_and_hash_of_the_record_are_annotated(view: AcquisitionView, document: ome.OME) -> None:
    (held,) = annotations(document, "scopestamp.org/qc/psf")
    assert held["is_valid"] == "true" and held["age_days"] == "3.0" and held["status"] == "pass"
    assert (held["expected"], held["baseline"]) == ("0.188", "0.224")
    stamp = annotations(document, "scopestamp.org/stamp/v1")[0]
    assert stamp["record_sha256"] == sha256_of(view.bundle.finished)
    (of_images,) = annotations(document, "scopestamp.org/qc/v1")
    assert of_images["status"] == "valid" and of_images["DAPI"].startswith("valid QC: 1 figure of psf")
    on_instrument = {ref.id for ref in document.instruments[0].annotation_refs}
    on_images = {ref.id for image in document.images for ref in image.annotation_refs}
    assert len(on_instrument) == 3 and len(on_images) == 3


def test_absence_of_valid_qc_is_said(
    bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle]
) -> None:
    for changed, words in (
        (with_qc(bundle, qc(days=400)), "no valid QC: the latest, psf of"),
        (with_qc(bundle), "no valid QC: nothing was measured on this light path"),
        (bundle, "no valid QC: the agent did not look it up"),
    ):
        (said,) = annotations(valid(ome_xml(view_of(changed))), "scopestamp.org/qc/v1")
        assert any(text.startswith(words) for text in said.values()), said
        assert "valid" not in said.values()


def test_result_measured_on_the_acquisition_itself_is_on_its_images(
    bundle: Bundle, qc: Callable[..., QcResult]
) -> None:
    result = qc(days=-0.01, acquisition_id=bundle.finished.acquisition_id)
    (note,) = annotations(valid(ome_xml(view_of(replace(bundle, qc=(result,))))), "measured-here")
    assert note["fwhm_x_um.value"] == "0.231" and note["record_sha256"] == sha256_of(result)


def test_people_without_consent_are_not_named(bundle: Bundle) -> None:
    (person,) = bundle.profile.people
    silent = bundle.profile.model_copy(
        update={"people": (person.model_copy(update={"has_consented": False}),)}
    )
    data = ome_xml(view_of(replace(bundle, profile=silent)))
    assert b"Carberry" not in data and person.orcid is not None and person.orcid.encode() not in data


def test_empty_profile_makes_a_valid_document(empty_view: AcquisitionView) -> None:
    document = valid(ome_xml(empty_view))
    assert len(document.images) == 2 and not document.instruments[0].objectives


def test_acquisition_without_camera_makes_a_valid_document(bundle: Bundle) -> None:
    finished = bundle.finished.model_copy(update={"images": ()})
    assert valid(ome_xml(view_of(replace(bundle, finished=finished)))).images == []


@pytest.mark.parametrize("source_type", ["laser", "led", "arc", "filament", "multi_laser_engine", "generic"])
def test_every_kind_of_light_source_is_valid(bundle: Bundle, source_type: str) -> None:
    light = bundle.profile.light_sources[0]
    one = light.model_copy(
        update={
            "source_type": source_type,
            "emissions": light.emissions[:1],
            "is_pulsed": False,
            "is_tunable": False,
        }
    )
    changed = bundle.profile.model_copy(update={"light_sources": (one,)})
    document = valid(ome_xml(view_of(replace(bundle, profile=changed))))
    assert document.images[0].pixels.channels[0].light_source_settings is not None


@pytest.mark.parametrize("binning", ["3", "3x1", "2x2", 4])
def test_binning_that_ome_does_not_know_is_other(bundle: Bundle, binning: Any) -> None:
    before = bundle.finished.before
    assert before is not None
    read = before.devices["Camera"]["Binning"].model_copy(update={"value": binning})
    camera = before.devices["Camera"] | {"Binning": read}
    state = before.model_copy(update={"devices": before.devices | {"Camera": camera}})
    finished = bundle.finished.model_copy(update={"before": state})
    settings = valid(ome_xml(view_of(replace(bundle, finished=finished)))).images[0].pixels.channels[0]
    assert settings.detector_settings is not None
    found = settings.detector_settings.binning
    assert found is not None and found.value == {"2x2": "2x2", 4: "4x4"}.get(binning, "Other")


def test_names_in_any_script_and_control_characters_are_valid(bundle: Bundle) -> None:
    profile = read_profile(
        '[instrument]\nname = "共焦点顕微鏡"\n[stand]\nname = "Штатив"\nmanufacturer = "Łódź ✶ Ω"\n'
        '[organisation]\nname = "جامعة"\n[[people]]\ngiven_name = "María"\nfamily_name = "Ñúñez"\nhas_consented = true\n'
        '[[cameras]]\nname = "c\\u0007c"\ndevice = "Camera"\ndetector_type = "cmos"\nmodel = "bell\\u0007"\n'
    )
    document = valid(ome_xml(view_of(replace(bundle, profile=profile))))
    assert document.instruments[0].microscope is not None
    assert document.instruments[0].microscope.manufacturer == "Łódź ✶ Ω"
    assert document.instruments[0].detectors[0].model == "bell\ufffd"


def test_every_modality_is_valid_and_told(bundle: Bundle) -> None:
    mapping = load_mapping()
    for modality in mapping.terms["modality"]:
        plate = bundle.profile.instrument.model_copy(update={"modality": modality})
        document = valid(ome_xml(view_of(replace(bundle, profile=Profile(instrument=plate), frames=None))))
        channel = document.images[0].pixels.channels[0]
        assert channel.acquisition_mode is not None and channel.illumination_type is not None
        assert channel.acquisition_mode.value == mapping.term("modality", modality, "ome_mode")
        assert channel.illumination_type.value == mapping.term("modality", modality, "ome")
