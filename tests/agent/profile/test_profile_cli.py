"""`scopestamp profile`, as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.profile import load_profile
from agent.profile.cli import app

ROOT = Path(__file__).parents[3]
RECORD = Path(__file__).parents[1] / "exports" / "records" / "instrument.json"


def test_new_writes_a_profile_that_check_reads(tmp_path: Path) -> None:
    out = tmp_path / "instrument.toml"
    assert CliRunner().invoke(app, ["new", str(RECORD), "--out", str(out)]).exit_code == 0
    result = CliRunner().invoke(app, ["check", str(out), "--instrument", str(RECORD)])
    assert result.exit_code == 0, result.output
    assert "Objective.LensNA is asked for" in result.output
    assert "guess" in result.output


def test_check_of_a_wrong_profile_tells_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[stand]\nname = "x"\n[[objectives]]\nname = "o"\nna = 9.0\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    assert "line 5: objectives[1].na" in result.output


def test_check_as_json_of_the_example_finds_nothing_grave() -> None:
    result = CliRunner().invoke(
        app, ["check", str(ROOT / "config" / "instrument.toml"), "--instrument", str(RECORD), "--json"]
    )
    assert result.exit_code == 0
    assert all(item["level"] == "missing" for item in json.loads(result.output))


def test_import_reads_a_real_microscope(tmp_path: Path) -> None:
    folder = ROOT / ".." / "shared" / "standards" / "micro-meta-app" / "examples"
    if not folder.is_dir():
        pytest.skip("the standards' files are not there: expected ../shared/standards beside the repository")
    out = tmp_path / "axiovert.toml"
    result = CliRunner().invoke(
        app, ["import", str(folder / "abif_axiovert1.microscope.json"), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    profile = load_profile(out)
    assert len(profile.objectives) == 5 and profile.objectives[3].na == 1.4


@pytest.mark.parametrize("content", ["{}", "no json", '[{"a": 1}]'])
def test_import_refuses_what_is_no_microscope(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    result = CliRunner().invoke(app, ["import", str(path)])
    assert result.exit_code == 1
    assert "microscope file of Micro-Meta App" in result.output


def test_schema_is_json() -> None:
    assert json.loads(CliRunner().invoke(app, ["schema"]).output)["$id"].startswith("urn:scopestamp")


def test_new_refuses_a_record_of_another_kind(tmp_path: Path) -> None:
    golden = ROOT / "tests" / "data" / "golden" / "heartbeat.v1.0.json"
    result = CliRunner().invoke(app, ["new", str(golden)])
    assert result.exit_code == 1
    assert "record of an instrument" in result.output
