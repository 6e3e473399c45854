"""RO-Crate 1.2, judged by roc-validator without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.exports import Bundle, view_of
from agent.exports.crate import METADATA, all_files
from agent.exports.ro_crate import ro_crate
from agent.exports.view import AcquisitionView

Entities = dict[str, dict[str, Any]]


def entities(crate: dict[str, Any]) -> Entities:
    return {item["@id"]: item for item in crate["@graph"]}


@pytest.fixture
def graph(view: AcquisitionView) -> Entities:
    return entities(ro_crate(view))


def put(folder: Path, view: AcquisitionView) -> Path:
    files, _ = all_files(view)
    (folder / "demo").mkdir(parents=True)
    (folder / "demo" / "demo_p000.ome.tiff").write_bytes(b"")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.timeout(300)
def test_crates_are_valid_and_a_broken_one_is_not(
    tmp_path: Path,
    roc_validator: Callable[..., list[list[str]]],
    view: AcquisitionView,
    empty_view: AcquisitionView,
) -> None:
    full, empty, broken = (
        put(tmp_path / name, one) for name, one in (("a", view), ("b", empty_view), ("c", view))
    )
    metadata = broken / METADATA
    metadata.write_text(metadata.read_text("utf-8").replace('"license"', '"licens"'), encoding="utf-8")
    found = roc_validator(full, empty, broken)
    assert found[:2] == [[], []]
    assert any("license" in text for text in found[2])


def test_acquisition_is_an_action_with_the_microscope_as_instrument(
    view: AcquisitionView, graph: Entities
) -> None:
    action = graph[f"#acquisition-{view.bundle.finished.acquisition_id}"]
    assert action["@type"] == "CreateAction"
    assert {"@id": "https://doi.org/10.5442/NI000001"} in action["instrument"]
    microscope = graph["https://doi.org/10.5442/NI000001"]
    assert microscope["@type"] == "IndividualProduct" and microscope["serialNumber"] == "541203"
    assert action["result"] == {"@id": "demo/"}
    assert graph["demo/"]["sha256"] == view.bundle.finished.files[0].sha256


def test_people_organisation_licence_and_qc_are_in_the_crate(view: AcquisitionView, graph: Entities) -> None:
    assert graph["https://orcid.org/0000-0002-1825-0097"]["familyName"] == "Carberry"
    assert graph["./"]["license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}
    assert "https://ror.org/05a28rw58" in graph
    (run,) = {result.run_id for result in view.bundle.qc}
    assert graph[f"#qc-{run}"]["@type"] == "CreateAction"


def test_grant_has_its_number_and_funder(view: AcquisitionView, graph: Entities) -> None:
    (stated,) = view.bundle.profile.grants
    grant = graph[graph["./"]["funding"]["@id"]]
    assert grant["@type"] == "Grant" and grant["identifier"] == stated.number
    assert graph[grant["funder"]["@id"]]["name"] == stated.funder


def test_qc_that_held_is_in_the_crate_and_so_is_its_absence(
    graph: Entities, empty_view: AcquisitionView
) -> None:
    assert graph["#qc-of-light-path-1"]["value"].startswith("valid QC: 1 figure of psf")
    assert entities(ro_crate(empty_view))["#qc"]["value"].startswith("no valid QC")


def test_every_reference_within_the_crate_is_there(
    view: AcquisitionView, empty_view: AcquisitionView
) -> None:
    for one in (view, empty_view):
        crate = entities(ro_crate(one))
        for item in crate.values():
            for key, value in item.items():
                for ref in value if isinstance(value, list) else [value]:
                    if isinstance(ref, dict) and key != "conformsTo":
                        assert ref["@id"] in crate, (item["@id"], key)


def test_people_without_consent_are_not_in_the_crate(bundle: Bundle) -> None:
    (person,) = bundle.profile.people
    silent = bundle.profile.model_copy(
        update={"people": (person.model_copy(update={"has_consented": False}),)}
    )
    assert "Carberry" not in json.dumps(ro_crate(view_of(replace(bundle, profile=silent))))


def test_no_path_of_the_acquisition_computer_is_in_the_crate(view: AcquisitionView) -> None:
    assert "D:\\\\" not in json.dumps(ro_crate(view)) and "D:/" not in json.dumps(ro_crate(view))


def test_failed_acquisition_says_so(bundle: Bundle) -> None:
    finished = bundle.finished.model_copy(update={"reason": type(bundle.finished.reason)("interrupted")})
    crate = entities(ro_crate(view_of(replace(bundle, finished=finished))))
    assert crate[f"#acquisition-{finished.acquisition_id}"]["actionStatus"].endswith("FailedActionStatus")
