"""What is set is put back, also when one property changes another and when a person interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.conformance import Pace, Permission
from agent.conformance.exercise import exercise
from agent.conformance.process import Answer

PROPERTY = {
    "name": "Binning", "value_type": "integer", "is_read_only": False, "is_pre_init": False,
    "lower_limit": None, "upper_limit": None, "allowed_values": ["1", "2"],
}  # fmt: skip
CAMERA = {
    "label": "Cam", "device_type": "CameraDevice", "library": "", "adapter_name": "", "description": "",
    "state_labels": [], "properties": [PROPERTY],
}  # fmt: skip


class InterruptedBench:
    """A bench where a person presses Ctrl-C while the first value is set."""

    def __init__(self) -> None:
        self.values: list[str] = []

    def ask(self, name: str, deadline_s: float, **args: Any) -> Answer:
        if name == "describe":
            return Answer("ok", {"software": {}, "devices": [CAMERA], "presets": []})
        if name == "read":
            return Answer("ok", {"raw": "1", "took_ms": [0.1]})
        self.values.append(args["value"])
        if len(self.values) == 1:
            raise KeyboardInterrupt
        return Answer("ok", {"set_ms": 0.1, "read_back": args["value"], "notified_ms": None})


def test_interrupted_run_puts_back_what_it_was_setting():
    bench = InterruptedBench()
    with pytest.raises(KeyboardInterrupt):
        exercise(bench, Permission(), Pace())  # type: ignore[arg-type]
    assert bench.values == ["2", "1"]


def test_properties_that_change_each_other(run, tmp_path):
    path = tmp_path / "coupled.cfg"
    path.write_text(
        "Property,Core,Initialize,0\n#py pyDevice,Pair,faulty_devices,Coupled\nProperty,Core,Initialize,1\n"
    )
    report = run(str(path))
    last = {trial.facts.name: trial for trial in report.trials}
    assert (last["Mode"].read_back, last["Depth"].read_back) == ("Slow", "16")
    errors = [item for item in report.findings if item.severity == "error"]
    assert [item.check for item in errors] == ["restore"]
    assert errors[0].property in ("Left", "Right")
    assert "set to '1', reads back '2'" in errors[0].text


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither named pipes in folders nor SIGTERM")
def test_terminated_run_puts_back_what_it_was_setting(tmp_path, monkeypatch):
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    pipe, cfg = tmp_path / "pipe", tmp_path / "telling.cfg"
    os.mkfifo(pipe)
    cfg.write_text(
        "Property,Core,Initialize,0\n#py pyDevice,Telling,faulty_devices,Telling\nProperty,Core,Initialize,1\n"
    )
    monkeypatch.setenv("SCOPESTAMP_TEST_PIPE", str(pipe))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    told = os.open(pipe, os.O_RDWR)  # held open by us too, so that it outlives each writer
    command = (
        "from agent.cli import main; main()",
        "conformance",
        "--cfg",
        str(cfg),
        "--notification-ms",
        "3000",
    )
    with subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.DEVNULL) as run:
        try:
            first = os.read(told, 2)
            run.send_signal(signal.SIGTERM)
            assert run.wait(60) == 128 + signal.SIGTERM
            os.set_blocking(told, False)
            then = os.read(told, 2)
        finally:
            run.kill()
            os.close(told)
    assert (first, then) == (b"B\n", b"A\n")
