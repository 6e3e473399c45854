"""What watching a folder full of old files costs: ``python tests/benchmarks/watch_existing.py [N_FILES]``; JSON.

The files are made in a temporary folder, a hundred to a subfolder. The watcher runs in a process of its own; its memory is
the highest that the system saw.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

WATCH = """
import json, resource, sys, time
from pathlib import Path
from agent.capture.publish import Publisher
from agent.chronicle import Chronicle
from agent.clock import Clock
from agent.mint import Mint
from agent.settings import WatchSettings
from agent.watch.register import Register
from agent.watch.report import Reporting
from agent.watch.watcher import Watcher

class Counts:
    n = 0
    def put(self, *records):
        self.n += len(records)

folder, data, clock = sys.argv[1], Path(sys.argv[2]), Clock()
register, outbox = Register(data / "watch.sqlite"), Counts()
reporting = Reporting(Mint("scope", "agent", clock), Publisher(outbox), Chronicle(data), register)
watcher = Watcher(WatchSettings(folders=(folder,)), reporting, clock)
before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
began, cpu = time.monotonic(), time.process_time()
longest_s = 0.0
while watcher.last_scan_at is None:
    at = time.monotonic()
    watcher.step()
    longest_s = max(longest_s, time.monotonic() - at)
first_s, first_cpu_s = time.monotonic() - began, time.process_time() - cpu
first, began = watcher.last_scan_at, time.monotonic()
watcher._next_scan_s = 0.0
while watcher.last_scan_at == first:
    watcher.step()
print(json.dumps({
    "first_scan_s": round(first_s, 2),
    "first_scan_cpu_s": round(first_cpu_s, 2),
    "longest_step_s": round(longest_s, 2),
    "rescan_s": round(time.monotonic() - began, 2),
    "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    "of_which_before_mb": round(before_mb, 1),
    "records_published": outbox.n,
    "register_mb": round((data / "watch.sqlite").stat().st_size / 1e6, 1),
}))
watcher._hints.stop()
register.close()
"""
OLD_S = 1_700_000_000


def make_files(folder: Path, n_files: int) -> None:
    """Make empty TIFFs of long ago."""
    for number in range(n_files):
        sub = folder / f"day{number // 100:05}"
        if number % 100 == 0:
            sub.mkdir()
        path = sub / f"image{number % 100:03}.tif"
        path.touch()
        os.utime(path, (OLD_S, OLD_S))


def measure(n_files: int) -> dict[str, float]:
    """Return what the first scan and a rescan cost."""
    with tempfile.TemporaryDirectory() as base:
        images, data = Path(base) / "images", Path(base) / "data"
        images.mkdir()
        data.mkdir()
        make_files(images, n_files)
        said = subprocess.run(
            [sys.executable, "-c", WATCH, str(images), str(data)], capture_output=True, check=True
        ).stdout
    return {"n_files": n_files, **json.loads(said)}


if __name__ == "__main__":
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(json.dumps([measure(n_files) for n_files in (most // 10, most)], indent=2))
