"""Measuring in a process of its own: same numbers, and whatever becomes of that process is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

import psutil
import pytest

from agent.errors import RunStoppedError
from agent.local import Local
from agent.quality.apart import MeasuringError, measured_apart
from agent.quality.history import History
from agent.quality.measure import Order, measured
from agent.quality.taken import Taken
from agent.settings import AgentSettings

SETTINGS = [0.0, 25.0, 50.0, 75.0, 100.0]
TAKEN = Taken(
    routine="power_linearity",
    columns={"setting_percent": SETTINGS, "power_mw": [0.02 * one for one in SETTINGS]},
    light_path={"light": "LED"},
    parameters={"meter": "PM100"},
    remarks=("Taken at night.",),
    every_days=30.0,
)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    opened = Local.open(AgentSettings.model_validate({"data_dir": str(tmp_path)}))
    yield opened
    opened.outbox.close()


def measuring() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "agent.quality.measure" in one.cmdline()]


def kept(local: Local) -> list[str]:
    return [str(run.run_id) for run in History(local.data_dir).runs("power_linearity")]


def test_numbers_are_those_that_are_measured_here(local: Local) -> None:
    apart = measured_apart(TAKEN, local)
    _, here = measured(TAKEN, History(local.data_dir), local.mint)
    mine = {"record_id", "captured", "run_id", "valid_until", "metrics"}
    assert apart.model_dump(exclude=mine) == here.model_dump(exclude=mine)
    assert [(one.metric, one.measured and one.measured.value) for one in apart.metrics] == [
        (one.metric, one.measured and one.measured.value) for one in here.metrics
    ]
    assert apart.parameters["meter"] == "PM100" and "Taken at night." in apart.remarks
    assert kept(local) == [str(apart.run_id)]
    found = History(local.data_dir).measurement(apart)
    assert found is not None and found.table["setting_percent"].tolist() == SETTINGS


def test_order_comes_through_as_it_was_given() -> None:
    taken = TAKEN.model_copy(
        update={"columns": {"power_mw": [1.0, nan]}, "options": {"spacing_um": (0.1, 0.2)}}
    )
    again = Taken.model_validate_json(taken.model_dump_json())
    assert str(again) == str(taken)


def test_what_cannot_be_measured_is_told_with_the_reason(local: Local) -> None:
    with pytest.raises(MeasuringError, match=r"(?i)power"):
        measured_apart(TAKEN.model_copy(update={"columns": {"setting_percent": [], "power_mw": []}}), local)
    assert kept(local) == []


def test_process_that_is_killed_gives_no_result(local: Local) -> None:
    def kill() -> bool:
        for one in measuring():
            one.kill()
        return False

    with pytest.raises(MeasuringError, match=r"ended \(exit code .*measure-output.log"):
        measured_apart(TAKEN, local, kill)
    assert kept(local) == [] and list(local.data_dir.glob("qc/measuring-*")) == []


@pytest.mark.parametrize(
    ("is_ending", "most_s", "error", "words"),
    [
        (lambda: True, 600.0, RunStoppedError, "told to end"),
        (lambda: False, 0.0, MeasuringError, "took longer"),
    ],
    ids=["agent ends", "time is over"],
)
def test_nothing_is_left_when_nobody_waits_any_longer(
    local: Local, is_ending: Callable[[], bool], most_s: float, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        measured_apart(TAKEN, local, is_ending, most_s)
    assert measuring() == [] and kept(local) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that nobody writes to")
def test_process_ends_with_who_started_it(tmp_path: Path) -> None:
    endless = tmp_path / "endless.tif"
    os.mkfifo(endless)
    taken = TAKEN.model_copy(update={"routine": "psf", "datasets": {"image": [endless]}})
    order = Order(taken=taken, data_dir=tmp_path, instrument_id="i", agent_id="a", answer=tmp_path / "answer")
    with subprocess.Popen([sys.executable, "-m", "agent.quality.measure"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(order.model_dump_json().encode() + b"\n")
        process.stdin.close()
        assert process.wait(120.0) == 3
    assert not (tmp_path / "answer").exists()


PLANS_ONLY = """
import json, sys
import agent.service.daemon, agent.quality.schedule, agent.quality.schedule.attempt
from agent.quality.assess import routine_named
from agent.quality.run import take
routine_named("psf").protocol
print(json.dumps([name for name in ("numba", "matplotlib", "scipy", "zarr") if name in sys.modules]))
"""


def test_planning_loads_nothing_that_measures() -> None:
    told = subprocess.run([sys.executable, "-c", PLANS_ONLY], capture_output=True, check=True)
    assert json.loads(told.stdout) == []
