"""Exports for archives and databases."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from agent.exports import FORMATS, Bundle, ExportError, export, view_of
from agent.exports.catalogue_texts import fbbi_terms, omero_csv, rembi
from agent.exports.view import AcquisitionView
from agent.profile import read_profile


def test_rembi_is_valid(standards: Path, view: AcquisitionView, empty_view: AcquisitionView) -> None:
    schema = json.loads((standards / "rembi" / "ImageAcquisition.json").read_text("utf-8"))
    for one in (view, empty_view):
        jsonschema.validate(rembi(one), schema)
    assert rembi(view)["imaging_method"]["ontology_id"] == "FBbi_00000246"


def test_widefield_fluorescence_is_two_terms(view: AcquisitionView) -> None:
    assert [item["id"] for item in fbbi_terms(view)] == ["FBbi_00000246", "FBbi_00000277"]


def test_omero_csv_has_a_row_for_each_image(view: AcquisitionView) -> None:
    rows = list(csv.DictReader(io.StringIO(omero_csv(view).decode("utf-8-sig"))))
    assert [row["Image Name"] for row in rows] == ["demo A1", "demo A2"]
    assert rows[0]["objective.na"] == "0.6 [profile]"
    assert rows[0]["image.pixel_size_um"] == "0.25 um [device]"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_csv_has_no_cell_that_a_spreadsheet_takes_for_a_formula(bundle: Bundle, text: str) -> None:
    profile = read_profile(f'[instrument]\nname = "{text}"\n')
    data = omero_csv(view_of(replace(bundle, profile=profile))).decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(data)) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@" and cell]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written(view: AcquisitionView, name: str) -> None:
    assert export(name, view)


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("datacite")])
def test_every_format_is_written_of_an_empty_profile(empty_view: AcquisitionView, name: str) -> None:
    data = export(name, empty_view)
    assert data or name == "microscopemetrics"
    if FORMATS[name].media_type.endswith("json"):
        json.loads(data)


@pytest.mark.parametrize("name", FORMATS)
def test_export_is_a_pure_function(view: AcquisitionView, name: str) -> None:
    assert export(name, view) == export(name, view_of(view.bundle))


def test_unknown_format_is_refused(view: AcquisitionView) -> None:
    with pytest.raises(ExportError, match="came 'docx'"):
        export("docx", view)
