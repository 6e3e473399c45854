"""A watcher that is stepped by hand, with a clock of its own, and files of the real writers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.capture.publish import Publisher
from agent.chronicle import Chronicle
from agent.clock import Clock
from agent.mint import Mint
from agent.records import Record
from agent.settings import WatchSettings
from agent.watch.register import Register
from agent.watch.report import Reporting
from agent.watch.watcher import Watcher

ROOT = Path(__file__).parents[3]
SETTLE_S = 10.0
INCOMPLETE_S = 3600.0


class HandClock(Clock):
    """Goes on only when told."""

    def __init__(self) -> None:
        super().__init__()
        self.at = datetime.now(UTC)
        self.ns = 0

    def wall_at(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return self.ns

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.ns += int(seconds * 1e9)


class Shelf:
    """An outbox in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, *records: Record) -> None:
        self.records += records

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


class Bench:
    """A watcher of one folder with all it needs; `again` is what a restart of the agent makes of it."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "images"
        self.folder.mkdir()
        self.data_dir = base / "data"
        self.data_dir.mkdir()
        self.clock, self.shelf = HandClock(), Shelf()
        self.mint = Mint("scope-1", "agent-1", self.clock)
        self.chronicle = Chronicle(self.data_dir)
        self.told: list[str] = []
        self.is_busy = False
        self.register: Register | None = None
        self.watcher: Watcher | None = None

    def open(self, folders: tuple[Path, ...] = (), **parts: Any) -> Watcher:
        self.close()
        self.register = Register(self.data_dir / "watch.sqlite")
        reporting = {name: parts.pop(name) for name in list(parts) if name in Reporting.__dataclass_fields__}
        others = {name: parts.pop(name) for name in list(parts) if name in ("hints", "is_share")}
        settings = WatchSettings(
            folders=tuple(map(str, folders or (self.folder,))),
            **{"settle_s": SETTLE_S, "incomplete_after_s": INCOMPLETE_S, "observer": "none", **parts},
        )
        self.watcher = Watcher(
            settings,
            Reporting(self.mint, Publisher(self.shelf), self.chronicle, self.register, **reporting),
            self.clock,
            lambda severity, event, message, **_: self.told.append(event),
            lambda: self.is_busy,
            **others,
        )
        return self.watcher

    def close(self) -> None:
        if self.watcher is not None:
            self.watcher._hints.stop()
        if self.register is not None:
            self.register.close()
        self.watcher = self.register = None

    def pass_time(self, seconds: float, step_s: float = 1.0) -> None:
        """Step through so much time."""
        assert self.watcher is not None
        left = seconds
        while left > 0:
            self.watcher.step()
            self.clock.advance(min(step_s, left))
            left -= step_s
        self.watcher.step()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()
    made.chronicle.close()


@pytest.fixture
def write_tiff() -> Callable[..., Path]:
    """Write a real TIFF with tifffile."""
    import tifffile

    def write(path: Path, n_pages: int = 2, seed: int = 0) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 4096, (n_pages, 16, 16), dtype=np.uint16)
        tifffile.imwrite(path, pixels, photometric="minisblack", ome=".ome." in path.name)
        return path

    return write


@pytest.fixture
def run_writer(tmp_path: Path) -> Callable[..., int]:
    """Run a program that writes images, in a process of its own that may kill itself; return its exit code."""

    def run(program: str, *arguments: object) -> int:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    return run


class Studio:
    """Writes what Micro-Manager Studio writes, in its order: a frame at a time, the comments last."""

    def __init__(self, folder: Path, n_frames: int, name: str = "run_1") -> None:
        import tifffile

        self.folder, self.n_frames, self._name = folder, n_frames, name
        folder.mkdir(parents=True)
        self._tiff = tifffile.TiffWriter(folder / f"{name}_MMStack_Pos0.ome.tif")
        summary = {
            "Prefix": name,
            "MicroManagerVersion": "2.0.3",
            "IntendedDimensions": {"position": 1, "time": n_frames, "z": 1, "channel": 1},
            "Comment": 'braces } in { a "string"',
        }
        self.metadata = folder / f"{name}_MMStack_Pos0_metadata.txt"
        self._text = self.metadata.open("w", encoding="utf-8")
        self._text.write("{\n" + self._member("Summary", summary))
        self._written = 0

    def _member(self, key: str, value: Any) -> str:
        body = json.dumps({key: value}, indent=2)
        return body[2:-2]

    def frame(self) -> None:
        number = self._written
        self._tiff.write(np.full((8, 8), number, np.uint16), contiguous=False)
        told = {
            "Width": 8,
            "Height": 8,
            "UserData": {"Objective-Label": {"type": "STRING", "scalar": "Plan Apo 60x"}},
            "Exposure-ms": 10.0,
            "PixelSizeUm": 0.1,
        }
        self._text.write(
            ",\n"
            + self._member(f"Metadata-Default/img_channel000_position000_time{number:09}_z000.tif", told)
        )
        self._written += 1

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        self._text.write("\n}\n")
        self._text.close()
        self._tiff.close()
        (self.folder / "comments.txt").write_text('{\n  "encoding": "UTF-8"\n}\n')

    def die(self, n_bytes_lost: int) -> None:
        """Leave what a killed Studio leaves: the text ends anywhere, and there are no comments."""
        self._text.close()
        self._tiff.close()
        os.truncate(self.metadata, self.metadata.stat().st_size - n_bytes_lost)


@pytest.fixture
def studio() -> type[Studio]:
    return Studio


@pytest.fixture
def make_acquisition() -> Callable[..., tuple[Any, Any]]:
    """Note an acquisition in the chronicle, as the capture does: begun `ago_s` before now, and over after `lasted_s`."""
    from uuid import uuid4

    from agent.records import (
        AcquisitionFinished,
        AcquisitionPlan,
        AcquisitionStarted,
        FinishReason,
        FrameCount,
    )

    def make(
        bench: Bench,
        *,
        ago_s: float = 60.0,
        lasted_s: float | None = 30.0,
        n_frames: int = 2,
        outputs: tuple[str, ...] = (),
    ) -> tuple[Any, Any]:
        now = bench.clock.now()
        began = now.model_copy(update={"wall_at": now.wall_at - timedelta(seconds=ago_s)})
        acquisition_id = uuid4()
        plan = AcquisitionPlan(axes={"t": n_frames})
        common = {"acquisition_id": acquisition_id, "started": began, "plan": plan}
        started = bench.mint.make(AcquisitionStarted, outputs=outputs, **common)
        bench.chronicle.note(started)
        if lasted_s is None:
            return started, None
        finished = bench.mint.make(
            AcquisitionFinished,
            finished=began.model_copy(update={"wall_at": began.wall_at + timedelta(seconds=lasted_s)}),
            reason=FinishReason.COMPLETED,
            frames=FrameCount(expected=n_frames, seen=n_frames),
            **common,
        )
        bench.chronicle.note(finished)
        return started, finished

    return make
