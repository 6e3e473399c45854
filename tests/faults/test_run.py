"""Every fault of `run.py`, a few trials each; the long run is by hand (docs/faults.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform == "win32", reason="agents are forked, and killed with a signal"),
]
HERE = Path(__file__).parent
SOAK_ACQUISITIONS, SOAK_FRAMES = 120, 20
SMALL = {"PYTHONWARNINGS": "default"}


def counted(n_trials: int, *faults: str) -> list[dict[str, object]]:
    """Run the runner as a person does, and return its table."""
    command = [sys.executable, str(HERE / "run.py"), "--json", "--trials", str(n_trials), "--only", *faults]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ, **SMALL})
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("n_trials", "faults"),
    [
        (44, ["kill-agent"]),
        (3, ["kill-collector"]),
        (1, ["net-down", "net-flapping", "net-latency", "net-reset", "net-half-open", "net-certificate"]),
        (
            1,
            [
                "net-html-200",
                "net-html-502",
                "net-dns",
                "collector-restored",
                "collector-locked",
                "newer-schema",
            ],
        ),
        (1, ["disk-slow", "disk-torn", "disk-bit-flip", "disk-two-agents"]),
        (1, ["clock-back", "clock-forward", "clock-dst", "clock-suspended"]),
    ],
    ids=["agent killed", "collector killed", "network", "collector", "disk", "clock"],
)
def test_nothing_is_lost_doubled_or_altered(n_trials, faults):
    table = counted(n_trials, *faults)
    assert len(table) == len(faults)
    for row in table:
        assert row["trials"] == n_trials
        assert row["produced"] == row["acknowledged"] + row["told_lost"] > 0
        assert (row["lost"], row["duplicated"], row["altered"], row["failures"]) == (0, 0, 0, [])


def test_a_disk_that_takes_nothing_costs_nothing(volume):
    """Only where a small disk can be had; `volume` skips elsewhere."""
    for row in counted(1, "disk-full", "disk-read-only"):
        assert row["produced"] == row["acknowledged"] > 0


@pytest.mark.parametrize(
    ("n_trials", "faults"),
    [(3, ["kill-hardware"]), (1, ["hw-hung-later", "hw-crash"]), (1, ["hw-hung-unload"])],
    ids=["killed", "broken", "never lets go"],
)
def test_hardware_that_fails_costs_no_record(n_trials, faults):
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")
    for row in counted(n_trials, *faults):
        assert (row["lost"], row["duplicated"], row["altered"], row["failures"]) == (0, 0, 0, [])


def test_a_short_soak_captures_every_acquisition():
    """The slopes need the long run; here it is only seen to work."""
    command = [sys.executable, str(HERE / "soak.py"), "--acquisitions", str(SOAK_ACQUISITIONS)]
    done = subprocess.run(
        [*command, "--frames", str(SOAK_FRAMES)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **SMALL},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    told = json.loads(done.stdout)
    assert told["at_the_collector"] == SOAK_ACQUISITIONS
    assert told["frames"] == SOAK_ACQUISITIONS * SOAK_FRAMES and told["frames_lost"] == 0
