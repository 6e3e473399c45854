"""`qc analyse` keeps what it finds like a run, says that it came from files, and publishes it in the agent's name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from agent.cli import app
from agent.outbox import Identity
from agent.outbox.inspect import lines
from agent.quality.history import History
from agent.records import QcResult

QC = CliRunner()


@pytest.fixture
def field(tmp_path: Path) -> Path:
    y, x = np.ogrid[-1:1:96j, -1:1:130j]
    light = np.random.default_rng(2).poisson(100 + 9000 * np.exp(-(y**2 + x**2) / 6)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "field.tif", light)
    return tmp_path / "field.tif"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "agent.toml").write_text('data_dir = "data"\n', "utf-8")
    return tmp_path / "agent.toml"


def analyse(field: Path, *options: str) -> dict[str, Any]:
    command = ["qc", "analyse", "illumination", str(field), "--set", "offset_adu=100", "--json", *options]
    done = QC.invoke(app, command)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def published(data: Path) -> list[str]:
    segments = sorted((data / "spool").rglob("*.seg"))
    records = [line["record"] for path in segments for line in lines(path) if "record" in line]
    return [record["run_id"] for record in records if record["kind"] == "qc_result"]


def kept(data: Path) -> list[QcResult]:
    return History(data).runs("illumination")


def test_result_is_kept_with_the_files_it_is_from(field: Path, tmp_path: Path):
    told = analyse(field, "--data", str(tmp_path / "data"))
    (run,) = kept(tmp_path / "data")
    assert str(run.run_id) == told["run_id"]
    assert run.parameters["analysed_from_files"] is True
    sha256 = hashlib.sha256(field.read_bytes()).hexdigest()
    assert ("field.tif", sha256) in [(file.name, file.sha256) for file in run.inputs]
    assert History(tmp_path / "data").measurement(run) is not None
    assert published(tmp_path / "data") == []


def test_result_is_published_in_the_agents_name_when_there_is_one(field: Path, config: Path, tmp_path: Path):
    told = analyse(field, "--config", str(config))
    assert published(tmp_path / "data") == [told["run_id"]]
    identity = Identity.load_or_create(tmp_path / "data")
    (run,) = kept(tmp_path / "data")
    assert (run.instrument_id, run.producer.agent_id) == (identity.instrument_id, identity.agent_id)
    assert told["instrument_id"] == identity.instrument_id


def test_result_is_not_published_when_told_so(field: Path, config: Path, tmp_path: Path):
    analyse(field, "--config", str(config), "--no-publish")
    assert (len(kept(tmp_path / "data")), published(tmp_path / "data")) == (1, [])


def test_result_is_not_kept_when_told_so(field: Path, config: Path, tmp_path: Path):
    analyse(field, "--config", str(config), "--no-keep")
    assert (kept(tmp_path / "data"), published(tmp_path / "data")) == ([], [])
