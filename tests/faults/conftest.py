from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent.clock import Clock
from agent.outbox import Identity, Outbox, Sender
from agent.outbox.cursor import Position
from agent.outbox.folders import all_spools
from agent.outbox.reader import SpoolReader
from agent.records import AgentEvent, Producer

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = struct.pack("I", 2)
WRITER = Path(__file__).with_name("writer.py")


class WriterProcess:
    """The process of `writer.py`; `promised` is the highest number it was told is recorded."""

    def __init__(self, data_dir: Path, batch: int) -> None:
        self.promised = 0
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER), str(data_dir), str(batch)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> WriterProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def read_until(self, n_lines: int) -> None:
        """Read that many promises, and whatever has come since."""
        assert self._process.stdout
        for _ in range(n_lines):
            line = self._process.stdout.readline()
            if not line:
                raise AssertionError(f"the writer ended: {self._process.communicate()[1].decode()}")
            self.promised = int(line)

    def kill(self) -> None:
        """End it without notice."""
        self._process.kill()
        with self._process as process:
            process.communicate()

    def kill_and_read_on(self) -> None:
        """End it without notice; what it said before it died counts too, up to the last whole line."""
        self._process.kill()
        with self._process as process:
            said, _ = process.communicate()
        whole = said[: said.rfind(b"\n") + 1].split()
        self.promised = max([self.promised, *map(int, whole)])


class Volume:
    """A small ext4 file system of its own on a loop device."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        self.image = folder / "disk.img"
        self.root = folder / "mounted"
        self.root.mkdir()
        with self.image.open("wb") as file:
            file.truncate(mebibytes << 20)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.root))

    def unmount(self) -> None:
        _run("umount", str(self.root))

    def cut_power(self) -> None:
        """Stop the file system at this instant; what is in memory alone is lost."""
        import fcntl

        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, _NOLOGFLUSH)
        finally:
            os.close(descriptor)

    def fill(self) -> None:
        """Take all space that is left, to the last block."""
        with (self.root / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                piece = b"f" * size
                try:
                    while file.write(piece) == size:
                        pass
                except OSError:
                    continue


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def _mounted(folder: Path, mebibytes: int) -> Iterator[Volume]:
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("needs Linux, root and mkfs.ext4 for a file system of its own")
    volume = Volume(folder, mebibytes)
    try:
        volume.mount()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop mount here: {error.stderr.decode().strip()}")
    try:
        yield volume
    finally:
        subprocess.run(["umount", "-l", str(volume.root)], capture_output=True, timeout=60)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    with _mounted(tmp_path, 32) as mounted:
        yield mounted


def read_back(data_dir: Path) -> list[int]:
    """Return the numbers of all records that can be read, as a drainer of dead writers sees them."""
    found = []
    for spool in all_spools(data_dir):
        for item in SpoolReader(spool, Position(), is_live=False):
            record = json.loads(item.record)
            found.append(record["n_records"] if record["kind"] == "gap" else record["details"]["n"])
    return sorted(found)


@pytest.fixture
def start_writer() -> type[WriterProcess]:
    return WriterProcess


@pytest.fixture
def read_numbers() -> Any:
    return read_back


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The module of the reference collector, shared with the outbox's own tests."""
    name = "scopestamp_reference_collector"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "agent" / "outbox" / "reference.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Bench:
    """An identity, an outbox, a sender and a collector around one data folder."""

    def __init__(self, data_dir: Path, collector: Any, **options: Any) -> None:
        self.clock = Clock()
        self.identity = Identity.load_or_create(data_dir, "ins-fault")
        self.outbox = Outbox.open(data_dir, clock=self.clock, **options)
        collector.enrol(self.identity.public_key)
        self.sender = Sender(data_dir, self.identity, collector.url, outbox=self.outbox, clock=self.clock)

    def event(self, number: int, message: str = "one") -> AgentEvent:
        return AgentEvent(
            captured=self.clock.now(),
            instrument_id="ins-fault",
            producer=Producer(agent_id=self.identity.agent_id, version="1"),
            severity="info",
            event="counted",
            message=message,
            details={"n": number},
        )

    def close(self) -> None:
        self.sender.close()
        self.outbox.close()


@pytest.fixture
def collector(reference: ModuleType) -> Iterator[Any]:
    with reference.ReferenceCollector() as running:
        yield running


@pytest.fixture
def bench_in(collector: Any) -> Iterator[Any]:
    made: list[Bench] = []

    def make(data_dir: Path, **options: Any) -> Bench:
        made.append(Bench(data_dir, collector, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()
