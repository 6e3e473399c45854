"""Conformance runs against real hardware processes: the demo adapters, and devices with faults."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.conformance import Pace, Report, run_conformance
from agent.settings import AgentSettings

HERE = Path(__file__).parent
PACE = Pace(read_deadline_s=3.0, set_deadline_s=20.0, notification_ms=30.0)
FAULTY = """\
Property,Core,Initialize,0
#py pyDevice,Bad <b>&"one",faulty_devices,Faulty
#py pyDevice,Fatalist,faulty_devices,Crashing
Property,Core,Initialize,1
"""


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[str], Report]]:
    """Run against a configuration; the process finds the faulty devices."""
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), before]))

    def run_one(configuration: str) -> Report:
        settings = AgentSettings.model_validate({"hardware": {"config_file": configuration}})
        return run_conformance(settings, pace=PACE)

    yield run_one
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def faulty(run: Callable[[str], Report], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report on the faulty devices."""
    path = tmp_path_factory.mktemp("faulty") / "faulty.cfg"
    path.write_text(FAULTY)
    return run(str(path))


@pytest.fixture(scope="module")
def demo(run: Callable[[str], Report]) -> Report:
    """The report on Micro-Manager's demo hardware."""
    return run("demo")
