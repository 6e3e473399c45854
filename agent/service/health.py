"""What the agent costs and where it stands, for heartbeats."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil

from agent.records import Temperature


class Usage:
    """Processor and memory of this process and its children, between two looks."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._last: dict[int, float] = {}
        self._last_at = 0.0
        self.look()

    def look(self) -> tuple[float, int]:
        """Return percent of one core since the last look, and resident bytes."""
        spent, memory, now_s = 0.0, 0, time.monotonic()
        seen: dict[int, float] = {}
        for process in (self._own, *self._own.children(recursive=True)):
            try:
                times, memory_info = process.cpu_times(), process.memory_info()
            except psutil.Error:  # it ended meanwhile
                continue
            seen[process.pid] = times.user + times.system
            spent += max(0.0, seen[process.pid] - self._last.get(process.pid, seen[process.pid]))
            memory += memory_info.rss
        elapsed_s, self._last_at, self._last = now_s - self._last_at, now_s, seen
        return 100.0 * spent / max(elapsed_s, 1e-9), memory


def versions() -> dict[str, str]:
    """Return the versions of what runs here."""
    return {
        "scopestamp": version("scopestamp"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the volume a folder is on."""
    return shutil.disk_usage(folder).free


def temperatures(of_devices: Mapping[str, float]) -> tuple[Temperature, ...]:
    """Return what the sensors of this computer read, where the system tells, and those of the devices."""
    read = getattr(psutil, "sensors_temperatures", None)  # Linux alone has it
    of_computer = {
        f"{chip} {sensor.label or number}": sensor.current
        for chip, sensors in (read() if read else {}).items()
        for number, sensor in enumerate(sensors)
    }
    return (
        *(Temperature(name=name, value_degc=value, of="computer") for name, value in of_computer.items()),
        *(Temperature(name=name, value_degc=value, of="device") for name, value in of_devices.items()),
    )
