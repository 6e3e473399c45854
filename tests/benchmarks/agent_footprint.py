"""What an idle agent costs: ``python tests/benchmarks/agent_footprint.py [seconds]``.

Starts the agent as a service does, with the demo hardware and a collector that is away, and prints as JSON: seconds until the
hardware was loaded, percent of one core while idle, and memory of the daemon and its hardware process together
(resident, and proportional set size where the system tells it), in sum and by process. For scale, the same figures of a bare interpreter that
imported pymmcore-plus and loaded the same hardware, measured in the same run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

SETTLE_S = 10.0
BARE = (
    "import sys; from pymmcore_plus import CMMCorePlus; core = CMMCorePlus(); core.loadSystemConfiguration();"
    "print('up', flush=True); sys.stdin.read()"
)
CONFIG = """
data_dir = "data"
[hardware]
config_file = "demo"
[collector]
url = "http://127.0.0.1:9"
"""


def main(seconds: float = 60.0) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "agent.toml"
        config.write_text(CONFIG)
        began = time.monotonic()
        agent = subprocess.Popen(
            [sys.executable, "-m", "agent.service", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        log = Path(folder) / "data" / "logs" / "daemon.log"
        while not (log.is_file() and "hardware_loaded" in log.read_text()):
            time.sleep(0.02)
        start_s = time.monotonic() - began
        measured = {"agent": {"start_s": round(start_s, 2), **_idle(agent.pid, seconds)}}
        agent.terminate()
        agent.wait()
    bare = subprocess.Popen([sys.executable, "-c", BARE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert bare.stdout is not None
    bare.stdout.readline()
    measured["bare core"] = _idle(bare.pid, min(seconds, 10.0))
    bare.communicate()
    print(json.dumps(measured, indent=2))


def _idle(pid: int, seconds: float) -> dict[str, Any]:
    time.sleep(SETTLE_S)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    before = _cpu_s(family)
    time.sleep(seconds)
    memory = [process.memory_full_info() for process in family]
    return {
        "n_processes": len(family),
        "cpu_percent_of_one_core": round(100 * (_cpu_s(family) - before) / seconds, 3),
        "resident_mb": round(sum(info.rss for info in memory) / 1e6, 1),
        "resident_mb_by_process": [round(info.rss / 1e6, 1) for info in memory],
        "proportional_mb": round(sum(getattr(info, "pss", info.rss) for info in memory) / 1e6, 1),
    }


def _cpu_s(family: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in family))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
