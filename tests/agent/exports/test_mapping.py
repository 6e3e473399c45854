"""The mapping file against the standards it names and the models it maps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from agent.exports import load_mapping
from agent.exports.mapping_page import mapping_page
from agent.records import Part, Profile, _parts, _profile
from qc_routines.catalogue import ROUTINES

MAPPING = load_mapping()
SECTIONS = {name for name, _ in Profile().sections()} | {"stand"}


def models() -> dict[str, type[Part]]:
    found = {}
    for name, field in Profile.model_fields.items():
        kinds = [item for item in (field.annotation, *get_args(field.annotation)) if isinstance(item, type)]
        parts = [item for item in kinds if issubclass(item, Part)]
        if parts:
            found[name] = parts[0]
    return found


def test_every_field_of_a_part_exists_in_our_models() -> None:
    for nbo, fields in MAPPING.fields.items():
        found = MAPPING.class_named(nbo)
        assert found is not None
        for field in fields if found.section != "settings" else ():
            section, _, attribute = field.field.partition(".")
            if section in SECTIONS and attribute:
                assert attribute in models()[section].model_fields, field


def test_every_name_and_tier_is_the_standards_own(schemas: dict[str, dict[str, Any]]) -> None:
    for nbo, fields in MAPPING.fields.items():
        schema = schemas[f"{nbo}.json"]
        for field in fields:
            assert field.key in schema["properties"], field.nbo
            assert field.tier == (schema["properties"][field.key].get("tier") or 1), field.nbo
            assert field.required == (field.key in schema["required"]), field.nbo
            assert not field.unit_key or field.unit_key in schema["properties"], field.nbo


def test_every_required_field_is_in_the_mapping(schemas: dict[str, dict[str, Any]]) -> None:
    for nbo, fields in MAPPING.fields.items():
        required = set(schemas[f"{nbo}.json"].get("required", ())) - {"ID", "Tier"}
        assert required <= {field.key for field in fields}, nbo


def test_every_term_of_nbo_is_one_it_allows(schemas: dict[str, dict[str, Any]]) -> None:
    for nbo, fields in MAPPING.fields.items():
        for field in fields:
            allowed = schemas[f"{nbo}.json"]["properties"][field.key].get("enum")
            if field.terms and allowed and nbo != "ImmersionLiquid":
                words = {word["nbo"] for word in MAPPING.terms[field.terms].values() if "nbo" in word}
                assert words <= set(allowed), field.nbo


def test_our_terms_are_those_of_the_models() -> None:
    for terms, literal in (
        ("immersion", _parts.Immersion),
        ("correction", _parts.Correction),
        ("modulation", _parts.Modulation),
        ("filter_type", _parts.FilterType),
        ("coating", _parts.Coating),
        ("location", _parts.FilterLocation),
        ("attenuation", _parts.Attenuation),
        ("encoder", _parts.Encoder),
        ("shutter_mode", _parts.ShutterMode),
        ("stand_type", _parts.StandType),
        ("origin", _parts.Origin),
        ("mechanism", _parts.Mechanism),
        ("modality", _profile.Modality),
    ):
        assert set(MAPPING.terms[terms]) == set(get_args(literal)), terms


def test_calibration_fields_are_the_standards_own(standards: Any) -> None:
    text = (standards / "nbo" / "nbo-2.01.1.xsd").read_text("utf-8")
    for row in MAPPING.qc:
        for key in ("nbo", "theory"):
            if row.get(key):
                nbo, _, field = row[key].partition(".")
                assert f'name="{nbo}"' in text and f'name="{field}"' in text, row


def test_microscopemetrics_columns_are_its_own(standards: Any) -> None:
    text = "".join(
        path.read_text("utf-8") for path in (standards / "microscopemetrics" / "analyses").glob("*.yaml")
    )
    columns = [row["microscopemetrics"] for row in MAPPING.qc if row.get("microscopemetrics")]
    assert len(columns) > 40
    assert not [name for name in columns if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("row", MAPPING.qc, ids=lambda row: f"{row['routine']}.{row['metric']}")
def test_figures_are_those_of_the_routines(row: dict[str, Any]) -> None:
    if row["routine"] not in ROUTINES:
        pytest.skip(f"the routine {row['routine']} is not in the catalogue yet")
    assert row["metric"] in ROUTINES[row["routine"]].figures


def test_fbbi_terms_are_its_own(standards: Any) -> None:
    lines = (standards / "ontologies" / "fbbi_terms.tsv").read_text("utf-8").splitlines()
    labels = {line.split("\t")[0].rpartition("/")[2]: line.split("\t")[1] for line in lines[2:]}
    for name, words in MAPPING.terms["modality"].items():
        if "fbbi" in words:
            assert labels[words["fbbi"]] == words["label"], name


def test_page_of_the_documentation_is_of_this_mapping() -> None:
    page = Path(__file__).parents[3] / "docs" / "mapping.md"
    assert page.read_text("utf-8") == mapping_page(), (
        "run `python -m agent.exports.mapping_page > docs/mapping.md`"
    )
