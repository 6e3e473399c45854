"""The worst night, end to end: everything is killed in the middle of an acquisition, and the collector was away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.clock import Clock
from agent.demo.collector import LocalCollector
from agent.outbox import Identity, enrol
from agent.service import Daemon
from agent.settings import AgentSettings

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

WAIT_S = 60.0
N_SEEN = 12
# Runs a daemon with the collector away, starts a long acquisition, and says how many frames are in the ledger.
NIGHT = """
import sys, threading
from pathlib import Path
from agent.errors import HardwareError
from agent.service import Daemon
from agent.settings import AgentSettings
data = Path(sys.argv[1])
daemon = Daemon(AgentSettings.model_validate(
    {"hardware": {"config_file": "demo"}, "collector": {"url": "http://127.0.0.1:9"}}), data / "agent")
daemon.start()
assert daemon.supervisor.wait_until_up(60)
sequence = {"channels": [{"config": "DAPI", "exposure": 20}], "time_plan": {"interval": 0, "loops": 5000}}
def acquire():
    try:
        daemon.supervisor.call("acquire", 600, sequence=sequence, output=str(data / "night.ome.zarr"))
    except HardwareError:
        pass
threading.Thread(target=acquire, daemon=True).start()
while True:
    print(daemon.supervisor.call("ping", 10)["n_frames"], flush=True)
"""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[LocalCollector]:
    with LocalCollector(tmp_path / "collector", tmp_path / "collector.log") as running:
        yield running


def _night_that_ends_badly(folder: Path) -> int:
    """Kill daemon and hardware process in the middle of an acquisition; return how many frames they had stamped."""
    with subprocess.Popen(
        [sys.executable, "-c", NIGHT, str(folder)], stdout=subprocess.PIPE, text=True
    ) as night:
        assert night.stdout is not None
        n_seen = next(int(line) for line in night.stdout if int(line) >= N_SEEN)
        family = [psutil.Process(night.pid), *psutil.Process(night.pid).children(recursive=True)]
        for process in reversed(family):
            process.kill()
        psutil.wait_procs(family, timeout=WAIT_S)
    return n_seen


def test_killed_acquisition_reaches_the_collector_as_interrupted(tmp_path, collector):
    n_seen = _night_that_ends_badly(tmp_path)
    data = tmp_path / "agent"
    identity = Identity.load_or_create(data)
    enrol(identity, collector.url, collector.join_code("Night"), instrument_name="Night", clock=Clock())
    morning = Daemon(AgentSettings.model_validate({"hardware": {"config_file": "demo"}}), data)
    morning.start()
    assert morning.supervisor.wait_until_up(WAIT_S)
    morning.supervisor.call("settle", WAIT_S)
    assert morning.stop()
    (found,) = collector.get(f"/v1/instruments/{identity.instrument_id}/acquisitions")["acquisitions"]
    assert found["reason"] == "interrupted"
    assert found["n_seen"] >= n_seen
    assert found["n_in_ledger"] == found["n_seen"]
    record = collector.get(f"/v1/records/{found['finished_record_id']}")["record"]
    assert record["files"][0]["format"] == "ome-zarr"
    assert "after" not in record
    assert (tmp_path / "night.ome.zarr.scopestamp.json").is_file()
    events = [
        collector.get(f"/v1/records/{entry['record_id']}")["record"]["event"]
        for entry in collector.get("/v1/records", kind="agent_event", limit=100)["records"]
    ]
    assert events.count("agent_started") == 2
    assert events.count("agent_stopped") == 1
    assert not any(path.is_dir() for path in (data / "open").iterdir())


def test_crashed_adapter_loses_no_record(tmp_path, collector):
    data = tmp_path / "agent"
    identity = Identity.load_or_create(data)
    enrol(identity, collector.url, collector.join_code("Crash"), instrument_name="Crash", clock=Clock())
    settings = AgentSettings.model_validate(
        {
            "hardware": {"config_file": "demo", "restart_backoff_s": 0.1},
            "collector": {"heartbeat_interval_s": 1},
        }
    )
    daemon = Daemon(settings, data)
    daemon.start()
    try:
        assert daemon.supervisor.wait_until_up(WAIT_S)
        daemon.supervisor.call("set_property", 30, device="Camera", property="Gain", value="7")
        daemon.supervisor.call("settle", WAIT_S)
        marks = daemon.supervisor.call("spools", 30)
        with pytest.raises(Exception, match="hardware process"):
            daemon.supervisor.call(
                "set_property",
                30,
                device="Camera",
                property="SimulateCrash",
                value="Dereference Null Pointer",
            )
        assert daemon.supervisor.wait_for_restart(1, WAIT_S)
        daemon.supervisor.call("settle", WAIT_S)
    finally:
        assert daemon.stop()
    held = {spool["spool_id"]: spool["mark"] for spool in collector.get("/v1/spools")}
    assert {spool: held.get(spool) for spool in marks} == marks
    events = [
        collector.get(f"/v1/records/{entry['record_id']}")["record"]
        for entry in collector.get("/v1/records", kind="agent_event", limit=100)["records"]
    ]
    crash = next(event for event in events if event["event"] == "hardware_process_crashed")
    assert crash["severity"] == "error"
    if os.name == "posix":
        assert "exit code -11" in crash["message"]
