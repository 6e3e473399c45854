"""What capturing costs an acquisition: ``python tests/benchmarks/capture_cost.py [rounds]``.

The same acquisitions run bare, with the agent attached, and with a handler that asks pymmcore-plus for its own
`frame_metadata` of every frame, in turns and in changing order within one run, so that ratios mean something on a
machine that others use too. Beside it, the frame handler alone in a loop, and one whole snapshot, ours against
pymmcore-plus' `summary_metadata`. Prints one JSON object; times are medians. The demo devices answer in less than a
microsecond: on a real stand the hardware's own time comes on top of every read from hardware.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from useq import MDAEvent, MDASequence

import agent
from agent.capture.acquisition import OpenAcquisition
from agent.capture.journal import Journal
from agent.capture.ledger import BATCH_FRAMES
from agent.capture.queue import EventQueue
from agent.clock import Clock
from agent.mint import Mint
from agent.records import AcquisitionPlan, AcquisitionStarted, encode
from drivers import FrameSeen, How, Moment
from drivers.mmcore import MMCoreDriver, load_core, release_callback
from drivers.mmcore.sequences import frame_stamp

N_ROUNDS = 9
N_CALLS = 20_000
EXPOSURE_MS = 1.0
PLANS = {
    "time": {
        "time_plan": {"interval": 0, "loops": 500},
        "channels": [{"config": "DAPI", "exposure": EXPOSURE_MS}],
    },
    "channel, z, time": {
        "time_plan": {"interval": 0, "loops": 10},
        "channels": [
            {"config": "DAPI", "exposure": EXPOSURE_MS},
            {"config": "FITC", "exposure": EXPOSURE_MS},
        ],
        "z_plan": {"range": 9, "step": 1},
        "axis_order": "tcz",
    },
}


@contextmanager
def bare(core: Any) -> Iterator[None]:
    yield


@contextmanager
def attached(core: Any) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        attachment = agent.attach(core, data_dir=folder)
        attachment.settle(30)
        yield
        attachment.settle(30)
        attachment.detach()


@contextmanager
def asking_frame_metadata(core: Any) -> Iterator[None]:
    from pymmcore_plus.metadata import frame_metadata

    def on_frame(image: Any, event: Any) -> None:
        frame_metadata(core, mda_event=event, include_position=True)

    core.mda.events.frameReady.connect(on_frame)
    yield
    core.mda.events.frameReady.disconnect(on_frame)


VARIANTS: dict[str, Callable[[Any], Any]] = {
    "bare": bare,
    "attached": attached,
    "frame_metadata": asking_frame_metadata,
}


MEASURES = ("wall", "cpu_of_engine_thread", "cpu_of_process")


def run_us(core: Any, plan: dict[str, Any], variant: Callable[[Any], Any]) -> tuple[float, ...]:
    """Return the `MEASURES` of one run, us per frame; processor time is steady where wall time is not."""
    seen: list[tuple[int, ...]] = []
    with variant(core):

        def on_frame() -> None:
            seen.append((time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()))

        core.mda.events.frameReady.connect(on_frame)
        gc.collect()
        core.mda.run(MDASequence.model_validate(plan))
        core.mda.events.frameReady.disconnect(on_frame)
    return tuple(
        (last - first) / (len(seen) - 1) / 1e3 for first, last in zip(seen[0], seen[-1], strict=True)
    )


def acquisitions(core: Any, n_rounds: int) -> dict[str, Any]:
    core.mda.engine.use_hardware_sequencing = False
    result: dict[str, Any] = {}
    for name, plan in PLANS.items():
        runs: dict[str, list[tuple[float, ...]]] = {variant: [] for variant in VARIANTS}
        for number in range(n_rounds):
            for variant in islice(cycle(VARIANTS), number, number + len(VARIANTS)):
                runs[variant].append(run_us(core, plan, VARIANTS[variant]))
        result[name] = {
            measure: _compared({variant: [run[i] for run in runs[variant]] for variant in VARIANTS})
            for i, measure in enumerate(MEASURES)
        }
    return result


def _compared(times: dict[str, list[float]]) -> dict[str, Any]:
    bare = statistics.median(times["bare"])
    return {
        variant: {
            "us_per_frame": round(statistics.median(values), 1),
            "ratio_to_bare": round(statistics.median(values) / bare, 4),
            "us_over_bare": round(
                statistics.median(t - b for t, b in zip(values, times["bare"], strict=True)), 1
            ),
        }
        for variant, values in times.items()
    }


def steady_state(core: Any, n_rounds: int) -> dict[str, Any]:
    """Tell what each further frame costs from what a run costs once: by runs of two lengths."""
    times: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for _ in range(n_rounds):
        for n_frames in (200, 1200):
            plan = {**PLANS["time"], "time_plan": {"interval": 0, "loops": n_frames}}
            for variant in ("bare", "attached"):
                run = tuple(us * n_frames for us in run_us(core, plan, VARIANTS[variant]))
                times.setdefault((variant, n_frames), []).append(run)
    result: dict[str, Any] = {}
    for i, measure in enumerate(MEASURES[1:], start=1):
        over = {
            n: statistics.median(run[i] for run in times["attached", n])
            - statistics.median(run[i] for run in times["bare", n])
            for n in (200, 1200)
        }
        per_frame = (over[1200] - over[200]) / 1000
        result[measure] = {
            "us_per_frame_over_bare": round(per_frame, 1),
            "ms_per_run_over_bare": round((over[200] - 200 * per_frame) / 1e3, 1),
        }
    return result


def median_us(call: Callable[[], object], n: int) -> float:
    times = []
    for _ in range(n):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    return round(statistics.median(times) / 1e3, 2)


def frame_handler(core: Any) -> dict[str, Any]:
    """Call our frame handler as the engine's signal does: in steady state, and when the light path has changed."""
    driver = MMCoreDriver(core)
    driver.describe()
    queue = EventQueue(10 * N_CALLS)
    driver.listen(queue.put)
    signals = driver._signals
    handler = next(handler for signal, handler in signals._connected if signal is core.mda.events.frameReady)
    event, meta = (
        MDAEvent(index={"t": 0}),
        {"runner_time_ms": 1.0, "exposure_ms": 1.0, "camera_device": "Camera"},
    )
    handler(None, event, meta)

    def after_a_change() -> None:
        signals._n_changes += 1
        handler(None, event, meta)

    result = {
        "us_steady": median_us(lambda: handler(None, event, meta), N_CALLS),
        "us_after_a_change": median_us(after_a_change, N_CALLS // 20),
    }
    driver.stop_listening()
    return result


def capture_thread() -> dict[str, float]:
    """Tell the processor time of the capture thread a frame: stamp and journal, and its share of a ledger record."""
    mint = Mint("scope", "agent", Clock())
    started = mint.make(
        AcquisitionStarted, acquisition_id=uuid4(), started=mint.clock.now(), plan=AcquisitionPlan(axes={})
    )
    event = MDAEvent(index={"t": 1, "c": 0, "z": 3}, channel="DAPI", exposure=EXPOSURE_MS)
    meta = {
        "runner_time_ms": 1.5,
        "exposure_ms": 1.0,
        "camera_device": "Camera",
        "position": {"x": 1.0, "z": 3.0},
    }
    times: dict[str, list[float]] = {"us_stamp_and_journal": [], "us_ledger_record": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(5):
            journal = Journal(Path(folder) / str(number), started)
            run = OpenAcquisition(started, journal, {}, time.monotonic_ns())
            began = time.thread_time_ns()
            for _ in range(BATCH_FRAMES - 1):
                run.add_frame(FrameSeen(Moment.now(), partial(frame_stamp, event, meta), None))
            journal.write()
            stamped = time.thread_time_ns()
            batch = run.take_batch(time.monotonic_ns(), is_last=True)
            assert batch is not None
            encode(batch)
            times["us_stamp_and_journal"].append((stamped - began) / BATCH_FRAMES / 1e3)
            times["us_ledger_record"].append((time.thread_time_ns() - stamped) / BATCH_FRAMES / 1e3)
            journal.close()
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def snapshots(core: Any) -> dict[str, Any]:
    from pymmcore_plus.metadata import summary_metadata

    driver = MMCoreDriver(core)
    driver.describe()
    keys = driver.keys()
    calls: dict[str, Callable[[], object]] = {
        "us_ours_from_hardware": lambda: [driver.read(key, How.HARDWARE) for key in keys],
        "us_ours_from_cache": lambda: [driver.read(key, How.CACHE) for key in keys],
        "us_summary_metadata": lambda: summary_metadata(core, cached=False),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(20):
        for name, call in calls.items():
            times[name].append(median_us(call, 5))
    result: dict[str, Any] = {name: round(statistics.median(values), 1) for name, values in times.items()}
    theirs = result["us_summary_metadata"]
    return {
        "n_keys": len(keys),
        **result,
        "ratio_hardware_to_summary": round(result["us_ours_from_hardware"] / theirs, 3),
        "ratio_cache_to_summary": round(result["us_ours_from_cache"] / theirs, 3),
    }


def main(n_rounds: int) -> None:
    core = load_core("demo")
    core.setExposure(EXPOSURE_MS)
    result = {
        "n_rounds": n_rounds,
        "image": f"{core.getImageWidth()}x{core.getImageHeight()}x{core.getImageBitDepth()} bit",
        "exposure_ms": EXPOSURE_MS,
        "frame_handler": frame_handler(core),
        "capture_thread": capture_thread(),
        "snapshot": snapshots(core),
        "acquisitions": acquisitions(core, n_rounds),
        "steady_state": steady_state(core, n_rounds),
    }
    core.unloadAllDevices()
    release_callback(core)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_ROUNDS)
