"""An accelerated week: ``python tests/faults/soak.py [--acquisitions 10000] [--frames 100] [--simulated] [--json FILE]``.

A driver without hardware announces acquisitions as fast as they are captured, through the real capture, outbox, sender and
collector; with ``--simulated`` the simulated microscope in the real core takes them, by hardware sequences. Memory, file handles, threads and the spool are sampled all the while; the verdict is by the growth from the
second quarter of the run to the last. Exit code 1 when something grows, or when an acquisition is missing at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from bench import ANY_SPACE, Collector

from agent.capture import Capture
from agent.capture.worker import CaptureOptions
from agent.clock import Clock
from agent.mint import Mint
from agent.outbox import Identity, Outbox, Retention, Sender
from drivers import (
    Driver,
    FrameSeen,
    Hardware,
    How,
    Key,
    Moment,
    PropertyReading,
    SequenceFinished,
    SequencePlan,
    SequenceStarted,
    Status,
)
from drivers.base import Listener
from drivers.readings import Device, FramePosition, FrameStamp, Property
from drivers.simulated import CONFIGURATION, SimulatedDriver, SystemClock, open_simulated

SETTLE_S = 120.0
N_SAMPLES = 60
MOST_GROWTH = {"memory_mb": 12.0, "handles": 6.0, "threads": 1.0, "spool_mb": 20.0}
"""From the second quarter to the last. A spool that is not drained would grow by far more."""
_KEEP = Retention(max_bytes=20_000_000, min_free_bytes=0)
_LAMP = Key("Lamp", "Power")


class TirelessDriver(Driver):
    """Announces acquisitions without taking any."""

    def __init__(self) -> None:
        self._listener: Listener = lambda event: True
        self.n_runs = 0

    def describe(self) -> Hardware:
        lamp = Device("Lamp", "GenericDevice", "Soak", "Lamp", properties={"Power": Property("float")})
        return Hardware(devices={"Lamp": lamp})

    def keys(self) -> tuple[Key, ...]:
        return (_LAMP,)

    def read(self, key: Key, how: How) -> PropertyReading:
        return PropertyReading(key, Status.OK, how, Moment.now(), float(self.n_runs % 7))

    def is_busy(self) -> bool:
        return False

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def stop_listening(self) -> None:
        self._listener = lambda event: True

    def run(self, n_frames: int) -> None:
        """Announce one acquisition."""
        self.n_runs += 1
        plan = SequencePlan(axes={"t": n_frames}, n_frames=n_frames)
        self._listener(
            SequenceStarted(Moment.now(), self.n_runs, lambda: plan, lambda: (), self._readings, lambda: ())
        )
        for number in range(n_frames):
            self._listener(FrameSeen(Moment.now(), lambda n=number: _stamp(n), None))
        self._listener(SequenceFinished(Moment.now(), self.n_runs, "completed", n_frames))

    def _readings(self) -> Mapping[Key, PropertyReading]:
        return {_LAMP: self.read(_LAMP, How.CACHE)}


class TirelessMicroscope(SimulatedDriver):
    """Takes acquisitions with the simulated microscope, its sensor small and its lamp warm."""

    @classmethod
    def opened(cls, folder: Path) -> TirelessMicroscope:
        """Return it, loaded from a configuration in `folder`."""
        stand = "#py Property,Stand,Sensor,48x64\n#py Property,Stand,OnFor-h,12\nProperty,Core,Initialize,1"
        text = CONFIGURATION.read_text("utf-8").replace("Property,Core,Initialize,1", stand, 1)
        path = folder / "soak.cfg"
        path.write_text(text, "utf-8")
        core, microscope = open_simulated(clock=SystemClock(), configuration=path)
        opened = cls(core, microscope)
        core.mda.engine.use_hardware_sequencing = True
        core.mda.engine.timeout_base = SETTLE_S  # a busy machine is no fault
        return opened

    def run(self, n_frames: int) -> None:
        """Take one acquisition."""
        channel = {"group": "Channel", "config": "FITC", "exposure": 1.0}
        self.acquire({"time_plan": {"interval": 0, "loops": n_frames}, "channels": [channel]}, None)


def _stamp(number: int) -> FrameStamp:
    return FrameStamp(
        {"t": number}, float(number), "Camera", "DAPI", 10.0, FramePosition(0.0, 0.0, 0.0, How.HARDWARE)
    )


def main() -> int:
    """Run and judge; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--acquisitions", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=100, help="of each acquisition")
    parser.add_argument("--simulated", action="store_true", help="with the simulated microscope")
    parser.add_argument("--json", type=Path, help="write the samples to this file too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Collector(Path(folder)) as collector:
        driver = TirelessMicroscope.opened(Path(folder)) if asked.simulated else TirelessDriver()
        told = _soak(collector, driver, Path(folder) / "agent", asked.acquisitions, asked.frames)
        driver.close()
    if asked.json:
        asked.json.write_text(json.dumps(told, indent=1))
    print(json.dumps({name: value for name, value in told.items() if name != "samples"}, indent=1))
    return 0 if told["is_good"] else 1


def _soak(
    collector: Collector,
    driver: TirelessDriver | TirelessMicroscope,
    data_dir: Path,
    n_runs: int,
    n_frames: int,
) -> dict[str, object]:
    identity, clock = Identity.load_or_create(data_dir, "ins-soak"), Clock()
    collector.let_in(identity)
    outbox = Outbox.open(data_dir, clock=clock, identity=identity, budget=ANY_SPACE)
    sender = Sender(data_dir, identity, collector.url, outbox=outbox, clock=clock, retention=_KEEP)
    options = CaptureOptions(queue_size=25 * n_frames + 1000, poll_interval_s=3600.0)
    capture = Capture(
        driver, outbox, Mint(identity.instrument_id, identity.agent_id, clock), data_dir, options
    )
    capture.start()
    samples, began, every = [], time.monotonic(), max(1, n_runs // N_SAMPLES)
    for number in range(1, n_runs + 1):
        driver.run(n_frames)
        if number % 20 == 0 or number == n_runs:
            if not capture.settle(SETTLE_S):
                raise SystemExit("capture did not keep up")
            sender.drain_once()
        if number % every == 0:
            print(f"{number} acquisitions in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            samples.append({"acquisitions": number, "at_s": time.monotonic() - began, **_sample(data_dir)})
    n_lost = capture.queue.n_lost
    capture.stop()
    sender.drain_once()
    sender.close()
    outbox.close()
    finished = _n_finished(collector)
    growth = {name: _growth([sample[name] for sample in samples]) for name in MOST_GROWTH}
    is_flat = all(growth[name] <= most for name, most in MOST_GROWTH.items())
    return {
        "acquisitions": n_runs,
        "frames": n_runs * n_frames,
        "took_s": round(time.monotonic() - began, 1),
        "at_the_collector": finished,
        "frames_lost": n_lost,
        "growth": growth,
        "first": samples[len(samples) // 4],
        "last": samples[-1],
        "is_good": is_flat and finished == n_runs and not n_lost,
        "samples": samples,
    }


def _sample(data_dir: Path) -> dict[str, float]:
    own, n_bytes = psutil.Process(), 0
    for path in (*data_dir.glob("spool/**/*"), *data_dir.glob("sent/**/*")):
        with suppress(OSError):
            n_bytes += path.stat().st_size
    handles = own.num_handles() if sys.platform == "win32" else own.num_fds()
    return {
        "memory_mb": own.memory_info().rss / 1e6,
        "handles": handles,
        "threads": own.num_threads(),
        "spool_mb": n_bytes / 1e6,
    }


def _growth(series: list[float]) -> float:
    """Return the median of the last quarter minus that of the second."""
    quarter = max(1, len(series) // 4)
    return round(statistics.median(series[-quarter:]) - statistics.median(series[quarter : 2 * quarter]), 3)


def _n_finished(collector: Collector) -> int:
    store = collector.store()
    n_found, after = 0, 0
    with store.reading() as reads:
        while rows := reads.records(kind="acquisition_finished", after=after, limit=5000):
            n_found, after = n_found + len(rows), rows[-1].position
    store.close()
    return n_found


if __name__ == "__main__":
    sys.exit(main())
