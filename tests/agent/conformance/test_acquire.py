"""The small acquisition: light as allowed, and everything as it was afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import CaptureError

SEQUENCE = {
    "channels": [{"group": "Channel", "config": "FITC"}],
    "time_plan": {"interval": 0, "loops": 2},
    "z_plan": {"range": 2.0, "step": 1.0},
}
FOLLOWED = [
    ("Core", "AutoShutter"),
    ("Core", "Shutter"),
    ("Dichroic", "Label"),
    ("White Light Shutter", "State"),
]


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    import os

    monkeypatch.setenv("PATH", os.environ["PATH"])  # every core adds its adapter folder to it
    from drivers.mmcore import load_core, release_callback

    core = load_core("demo", (), None)
    yield core
    core.unloadAllDevices()
    release_callback(core)


@pytest.mark.parametrize("was_open", [False, True])
@pytest.mark.parametrize("may_light", [False, True])
def test_shutter_opens_only_when_light_is_allowed(
    core: Any, tmp_path: Path, may_light: bool, was_open: bool
) -> None:
    from agent.conformance.acquire import captured_acquisition

    opened: list[bool] = []
    core.mda.events.frameReady.connect(lambda image, event: opened.append(core.getAutoShutter()))
    core.setXYPosition(12.0, 34.0)
    core.setPosition(5.0)
    core.setShutterOpen("White Light Shutter", was_open)
    before = [core.getProperty(*key) for key in FOLLOWED]
    records = captured_acquisition(core, SEQUENCE, [], tmp_path, 30.0, may_light=may_light)
    assert opened == [may_light] * 6
    assert [core.getProperty(*key) for key in FOLLOWED] == before
    assert core.getPosition() == pytest.approx(5.0, abs=0.02)
    assert core.getXYPosition() == pytest.approx((12.0, 34.0), abs=0.02)
    (finished,) = [record for record in records if record["kind"] == "acquisition_finished"]
    assert finished["frames"] == {"expected": 6, "seen": 6, "unstamped": 0, "dropped": 0}
    assert finished["qc"]["light_paths"][0]["is_valid"] is False


def test_adapter_that_cannot_acquire_is_told(core: Any, tmp_path: Path) -> None:
    from agent.conformance.acquire import captured_acquisition

    core.setCameraDevice("")
    with pytest.raises(CaptureError, match="has no camera"):
        captured_acquisition(core, SEQUENCE | {"channels": []}, [], tmp_path, 30.0, may_light=False)
