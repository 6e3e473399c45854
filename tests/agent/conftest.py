"""Real hardware processes on Micro-Manager's demo adapters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.hardware.order import ChildOrder
from agent.hardware.process import HardwareProcess
from agent.settings import AgentSettings

START_S = 60.0


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., ChildOrder]:
    """Make an order for a configuration file, or for the text of one."""
    pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")

    def make(configuration: str = "demo", **hardware: Any) -> ChildOrder:
        path = configuration
        if "\n" in configuration:
            path = str(tmp_path / "scope.cfg")
            Path(path).write_text(configuration)
        settings = AgentSettings.model_validate({"hardware": {"config_file": path, **hardware}})
        return ChildOrder(settings=settings, data_dir=tmp_path / "data")

    return make


@pytest.fixture
def process(order: Callable[..., ChildOrder]) -> Iterator[HardwareProcess]:
    """A hardware process with the demo hardware loaded."""
    started = HardwareProcess(order())
    started.start(START_S)
    yield started
    started.stop(START_S)


@pytest.fixture
def spooled(tmp_path: Path) -> Callable[[], list[SimpleNamespace]]:
    """Read every record that lies in the spools of the data folder, from the segments themselves."""
    from agent.outbox.inspect import lines

    def read() -> list[SimpleNamespace]:
        records = [
            line["record"]
            for path in sorted((tmp_path / "data" / "spool").rglob("*.seg"))
            for line in lines(path)
            if "record" in line
        ]
        return [
            json.loads(json.dumps(record), object_hook=lambda d: SimpleNamespace(**d)) for record in records
        ]

    return read
