"""What watching costs a Pycro-Manager acquisition: ``python tests/benchmarks/pycromanager_cost.py [rounds]``.

The same acquisition on the demo adapters, into memory, bare and with the agent attached, in turns within one process. Prints
one JSON object; times are medians. The acquisition engine alone takes some 8 ms an image.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time

import mm_test_adapters
from pycromanager import Acquisition, Core, multi_d_acquisition_events, start_headless, stop_headless

import agent

N_ROUNDS = 5
EVENTS = multi_d_acquisition_events(
    num_time_points=10,
    channel_group="Channel",
    channels=["DAPI", "FITC"],
    channel_exposures_ms=[1, 1],
    z_start=0,
    z_end=9,
    z_step=1,
    order="tcz",
)


def acquire() -> float:
    """Return the time per image, ms."""
    began = time.perf_counter()
    with Acquisition() as acquisition:
        acquisition.acquire(EVENTS)
    return (time.perf_counter() - began) / len(EVENTS) * 1e3


def watched(folder: str) -> float:
    """Return the time per image with the agent attached, ms."""
    attachment = agent.attach(Core(), data_dir=folder)
    attachment.settle()
    took = acquire()
    attachment.detach()
    return took


def main() -> None:
    """Run and print."""
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else N_ROUNDS
    start_headless(
        str(mm_test_adapters.device_adapter_path()), config_file="MMConfig_demo.cfg", python_backend=True
    )
    acquire()
    bare, attached = [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for _ in range(n_rounds):
            bare.append(acquire())
            attached.append(watched(folder))
    stop_headless()
    ratios = [one / other for one, other in zip(attached, bare, strict=True)]
    told = {
        "images_per_run": len(EVENTS),
        "rounds": n_rounds,
        "bare_ms_per_image": round(statistics.median(bare), 3),
        "attached_ms_per_image": round(statistics.median(attached), 3),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
