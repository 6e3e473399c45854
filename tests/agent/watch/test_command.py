"""``scopestamp watch --once``: a user's first try, without an agent and without a trace."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import ScopestampError

LONG_AGO_S = 1_700_000_000


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["watch", *map(str, arguments)], catch_exceptions=True)


def test_once_lists_what_is_there_and_leaves_no_trace(tmp_path: Path, write_tiff: Any, studio: Any) -> None:
    write_tiff(tmp_path / "a.ome.tif", n_pages=3)
    half = studio(tmp_path / "run_1", 4)
    half.frame()
    half.die(n_bytes_lost=10)
    for path in tmp_path.rglob("*"):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    write_tiff(tmp_path / "new.tif")
    before = sorted(tmp_path.rglob("*"))
    done = run("--once", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    found = {Path(item["path"]).name: item for item in json.loads(done.stdout)}
    assert {name: item["completeness"] for name, item in found.items()} == {
        "a.ome.tif": "complete",
        "run_1": "incomplete",
        "new.tif": "changing",
    }
    assert (found["a.ome.tif"]["n_frames"], found["a.ome.tif"]["n_frames_expected"]) == (3, 3)
    assert (found["run_1"]["n_frames"], found["run_1"]["n_frames_expected"]) == (0, 4)
    assert sorted(tmp_path.rglob("*")) == before


def test_once_shows_a_table_to_a_person(tmp_path: Path, write_tiff: Any) -> None:
    path = write_tiff(tmp_path / "a.ome.tif", n_pages=3)
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    said = run("--once", tmp_path).stdout
    assert "a.ome.tif" in said
    assert "3 of 3" in said


@pytest.mark.parametrize("arguments", [("--once", "no such folder"), (".",)])
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert isinstance(done.exception, ScopestampError)
