"""What the processes of an agent do not load: each of these costs megabytes that the microscope PC's owner pays for."""

from __future__ import annotations

import subprocess
import sys

import pytest

DAEMON = """
import sys
from agent.service.__main__ import NOT_NEEDED
sys.modules.update(dict.fromkeys(NOT_NEEDED))
import agent.service.run, agent.service.daemon, agent.quality.schedule, httpx
httpx.Client().close()
"""
HARDWARE = "import agent.hardware.child"


@pytest.mark.parametrize(
    ("imports", "unwanted"),
    [
        (
            DAEMON,
            {
                "numpy",
                "tomlkit",
                "dateutil",
                "rich",
                "typer",
                "pymmcore_plus",
                "watchdog",
                "agent.exports",
                "outcome",  # of trio
            },
        ),
        (HARDWARE, {"cryptography", "httpx", "tomlkit", "rich", "typer", "zarr", "tifffile", "ome_types"}),
    ],
    ids=["daemon", "hardware process"],
)
def test_process_loads_nothing_that_it_does_not_use(imports, unwanted):
    asked = f"{imports}\nimport sys\nprint(*({unwanted!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
