"""What the agent costs a hardware-sequenced run: ``python tests/benchmarks/sequenced_run.py [seconds] [rounds]``.

The demo camera runs by itself at 100 frames a second, as a triggered camera does, in turns without the agent and with
everything on: attached, records synced to disk, and a daemon beside that watches a folder and looks for a collector that
is away. Prints as JSON, for each: frames wanted, frames that arrived, frames that the agent stamped, and frames a
second between the first and the last.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from useq import MDASequence

import agent
from drivers.mmcore import load_core

EXPOSURE_MS = 10.0
CONFIG = """
data_dir = "data"
[watch]
folders = ["."]
[collector]
url = "http://127.0.0.1:9"
"""


def main(seconds: float = 60.0, rounds: float = 2) -> None:
    """Measure and print."""
    core = load_core("demo")
    core.mda.engine.use_hardware_sequencing = True
    n = int(seconds * 1000 / EXPOSURE_MS)
    runs: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    for number in range(int(rounds)):
        for variant in ("without", "with") if number % 2 == 0 else ("with", "without"):
            runs[variant].append(run(core, n) if variant == "without" else run_with(core, n))
    rate = {name: statistics.median(one["frames_per_s"] for one in many) for name, many in runs.items()}
    told = {"runs": runs, "rate_loss_percent": round(100 * (1 - rate["with"] / rate["without"]), 3)}
    print(json.dumps(told, indent=2))


def run(core: Any, n: int) -> dict[str, Any]:
    """Run one sequence and count what arrives."""
    at: list[float] = []

    def on_frame() -> None:
        at.append(time.perf_counter())

    core.mda.events.frameReady.connect(on_frame)
    plan = {
        "time_plan": {"interval": 0, "loops": n},
        "channels": [{"config": "DAPI", "exposure": EXPOSURE_MS}],
    }
    core.mda.run(MDASequence.model_validate(plan))
    core.mda.events.frameReady.disconnect(on_frame)
    return {
        "wanted": n,
        "arrived": len(at),
        "frames_per_s": round((len(at) - 1) / (at[-1] - at[0]), 3),
    }


def run_with(core: Any, n: int) -> dict[str, Any]:
    """Run one with everything on."""
    with tempfile.TemporaryDirectory() as folder, _daemon(Path(folder)) as config:
        attachment = agent.attach(core, config=config)
        attachment.settle(60)
        result = run(core, n)
        attachment.settle(60)
        attachment.detach()
        return {**result, "stamped": _stamped(Path(folder) / "data")}


@contextmanager
def _daemon(folder: Path) -> Iterator[Path]:
    config = folder / "agent.toml"
    config.write_text(CONFIG)
    process = subprocess.Popen([sys.executable, "-m", "agent.service", "--config", str(config)])
    try:
        while not (folder / "data" / "daemon.json").is_file():
            time.sleep(0.05)
        yield config
    finally:
        process.terminate()
        process.wait()


def _stamped(data_dir: Path) -> int:
    """Return how many frames the ledgers in the spool tell of."""
    from agent.outbox.inspect import lines

    return sum(
        len(line["record"]["columns"]["frame"])
        for path in data_dir.glob("spool/*/critical-*/*.seg")
        for line in lines(path)
        if line.get("record", {}).get("kind") == "frame_ledger"
    )


if __name__ == "__main__":
    main(*map(float, sys.argv[1:3]))
