"""A real collector in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class RunningCollector:
    """A collector and its command line."""

    def __init__(self, url: str, data: Path) -> None:
        self.url, self._data = url, data

    def manage(self, *command: str) -> dict[str, Any]:
        """Run one of its commands."""
        ran = subprocess.run(
            [sys.executable, "-m", "server", *command, "--data", str(self._data), "--json"],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return json.loads(ran.stdout)

    def join_code(self) -> str:
        """Return a fresh join code."""
        found = self.manage("join-code", "new", "--instrument", "Confocal 2", "--site", "Here")
        return found.get("code") or found["join_code"]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[RunningCollector]:
    """A collector that runs."""
    data = tmp_path / "collector"
    command = ["run", "--data", str(data), "--port", "0", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "server", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        yield RunningCollector(ready["url"], data)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def by_name() -> Callable[[Any], dict[str, Any]]:
    """Sort findings by their names."""
    return lambda findings: {finding.name: finding for finding in findings}
