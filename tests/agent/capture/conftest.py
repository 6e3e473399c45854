"""The capture over real hardware: the demo adapters, and devices written in Python among them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from agent.capture import Capture
from agent.capture.publish import Publisher
from agent.capture.worker import CaptureOptions
from agent.clock import Clock
from agent.errors import SpoolFullError
from agent.mint import Mint
from agent.records import Change, Record, StateChange

AnyRecord = TypeVar("AnyRecord", bound=Record)
ROOT = Path(__file__).parents[3]
RARELY_S = 3600.0


def _load_drivers_conftest() -> Any:
    # Tests are no package; the fixtures that make hardware are shared by loading their file.
    spec = importlib.util.spec_from_file_location(
        "scopestamp_drivers_conftest", ROOT / "tests" / "drivers" / "conftest.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_drivers = _load_drivers_conftest()
make_core = _drivers.make_core
faulty_probe = _drivers.faulty_probe


class Shelf:
    """An outbox in memory, that can be full."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.is_full = False
        self._came = threading.Condition()

    def put(self, *records: Record) -> None:
        if self.is_full:
            raise SpoolFullError("no space left")
        with self._came:
            self.records += records
            self._came.notify_all()

    def of(self, kind: type[AnyRecord]) -> list[AnyRecord]:
        return [record for record in self.records if isinstance(record, kind)]

    def one(self, kind: type[AnyRecord]) -> AnyRecord:
        found = self.of(kind)
        assert len(found) == 1, f"expected one {kind.__name__}; got {len(found)}"
        return found[0]

    def wait_for(self, is_it: Callable[[Record], bool], timeout_s: float = 10.0) -> Record:
        with self._came:
            assert self._came.wait_for(lambda: any(map(is_it, self.records)), timeout_s), "did not come"
        return next(record for record in self.records if is_it(record))

    def changes(self) -> list[Change]:
        """Return every entry of the change log, one by one."""
        return [change for record in self.of(StateChange) for change in record.changes]

    def frames(self) -> list[dict[str, Any]]:
        """Return the ledger as one dict a frame, with its state spelled out as 'values'."""
        from agent.records import FrameLedger

        rows = []
        for ledger in self.of(FrameLedger):
            columns = ledger.columns.model_dump()
            for values in zip(*columns.values(), strict=True):
                row = dict(zip(columns, values, strict=True))
                row["values"] = ledger.states[row["state"]].values if ledger.states else {}
                rows.append(row)
        return rows

    def clear(self) -> None:
        with self._came:
            self.records.clear()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def mint() -> Mint:
    return Mint("scope-1", "agent-1", Clock())


@pytest.fixture
def publisher(shelf: Shelf) -> Publisher:
    return Publisher(shelf)


@pytest.fixture
def core(make_core: Callable[..., Any]) -> Any:
    """A core with the demo configuration."""
    return make_core()


@pytest.fixture
def make_capture(shelf: Shelf, mint: Mint, tmp_path: Path) -> Iterator[Callable[..., Capture]]:
    """Start captures of a core or a driver; by default they poll only when asked."""
    from drivers import Driver
    from drivers.mmcore import MMCoreDriver

    started: list[Capture] = []

    def make(hardware: Any, **options: Any) -> Capture:
        driver = hardware if isinstance(hardware, Driver) else MMCoreDriver(hardware)
        options = {"poll_interval_s": RARELY_S, "poll_pause_s": 0.0, **options}
        capture = Capture(driver, shelf, mint, tmp_path / "data", CaptureOptions(**options))
        started.append(capture)
        capture.start()
        assert capture.settle(20)
        return capture

    yield make
    for capture in started:
        capture.stop(20)


@pytest.fixture
def spooled(tmp_path: Path) -> Callable[..., list[SimpleNamespace]]:
    """Read every record in the spools of a data folder, from the segments themselves, oldest spool first."""
    from agent.outbox.inspect import lines

    def read(data_dir: Path | None = None, kind: str | None = None) -> list[SimpleNamespace]:
        folder = (data_dir or tmp_path / "data") / "spool"
        records = [
            line["record"]
            for path in sorted(folder.rglob("*.seg"))
            for line in lines(path)
            if "record" in line
        ]
        return [
            json.loads(json.dumps(record), object_hook=lambda fields: SimpleNamespace(**fields))
            for record in records
            if kind in (None, record["kind"])
        ]

    return read


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a process of its own, in the test's folder."""

    def run(
        program: str, *arguments: object, timeout_s: float = 60.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-c", program, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )

    return run
