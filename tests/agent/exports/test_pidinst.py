"""PIDINST and DataCite against their own schemas."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from lxml import etree

from agent.exports import ExportError
from agent.exports.datacite import datacite, datacite_xml
from agent.exports.pidinst import pidinst
from agent.profile import read_profile
from agent.records import Profile

RICH = """
[instrument]
name = "顕微鏡 1"
pid = "21.T11998/0000-001A-3905-F"
landing_page = "https://example.org/m"
owners = [{ name = "Łódź", url = "https://example.org" }, { name = "B" }]
manufacturers = [{ name = "Nikon" }]
model = "Ti2"
model_pid = "RRID:SCR_018315"
serial_number = "1"
inventory_number = "2"
commissioned = 2020-01-01
decommissioned = 2025-01-01
measured_variables = ["intensity", "position"]
related = [{ identifier = "10.5442/NI000002", relation = "HasComponent", name = "camera" }]
[facility]
name = "F"
rrid = "SCR_018315"
"""


def pidinst_problems(standards: Path, profile: Profile) -> list[str]:
    schema = json.loads((standards / "pidinst" / "pidinst-schema-1_0.schema.json").read_text("utf-8"))
    value = json.loads(json.dumps(pidinst(profile, "ins-1")))
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(value)]


@pytest.mark.parametrize("text", ["", RICH], ids=["empty", "rich"])
def test_pidinst_is_valid(standards: Path, text: str) -> None:
    assert pidinst_problems(standards, read_profile(text)) == []


def test_pidinst_of_the_example_is_valid(standards: Path, profile: Profile) -> None:
    assert pidinst_problems(standards, profile) == []
    assert pidinst(profile, "x")["identifier"] == {
        "identifier": "https://doi.org/10.5442/NI000001",
        "identifierType": "DOI",
    }


@pytest.fixture
def rich() -> Profile:
    return read_profile(RICH.replace("21.T11998/0000-001A-3905-F", "10.5442/NI000001"))


def test_datacite_json_is_valid(standards: Path, profile: Profile, rich: Profile) -> None:
    schema = json.loads((standards / "datacite" / "datacite-v4.5.json").read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    for one in (profile, rich):
        assert [
            error.message for error in validator.iter_errors(json.loads(json.dumps(datacite(one, "x"))))
        ] == []


def test_datacite_xml_is_valid(standards: Path, profile: Profile, rich: Profile) -> None:
    schema = etree.XMLSchema(etree.parse(standards / "datacite" / "kernel-4.7" / "metadata.xsd"))
    for one in (profile, rich):
        assert schema.validate(etree.fromstring(datacite_xml(one, "x"))), schema.error_log


def test_datacite_keeps_model_and_parts(rich: Profile) -> None:
    record = datacite(rich, "x")
    assert {"descriptionType": "TechnicalInfo"}.items() <= record["descriptions"][-1].items()
    assert "Model Name: Ti2" in record["descriptions"][-1]["description"]
    assert record["relatedIdentifiers"][0]["relationType"] == "HasPart"
    assert record["dates"][0]["date"] == "2020-01-01/2025-01-01"


@pytest.mark.parametrize("text", ["", RICH], ids=["without identifier", "handle"])
def test_datacite_refuses_an_instrument_without_doi(text: str) -> None:
    with pytest.raises(ExportError, match="expects an instrument with a DOI"):
        datacite(read_profile(text), "x")


def test_datacite_xml_refuses_an_instrument_without_year() -> None:
    with pytest.raises(ExportError, match="year of registration"):
        datacite_xml(read_profile('[instrument]\npid = "10.5442/NI000001"\n'), "x")
