"""Hardware that counts as real: the demo adapter under a name of its own, loaded by the real core."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.settings import AgentSettings

LIBRARY = f"FakeScope{os.getpid()}"  # other runs of these tests on this PC look for theirs
CONFIGURATION = f"Device,DHub,{LIBRARY},DHub\nDevice,Camera,{LIBRARY},DCam\nProperty,Core,Initialize,1\n"


@pytest.fixture(autouse=True)
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the leases of this test away from those of this PC; child processes see the same folder."""
    folder = tmp_path / "leases"
    monkeypatch.setenv("SCOPESTAMP_LEASES", str(folder))
    return folder


@pytest.fixture
def scope(tmp_path: Path) -> Callable[..., AgentSettings]:
    """Make the settings of a microscope that no simulated adapter gives away."""
    adapters = pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    folder = tmp_path / "adapters"
    folder.mkdir()
    for file in Path(str(adapters.__file__)).with_name("libs").glob("*mmgr_dal_DemoCamera*"):
        shutil.copy(file, folder / file.name.replace("DemoCamera", LIBRARY))
    configuration = tmp_path / "scope.cfg"
    configuration.write_text(CONFIGURATION)

    def make(**hardware: Any) -> AgentSettings:
        section = {"config_file": str(configuration), "adapter_paths": [str(folder)], **hardware}
        return AgentSettings.model_validate({"hardware": section})

    return make


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python programs that print a line when they are there, and run until their input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
