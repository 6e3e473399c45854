"""The hardware process over its real protocol, with the real core in it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent.errors import HardwareError
from agent.hardware.process import HardwareProcess

START_S = 60.0
NO_CAMERA = "Device,DHub,DemoCamera,DHub\nDevice,Z,DemoCamera,DStage\nProperty,Core,Initialize,1\n"
ONE_PLANE = {"channels": ["DAPI"], "z_plan": {"range": 2, "step": 1}}


def test_process_ends_with_exit_code_0(order):
    started = HardwareProcess(order())
    started.start(START_S)
    assert started.stop(START_S) == 0


def test_process_captures_what_it_runs(process, spooled, tmp_path):
    assert process.call("settle", 60) is True  # what is set before the first snapshot is no change
    process.call("set_property", 30, device="Camera", property="Gain", value="4")
    process.call("acquire", 60, sequence=ONE_PLANE, output=str(tmp_path / "a.ome.zarr"))
    assert process.call("settle", 60) is True
    assert process.call("ping", 10)["n_frames"] == 3
    records = spooled()
    changes = [change for record in records if record.kind == "state_change" for change in record.changes]
    gain = next(change for change in changes if (change.device, change.property) == ("Camera", "Gain"))
    assert (gain.before.value, gain.after.value, gain.cause) == (0, 4, "commanded")
    finished = next(record for record in records if record.kind == "acquisition_finished")
    assert (finished.reason, finished.frames.expected, finished.frames.seen) == ("completed", 3, 3)


def test_process_reads_every_property(process):
    readings = {(r["device"], r["property"]): r for r in process.call("read_all", 30)}
    assert readings["Objective", "Label"]["value"] == "Nikon 10X S Fluor"
    assert readings["Z", "@position"] | {"value": 0.0, "unit": "um"} == readings["Z", "@position"]


def test_process_tells_why_a_property_cannot_be_set(process):
    with pytest.raises(HardwareError, match=r"Camera-Binning could not be set to '3'"):
        process.call("set_property", 30, device="Camera", property="Binning", value="3")


def test_process_tells_why_a_sequence_is_none(process):
    with pytest.raises(HardwareError, match="not a useq-schema sequence"):
        process.call("acquire", 30, sequence={"channels": 5})


def test_process_answers_pings_while_it_acquires(process):
    sequence = {"channels": [{"config": "DAPI", "exposure": 400}], "time_plan": {"interval": 0, "loops": 50}}
    with pytest.raises(HardwareError, match="did not answer 'acquire' within 1 s"):
        process.call("acquire", 1, sequence=sequence)
    assert process.call("ping", 5)["is_acquiring"] is True
    process.call("cancel", 5)
    deadline = time.monotonic() + START_S
    while process.call("ping", 5)["is_acquiring"]:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("configuration", "says"),
    [
        ("nowhere.cfg", r"nowhere\.cfg was not found.*hardware\.config_file"),
        (
            "Device,Cam,DemoCamera,DCam\nDevice,Stand,NikonTi9,Ti9\nProperty,Core,Initialize,1\n",
            r"device adapters that are not installed: NikonTi9 \(line 2\)",
        ),
        (
            "Device,Cam,DemoCamera,DCam\nDevice,Cam\nProperty,Core,Initialize,1\n",
            r"scope\.cfg did not load.*said",
        ),
        (
            "Device,Cam,DemoCamera,NoSuchCamera\nProperty,Core,Initialize,1\n",
            r"scope\.cfg did not load.*NoSuchCamera",
        ),
    ],
    ids=["missing file", "missing adapter", "broken line", "missing device"],
)
def test_process_says_what_is_wrong_with_a_configuration(order, configuration, says):
    process = HardwareProcess(order(configuration))
    with pytest.raises(HardwareError, match=says):
        process.start(START_S)
    assert not process.is_alive


def test_process_without_camera_captures_state_and_refuses_to_acquire(order, spooled):
    process = HardwareProcess(order(NO_CAMERA))
    process.start(START_S)
    try:
        with pytest.raises(HardwareError, match="has no camera"):
            process.call("acquire", 30, sequence=ONE_PLANE)
        process.call("settle", 30)
    finally:
        process.stop(START_S)
    records = spooled()
    assert [record.event for record in records if record.kind == "agent_event"] == ["no_camera"]
    assert any(record.kind == "state_snapshot" for record in records)


def test_process_that_is_not_ready_in_time_is_ended(order):
    process = HardwareProcess(order())
    with pytest.raises(HardwareError, match=r"not loaded within 0\.001 s"):
        process.start(0.001)
    assert not process.is_alive


def test_process_ends_when_its_daemon_is_gone(order, tmp_path):
    order_file = tmp_path / "order.json"
    order_file.write_text(order().model_dump_json())
    script = (
        "import sys; from pathlib import Path\n"
        "from agent.hardware.order import ChildOrder; from agent.hardware.process import HardwareProcess\n"
        f"p = HardwareProcess(ChildOrder.model_validate_json(Path({str(order_file)!r}).read_text()))\n"
        "p.start(60); print(p.pid, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    ) as daemon:
        assert daemon.stdout is not None
        child = psutil.Process(int(daemon.stdout.readline()))
        daemon.kill()
    _, alive = psutil.wait_procs([child], timeout=30)
    assert not alive
