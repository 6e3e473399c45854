"""`scopestamp export`, `completeness` and `enrich`, as their users meet them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ome_types
import pytest
from typer.testing import CliRunner

from agent.cli import app

RECORDS = Path(__file__).parent / "records"
PROFILE = Path(__file__).parents[3] / "config" / "instrument.toml"
RECORD = str(RECORDS / "demo.scopestamp.json")


def test_export_writes_to_the_screen_or_a_file(tmp_path: Path) -> None:
    out = tmp_path / "a.ome.xml"
    result = CliRunner().invoke(
        app, ["export", "ome-xml", RECORD, "--profile", str(PROFILE), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    ome_types.validate_xml(out.read_bytes())
    shown = CliRunner().invoke(app, ["export", "methods", RECORD, "--language", "de"])
    assert shown.exit_code == 0 and shown.output.startswith("# Methoden")


def test_export_list_names_every_format() -> None:
    result = CliRunner().invoke(app, ["export", "list"])
    assert result.exit_code == 0 and "ro-crate" in result.output and "PIDINST 1.0" in result.output


def test_export_all_writes_a_crate(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", "all", RECORD, "--out", str(tmp_path / "crate")])
    assert result.exit_code == 0, result.output
    graph = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_bytes())["@graph"]
    names = {path.name for path in (tmp_path / "crate").iterdir()} - {"ro-crate-metadata.json"}
    assert names <= {item["@id"] for item in graph}
    assert "left out: datacite" in result.output
    assert {"demo.p000.settings.json", "demo.p001.settings.json", "demo.nxs"} <= names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "docx", RECORD], "came 'docx'"),
        (["export", "methods", RECORD, "--language", "la"], "came 'la'"),
        (["export", "ome-xml", "nothing.json"], "cannot be read"),
        (["export", "ome-xml", RECORD, "--profile", "nothing.toml"], "no valid profile"),
        (["completeness", "nothing.json"], "cannot be read"),
        (["enrich", "nothing.ome.tiff"], "cannot be read"),
    ],
)
def test_what_fails_says_why_and_exits_with_1(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert words in result.output


def test_completeness_lists_what_is_missing_and_who_can_supply_it() -> None:
    result = CliRunner().invoke(app, ["completeness", RECORD])
    assert result.exit_code == 0, result.output
    assert (
        "missing  Objective.LensNA  (objectives of this light path; facility can supply it)" in result.output
    )
    as_json = CliRunner().invoke(app, ["completeness", RECORD, "--profile", str(PROFILE), "--json"])
    assert json.loads(as_json.output)["scores"][0]["percent"] > 90


def test_enrich_finds_the_record_beside_the_data(tmp_path: Path) -> None:
    group = tmp_path / "demo"
    group.mkdir()
    (group / "zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "group", "attributes": {}}', encoding="utf-8"
    )
    shutil.copy(RECORD, tmp_path)
    first, second = (CliRunner().invoke(app, ["enrich", str(group)]) for _ in range(2))
    assert "METADATA.ome.xml" in first.output, first.output
    assert "nothing to do" in second.output
