"""The instrument profile, from its file to the records of an acquisition."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.capture.setup import stated_by
from agent.clock import Clock
from agent.errors import ScopestampError
from agent.settings import AgentSettings

ROOT = Path(__file__).parents[3]
PROFILE = ROOT / "config" / "instrument.toml"


def stated(path: Path, **instrument: object):
    settings = AgentSettings.model_validate({"instrument": {"profile_file": str(path), **instrument}})
    return stated_by(settings.instrument, Clock().wall_at())


def test_profile_goes_before_the_keys_of_the_settings():
    found = stated(PROFILE, name="Old name", site="Room 1")
    assert found.nameplate["name"].value != "Old name"
    assert found.nameplate["site"].value == "Room 1"
    assert found.profile_sha256 == found.profile.sha256


def test_profile_that_cannot_be_read_says_where(tmp_path):
    broken = tmp_path / "instrument.toml"
    broken.write_text("[stand]\nmanufactuer = 'Nikon'\n")
    with pytest.raises(ScopestampError, match="manufactuer"):
        stated(broken)


def test_acquisition_points_to_the_profile_that_held(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.environ["PATH"])  # every core adds its adapter folder to it
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    from agent.capture import Capture
    from agent.mint import Mint
    from drivers.registry import open_driver

    class Shelf:
        def __init__(self):
            self.records = []

        def put(self, *records):
            self.records.extend(records)

    shelf, found = Shelf(), stated(PROFILE)
    driver = open_driver("mmcore", "demo")
    capture = Capture(driver, shelf, Mint("ins", "agt", Clock()), tmp_path, stated=found)
    capture.start()
    driver.acquire({"channels": ["DAPI"]}, None)
    assert capture.settle(30)
    assert capture.stop()
    driver.close()
    by_kind = {record.kind: record for record in shelf.records}
    assert by_kind["instrument_profile"].profile == found.profile
    assert by_kind["instrument"].profile_sha256 == found.profile.sha256
    assert by_kind["acquisition_finished"].profile_sha256 == found.profile.sha256
    objective = by_kind["instrument"].devices["Objective"].stated
    assert any(name.endswith("/numerical_aperture") or name.endswith("/na") for name in objective), sorted(
        objective
    )
