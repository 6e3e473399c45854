"""Programs of a Pycro-Manager user, each run in a process of its own; they print what they saw as JSON.

Pycro-Manager's engine lives as long as its process does, so the tests cannot share one.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import mm_test_adapters
from pycromanager import Acquisition, Core, multi_d_acquisition_events, start_headless, stop_headless
from pycromanager.acquisition.python_backend_acquisitions import PythonBackendAcquisition

import agent
from agent.errors import CaptureError
from agent.outbox.inspect import lines

EVENTS: dict[str, Any] = {
    "num_time_points": 2,
    "channel_group": "Channel",
    "channels": ["DAPI", "FITC"],
    "channel_exposures_ms": [1, 2],
    "z_start": 5,
    "z_end": 7,
    "z_step": 1,
    "order": "tcz",
}


def start() -> Any:
    start_headless(
        str(mm_test_adapters.device_adapter_path()), config_file="MMConfig_demo.cfg", python_backend=True
    )
    return Core()


def with_hooks_and_processor(folder: Path) -> dict[str, Any]:
    core = start()
    levels = logging.getLogger().level
    watched = agent.attach(core, data_dir=folder / "agent")
    assert agent.attach(core, data_dir=folder / "agent") is watched
    seen: list[str] = []

    def hook(event: Any) -> Any:
        seen.append("hook")
        return event

    def processor(image: Any, metadata: Any) -> Any:
        seen.append("processor")
        return image, metadata

    core.set_property("Camera", "Gain", "3")
    with Acquisition(
        str(folder), "stack", image_process_fn=processor, post_hardware_hook_fn=hook
    ) as acquisition:
        acquisition.acquire(multi_d_acquisition_events(**EVENTS))
    is_settled = watched.settle()
    with Acquisition(str(folder), "burst") as acquisition:
        acquisition.acquire(multi_d_acquisition_events(num_time_points=10, time_interval_s=0))
    with Acquisition() as acquisition:
        acquisition.acquire(multi_d_acquisition_events(z_start=0, z_end=1, z_step=1))
    is_settled = watched.settle() and is_settled
    is_detached = watched.detach()
    told = [
        line["record"].get("event") or line["record"]["kind"]
        for segment in sorted((folder / "agent" / "spool").rglob("*.seg"))
        for line in lines(segment)
        if "record" in line
    ]
    with Acquisition(str(folder), "unwatched") as acquisition:
        acquisition.acquire(multi_d_acquisition_events(num_time_points=2))
    stop_headless()
    return {
        "is_settled": is_settled,
        "records": Counter(told),
        "is_detached": is_detached,
        "n_hook": seen.count("hook"),
        "n_processor": seen.count("processor"),
        "constructor": PythonBackendAcquisition.__init__.__module__,
        "is_log_level_kept": levels == logging.getLogger().level,
    }


def ended_early(folder: Path) -> dict[str, Any]:
    core = start()
    watched = agent.attach(core, data_dir=folder / "agent")

    def raising(event: Any) -> Any:
        if event["axes"]["time"] == 2:
            raise ValueError("the user's own mistake")
        return event

    many = multi_d_acquisition_events(num_time_points=5, time_interval_s=0.001)
    with Acquisition(str(folder), "raising", pre_hardware_hook_fn=raising) as acquisition:
        acquisition.acquire(many)
    watched.settle()

    def aborting(image: Any, metadata: Any) -> Any:
        if metadata["Axes"]["time"] == 1:
            acquisition.abort()
        return image, metadata

    endless = multi_d_acquisition_events(num_time_points=1000, time_interval_s=0.001)
    with Acquisition(str(folder), "aborted", image_process_fn=aborting) as acquisition:
        acquisition.acquire(endless)
    watched.settle()
    watched.detach()
    stop_headless()
    return {}


def agent_that_fails(folder: Path) -> dict[str, Any]:
    """Let every step of ours fail in turn: the user's acquisition must not notice."""
    core = start()
    watched = agent.attach(core, data_dir=folder / "agent")
    driver = watched.capture._driver

    def broken(*arguments: Any) -> Any:
        raise ValueError("a mistake of ours")

    n_images = []
    for name in ("cached_values", "_tell", "_images"):
        setattr(driver, name, broken)
        with Acquisition(str(folder), name) as acquisition:
            acquisition.acquire(multi_d_acquisition_events(num_time_points=3, time_interval_s=0.001))
        n_images.append(len(acquisition.get_dataset().get_image_coordinates_list()))
        delattr(driver, name)
    watched.detach()
    stop_headless()
    return {"n_images": n_images}


def not_a_core(folder: Path) -> dict[str, Any]:
    import pymmcore
    from pyjavaz.bridge import _JavaObjectShadow

    class Shadow(_JavaObjectShadow):
        def __init__(self) -> None:
            pass

        def __del__(self) -> None:
            pass

    messages = {}
    for name, candidate in {"plain": pymmcore.CMMCore(), "java": Shadow(), "text": "core"}.items():
        try:
            agent.attach(candidate, data_dir=folder / "agent")
        except CaptureError as error:
            messages[name] = str(error)
    return messages


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]))))
