"""Time and memory of one action, for scripts that run in any environment. Imports the standard library alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def timed(action: Callable[[], Any], n_times: int) -> tuple[Any, dict[str, float]]:
    """Return what the last run gave, and median wall and CPU time and the peak of memory of `n_times` runs.

    Of more than one, another goes before, which compiles and fills caches.
    """
    if n_times > 1:
        action()
    before_mib = _status_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    walls, found, start_cpu = [], None, time.process_time()
    for _ in range(n_times):
        start = time.perf_counter()
        found = action()
        walls.append(time.perf_counter() - start)
    cost = {
        "wall_s": round(statistics.median(walls), 3),
        "cpu_s": round((time.process_time() - start_cpu) / n_times, 3),
        "peak_extra_mib": round(_status_mib("VmHWM") - before_mib, 1),
    }
    return found, cost


def _status_mib(key: str) -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024
