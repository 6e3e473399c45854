"""Low priority for a process, on platforms whose service manager does not give it one."""

from __future__ import annotations

import contextlib
import sys

import psutil


def step_back() -> None:
    """Let everybody else at this computer go first: processor and disk. A system that refuses is left as it is."""
    if sys.platform != "win32":
        return  # systemd and launchd have done so
    process = psutil.Process()
    with contextlib.suppress(psutil.Error, OSError):
        process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        process.ionice(psutil.IOPRIO_LOW)
