"""Whole programs of a user with one line of ours: how they import, run and end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mm_test_adapters", reason="needs the demo adapters: pip install mm-test-adapters")

PROGRAM = """
import sys
import agent
from drivers.mmcore import load_core
from useq import MDASequence

data, ending = sys.argv[1], sys.argv[2]
core = load_core("demo")
attachment = agent.attach(core, data_dir=data)
core.mda.run(MDASequence(time_plan={"interval": 0, "loops": 10}, channels=["DAPI"]))
if ending == "detach":
    attachment.detach()
    core.events.stagePositionChanged.connect(lambda *_: None)
for z in range(500):
    core.setPosition(z % 100)          # leaves announcements in the core's queue
if ending == "unload":
    core.unloadAllDevices()
if ending == "raise":
    raise RuntimeError("the user's own bug")
if ending == "thread":
    core.run_mda(MDASequence(time_plan={"interval": 0, "loops": 30}, channels=["DAPI"]))
"""


@pytest.mark.parametrize("ending", ["none", "detach", "unload", "thread"])
@pytest.mark.parametrize("time", range(3))
def test_program_ends_with_exit_code_0(
    run_python: Callable[..., Any], spooled: Any, tmp_path: Path, ending: str, time: int
) -> None:
    done = run_python(PROGRAM, tmp_path / "data", ending)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    finished = spooled(kind="acquisition_finished")
    assert [record.frames.seen for record in finished] == ([10, 30] if ending == "thread" else [10])
    assert {record.reason for record in finished} == {"completed"}


def test_program_that_raises_ends_as_it_would_without_us(
    run_python: Any, spooled: Any, tmp_path: Path
) -> None:
    done = run_python(PROGRAM, tmp_path / "data", "raise")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1 and "the user's own bug" in done.stderr
    assert len(spooled(kind="acquisition_finished")) == 1


FENCE = """
import logging, os, sys
root = logging.getLogger()
root.setLevel(logging.ERROR)
own = logging.NullHandler()
root.addHandler(own)
before = dict(os.environ)
from drivers.mmcore import load_core
core = load_core("demo")
assert root.level == logging.ERROR, root.level
assert root.handlers == [own], root.handlers
assert os.environ.get("PYMM_LOG_FILE") == before.get("PYMM_LOG_FILE"), os.environ.get("PYMM_LOG_FILE")
open_files = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
assert not [name for name in open_files if name.endswith(".log")], open_files
from drivers.mmcore import release_callback
core.unloadAllDevices()
release_callback(core)
"""


def test_import_of_pymmcore_plus_leaves_no_trace(run_python: Any, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home"), "XDG_DATA_HOME": str(tmp_path / "home" / "data")}
    done = run_python(FENCE, **home)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [path for path in (tmp_path / "home").rglob("*.log")] == []


def test_log_goes_where_it_is_told(run_python: Any, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from drivers.mmcore import load_core, release_callback
core = load_core("demo", log_file=Path(sys.argv[1]))
core.unloadAllDevices()
release_callback(core)
"""
    done = run_python(program, tmp_path / "core.log")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Core session ended" in (tmp_path / "core.log").read_text("utf-8", "replace")


def test_import_of_agent_loads_no_hardware(run_python: Any) -> None:
    program = (
        "import sys, agent, agent.records; assert not [m for m in sys.modules if m.startswith('pymmcore')]"
    )
    assert run_python(program).returncode == 0


def test_wrong_argument_is_refused_without_loading_anything(run_python: Any, tmp_path: Path) -> None:
    program = """
import sys, agent
from agent.errors import CaptureError
try:
    agent.attach("scope", data_dir=sys.argv[1])
except CaptureError as error:
    print(error)
assert not [m for m in sys.modules if m.startswith("pymmcore")]
"""
    done = run_python(program, tmp_path / "data")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "wants the core of your program" in done.stdout and "a str" in done.stdout
