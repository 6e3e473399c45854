"""Conformance runs against real hardware processes: the demo adapters, and devices with faults."""

from __future__ import annotations

import os
from collections.abc import Callable
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


@pytest.fixture(scope="session")
def run() -> Callable[[str], Report]:
    """Run against a configuration; the process finds the faulty devices."""
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")

    def run_one(configuration: str) -> Report:
        settings = AgentSettings.model_validate({"hardware": {"config_file": configuration}})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
            return run_conformance(settings, pace=PACE)

    return run_one


@pytest.fixture(scope="session")
def faulty(run: Callable[[str], Report], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report on the faulty devices."""
    path = tmp_path_factory.mktemp("faulty") / "faulty.cfg"
    path.write_text(FAULTY)
    return run(str(path))


@pytest.fixture(scope="session")
def demo(run: Callable[[str], Report]) -> Report:
    """The report on Micro-Manager's demo hardware."""
    return run("demo")
