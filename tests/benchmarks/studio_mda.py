"""What the agent costs an acquisition of Studio: 100 frames with and without it, side by side, in turns.

The Studio is the tests' stand-in over the real core with demo devices, in a process of its own; the agent's driver runs in
this one, as it does in the agent's hardware process. The same procedure on a real Studio is in docs/studio.md.

    python tests/benchmarks/studio_mda.py [--rounds 5] [--frames 100]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers import FrameSeen
from drivers.mmstudio import StudioDriver, StudioOptions

ROOT = Path(__file__).parents[2]
MODES = {
    "without the agent": None,
    "listener": {},
    "core polling": {"core_polling": True},
    "neither": {},
}


class Studio:
    """The stand-in in a process of its own."""

    def __init__(self, has_listener: bool) -> None:
        path = os.pathsep.join([str(ROOT / "tests" / "drivers" / "mmstudio"), str(ROOT)])
        command = [sys.executable, "-m", "studio_standin", *(["--listener"] if has_listener else [])]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.port = self._hear()["port"]

    def run(self, n_frames: int) -> float:
        settings = {"useFrames": True, "numFrames": n_frames, "useChannels": True, "channels": [CHANNEL]}
        self._say(do="run", settings=settings)
        return float(self._hear()["took_s"])

    def close(self) -> None:
        self._say(do="quit")
        self._process.communicate()

    def _say(self, **order: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout
        return dict(json.loads(self._process.stdout.readline()))


CHANNEL = {"channelGroup": "Channel", "config": "DAPI", "exposure": 10.0, "useChannel": True}


def watched(studio: Studio, n_frames: int, options: dict[str, Any]) -> tuple[float, int]:
    """Return how long a run takes beside the driver, and how many frames it was told of."""
    seen: list[Any] = []
    driver = StudioDriver(StudioOptions(studio.port, **options))
    driver.describe()
    driver.listen(lambda event: seen.append(event) or True)
    took_s = studio.run(n_frames)
    driver.catch_up()
    driver.close()
    return took_s, sum(isinstance(event, FrameSeen) for event in seen)


def measure(n_rounds: int, n_frames: int) -> dict[str, Any]:
    """Measure every mode in turns, so that what else the computer does falls on all alike."""
    studios = {True: Studio(True), False: Studio(False)}
    for studio in studios.values():
        studio.run(n_frames)
    took: dict[str, list[float]] = {mode: [] for mode in MODES}
    frames: dict[str, int] = {}
    for _ in range(n_rounds):
        for mode, options in MODES.items():
            studio = studios[mode == "listener"]
            if options is None:
                took[mode].append(studio.run(n_frames))
            else:
                took_s, frames[mode] = watched(studio, n_frames, options)
                took[mode].append(took_s)
    for studio in studios.values():
        studio.close()
    base = statistics.median(took["without the agent"])
    return {
        "n_frames": n_frames,
        "n_rounds": n_rounds,
        "median_s": {mode: round(statistics.median(times), 4) for mode, times in took.items()},
        "ratio": {mode: round(statistics.median(times) / base, 4) for mode, times in took.items()},
        "frames_told": frames,
        "round_trips_us": round_trips(),
    }


def round_trips() -> dict[str, float]:
    """Return what single looks cost on an idle Studio, median microseconds."""
    import time

    studio = Studio(True)
    costs = {}
    for mode, has_core in (("listener", False), ("core polling", True)):
        other = studio if mode == "listener" else Studio(False)
        driver = StudioDriver(StudioOptions(other.port, core_polling=has_core))
        driver.describe()
        session = driver.watch.session
        assert session is not None
        looks: dict[str, Callable[[], object]] = {
            f"{mode}: whole cached state": lambda s=session, d=driver: s.view.cached_state(
                d.watch.known.hardware
            ),
            f"{mode}: is it acquiring": session.face.is_acquiring,
        }
        if session.listener is not None:
            looks[f"{mode}: empty drain"] = session.listener.drain
        for name, look in looks.items():
            times = []
            for _ in range(200):
                began = time.perf_counter()
                look()
                times.append((time.perf_counter() - began) * 1e6)
            costs[name] = round(statistics.median(times), 1)
        driver.close()
        other.close()
    return costs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(measure(options.rounds, options.frames), indent=2))


if __name__ == "__main__":
    main()
