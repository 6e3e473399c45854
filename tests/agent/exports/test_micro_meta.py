"""Files of Micro-Meta App: its own schemas, and real files there and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.exports import ExportError, export
from agent.exports.micro_meta import microscope
from agent.exports.micro_meta_import import profile_from_micro_meta
from agent.exports.micro_meta_settings import image_settings
from agent.exports.quality import profile_as_measured
from agent.exports.view import AcquisitionView
from agent.profile import profile_toml, read_profile
from agent.records import Profile

EXAMPLES = ["abif_axiovert1.microscope.json", "4dn_tesm.microscope_configuration.json"]
Schemas = dict[str, dict[str, Any]]


def problems(schemas: Schemas, value: Any, tier: int = 1) -> list[str]:
    """Validate as the app does: requirements above the tier are dropped."""
    found = []
    for item in objects(value):
        schema = schemas[item["Schema_ID"]]
        tiers = {key: (prop.get("tier") or 1) for key, prop in schema["properties"].items()}
        required = sorted({key for key in schema.get("required", ()) if tiers.get(key, 1) <= tier})
        errors = jsonschema.Draft7Validator(schema | {"required": required}).iter_errors(item)
        found += [f"{item['Schema_ID']} {item.get('Name')}: {error.message[:200]}" for error in errors]
    return found


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Schema_ID" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from objects(item)


def lost(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{path}/{i}")
    elif before != after:
        yield path


def real(standards: Path, name: str) -> dict[str, Any]:
    raw = json.loads((standards / "micro-meta-app" / "examples" / name).read_bytes())
    found: dict[str, Any] = raw[0]["microscope"] if isinstance(raw, list) else raw
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_real_microscope_there_and_back_loses_nothing(standards: Path, name: str) -> None:
    data = (standards / "micro-meta-app" / "examples" / name).read_bytes()
    profile = read_profile(profile_toml(profile_from_micro_meta(data)))
    assert list(lost(real(standards, name), microscope(profile, "any"))) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_export_of_a_real_microscope_is_as_valid_as_the_file(
    standards: Path, schemas: Schemas, name: str
) -> None:
    profile = profile_from_micro_meta((standards / "micro-meta-app" / "examples" / name).read_bytes())
    for tier in (1, 2, 3):
        assert len(problems(schemas, microscope(profile, "any"), tier)) <= len(
            problems(schemas, real(standards, name), tier)
        )


def test_real_microscopes_fill_our_fields(standards: Path) -> None:
    folder = standards / "micro-meta-app" / "examples"
    axiovert, tesm = (profile_from_micro_meta((folder / name).read_bytes()) for name in EXAMPLES)
    assert [item.na for item in axiovert.objectives] == [0.3, 0.8, 0.6, 1.4, 1.3]
    assert axiovert.filters[0].bands[0].cut_on_nm == 420
    assert axiovert.filter_cubes[0].excitation == "G 365 - DAPI excitation filter"
    assert tesm.objectives[0].immersion == "oil" and tesm.objectives[0].working_distance_um == 150
    assert tesm.cameras[0].detector_type == "emccd"
    assert sum(len(parts) for _, parts in tesm.sections()) == 77


def test_complete_profile_has_no_error_at_tier_1(schemas: Schemas, view: AcquisitionView) -> None:
    made = microscope(profile_as_measured(view.bundle), view.bundle.finished.instrument_id)
    assert len(made["components"]) == 16
    assert problems(schemas, made) == []


def test_own_microscope_there_and_back_loses_nothing(profile: Profile) -> None:
    made = microscope(profile, "ins-1")
    again = microscope(profile_from_micro_meta(json.dumps(made).encode()), "other")
    assert list(lost(made, again)) == []


def test_empty_profile_still_makes_a_file_that_loads(schemas: Schemas) -> None:
    made = microscope(Profile(), "ins-1")
    stand = made["MicroscopeStand"]
    assert all(stand[key] for key in ("Name", "Schema_ID", "ID", "Tier", "ModelVersion"))
    assert made["ModelVersion"] and len(made["AppVersion"].replace("-b", ".").split(".")) == 4
    assert {text.split(":")[1].strip()[:20] for text in problems(schemas, made)}  # it says what is missing


def test_settings_have_no_error_at_tier_1_but_what_nobody_measures(
    schemas: Schemas, view: AcquisitionView
) -> None:
    made = image_settings(view)
    assert [text for text in problems(schemas, made) if "ImagingEnvironment" not in text] == []
    assert len(made["Planes"]) == 22


def test_every_position_has_settings_of_its_own(schemas: Schemas, view: AcquisitionView) -> None:
    first, second = (json.loads(export("micro-meta-settings", view, position=n)) for n in (0, 1))
    assert [text for text in problems(schemas, second) if "ImagingEnvironment" not in text] == []
    assert first["ID"] != second["ID"]
    x_um = [{plane["PositionX"] for plane in one["Planes"]} for one in (first, second)]
    assert all(len(found) == 1 for found in x_um) and x_um[0] != x_um[1]
    with pytest.raises(ExportError, match="position from 0 to 1, came 2"):
        export("micro-meta-settings", view, position=2)


def test_channel_of_another_camera_points_to_it(two_cameras: AcquisitionView) -> None:
    made = image_settings(two_cameras)
    detectors = [channel["LightPath"]["ComponentSettings"]["Detector"] for channel in made["Channels"]]
    assert [item["AnalogGain"] for item in detectors] == [3, 3, 7]
    assert len({item["Component_ID"] for item in detectors}) == 2


def test_settings_point_to_the_hardware(view: AcquisitionView) -> None:
    hardware = microscope(profile_as_measured(view.bundle), view.bundle.finished.instrument_id)
    ids = {item["ID"] for item in hardware["components"]}
    made = image_settings(view)
    refs = [
        part["Component_ID"]
        for ch in made["Channels"]
        for part in ch["LightPath"]["ComponentSettings"].values()
    ]
    assert len(refs) == 12
    assert {*refs, made["ObjectiveSettings"]["Component_ID"], *made["AcquisitionSoftware"]} <= ids
    assert made["InstrumentID"] == hardware["ID"]


def test_empty_settings_are_json(empty_view: AcquisitionView) -> None:
    assert json.dumps(image_settings(empty_view))
