"""Micro-Manager's demo hardware has no errors, and is left as it was found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.exports import FORMATS


def conformance(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from agent.cli import main; main()", "conformance", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_demo_hardware_has_no_errors(demo):
    assert [item for item in demo.findings if item.severity == "error"] == []


def test_reads_are_timed(demo):
    assert len(demo.reads) > 100
    assert all(read.status == "ok" and read.median_ms is not None for read in demo.reads)


def test_standard_properties_are_found(demo):
    camera = next(offer for offer in demo.offers if offer.device == "Camera")
    assert camera.offered["exposure"] == "Exposure"
    assert camera.offered["temperature"] == "CCDTemperature"
    assert camera.lacking == ("actual exposure",)


def test_every_property_that_was_set_is_put_back(demo):
    last = {(trial.facts.device, trial.facts.name): trial for trial in demo.trials}
    assert {("Camera", "Binning"), ("Dichroic", "Label")} <= last.keys()
    assert all(trial.is_restore and trial.status == "ok" for trial in last.values())


def test_stages_move_a_little_and_back(demo):
    moves = {move.device: move for move in demo.moves}
    assert moves.keys() == {"Z", "XY"}
    assert all(move.is_back and move.notified_ms is not None for move in moves.values())
    assert all(abs(move.moved_um - 2.0) < 0.1 for move in moves.values())


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("Objective", "may move: allow it with --move"),
        ("White Light Shutter", "may give light: allow it with --light"),
    ],
)
def test_what_may_do_harm_is_left_alone(demo, device, why):
    assert why in {item.why for item in demo.left_alone if item.device == device}
    assert not [trial for trial in demo.trials if trial.facts.device == device]


def test_no_preset_turns_the_objectives(demo):
    assert {trial.group for trial in demo.presets} == {"Camera", "Channel", "LightPath"}


def test_standards_say_what_is_missing_and_who_knows(demo):
    for scope in ("instrument", "acquisition"):
        of_scope = [item for item in demo.coverage if item.scope == scope]
        tiers = {item.tier: item for item in of_scope if item.standard == "4DN-BINA-OME"}
        assert 0 < tiers[1].n_present < tiers[1].n_required
    assert {gap.who for gap in demo.gaps} <= {"agent", "facility", "operator", "vendor", "qc"}
    assert any(gap.name == "Objective.LensNA" and gap.who == "facility" for gap in demo.gaps)
    assert any(item.name.startswith("Objective.Magnification") for item in demo.filled)


def test_small_acquisition_shows_what_becomes_of_channels_and_planes(demo):
    assert (demo.acquisition.status, demo.acquisition.n_frames, demo.acquisition.n_expected) == ("ok", 12, 12)
    assert demo.acquisition.channels == ("Cy5", "DAPI")
    assert demo.acquisition.problems == ()
    filled = {item.name for item in demo.filled}
    assert {"Plane.PositionZ", "Pixels.PhysicalSizeX", "CameraSettings.Binning", "Channel.Name"} <= filled
    gaps = {gap.name: gap.who for gap in demo.gaps}
    assert gaps["CameraSettings.PixelReadOutRate"] == "vendor"
    assert gaps["LightSourceSettings.IlluminationPowerSettings"] == "facility"
    assert gaps["Channel.IlluminationType"] == "facility"
    checklists = {item.standard for item in demo.coverage if item.standard.endswith("checklist")}
    assert checklists == {"WG11 checklist", "REMBI checklist"}


def test_acquisition_is_written_in_every_format(demo):
    assert {item.name for item in demo.exports} == set(FORMATS)
    assert {item.name for item in demo.exports if not item.size_bytes and not item.error} == {
        "microscopemetrics"
    }


def test_command_writes_its_files_and_ends_with_0(tmp_path: Path):
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    junit_file = tmp_path / "ci" / "junit.xml"
    done = conformance(
        "--cfg", "demo", "--json", "--notification-ms", "5", "--out", str(tmp_path / "out"), "--junit", str(junit_file)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["configuration"] == "demo"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "conformance.html",
        "conformance.json",
        "junit.xml",
    }
    assert junit_file.is_file()


def test_command_ends_with_1_when_it_could_not_run(tmp_path: Path):
    done = conformance("--cfg", str(tmp_path / "nowhere.cfg"))
    assert done.returncode == 1
    assert "nowhere.cfg was not found" in " ".join(done.stderr.split())


def test_command_without_hardware_says_what_to_give():
    done = conformance()
    assert done.returncode == 1
    assert "--cfg" in done.stderr


def test_command_ends_with_3_when_errors_are_found(tmp_path: Path, monkeypatch):
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    cfg = tmp_path / "coupled.cfg"
    cfg.write_text(
        "Property,Core,Initialize,0\n#py pyDevice,Pair,faulty_devices,Coupled\nProperty,Core,Initialize,1\n"
    )
    done = conformance("--cfg", str(cfg), "--notification-ms", "5")
    assert done.returncode == 3, done.stderr
    assert "reads back" in " ".join(done.stdout.split())


def test_profile_fills_the_standards(tmp_path: Path):
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    profile = Path(__file__).parents[3] / "config" / "instrument.toml"
    done = conformance("--cfg", "demo", "--profile", str(profile), "--notification-ms", "5", "--json")
    coverage = [item for item in json.loads(done.stdout)["coverage"] if item["scope"] == "instrument"]
    tiers = {item["tier"]: item for item in coverage if item["standard"] == "4DN-BINA-OME"}
    assert tiers[1]["n_present"] > 0.9 * tiers[1]["n_required"]
