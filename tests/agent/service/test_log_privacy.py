"""INFO logs hold no personal path and no sample name: an acquisition and a watched folder with telling names leave none."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from agent.logs import start_logging, stop_logging
from agent.service import Daemon
from agent.settings import AgentSettings

pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")

WAIT_S = 120.0
NAMES = ("Wintergruen", "patient-4711", "glioma", "Scope of")
PLAN = {"channels": [{"config": "DAPI", "exposure": 1.0}], "time_plan": {"interval": 0, "loops": 3}}


def test_demo_acquisition_leaves_no_name_in_the_logs(tmp_path):
    home = tmp_path / "Wintergruen"
    (home / "glioma images").mkdir(parents=True)
    settings = AgentSettings.model_validate(
        {
            "instrument": {"name": "Scope of Wintergruen"},
            "hardware": {"config_file": "demo"},
            "watch": {"folders": [str(home / "glioma images")], "settle_s": 0.2, "rescan_s": 0.5},
        }
    )
    data_dir = tmp_path / "data"
    daemon = Daemon(settings, data_dir)
    start_logging(settings.log, data_dir, "daemon")
    try:
        daemon.start()
        assert daemon.supervisor.wait_until_up(WAIT_S)
        output = home / "glioma images" / "patient-4711.ome.tiff"
        daemon.supervisor.call("acquire", WAIT_S, sequence=PLAN, output=str(output))
        daemon.supervisor.call("settle", WAIT_S)
        assert daemon.stop()
    finally:
        stop_logging()
    assert output.exists()
    logs = {path.name: path.read_text("utf-8") for path in Path(data_dir, "logs").glob("*.log")}
    lines = [
        line
        for name in ("daemon.log", "hardware.log")
        for line in logs[name].splitlines()
        if " INFO " in line
    ]
    assert any("hardware_loaded" in line for line in lines)
    told = [line for line in lines for name in (*NAMES, str(home)) if name.casefold() in line.casefold()]
    assert told == []
    user = getpass.getuser()
    assert user == "root" or not [line for line in lines if user in line.replace(str(tmp_path), "")]
