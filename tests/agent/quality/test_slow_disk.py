"""A disk that takes long to be hashed costs no run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.errors import HardwareError
from agent.quality import acquire
from agent.quality.acquire import Acquisition
from agent.quality.steps import Shot
from agent.quality.watcher import Watcher

SHOT = Shot("image", {"channels": [{"config": "FITC", "exposure": 1.0}]})


class SlowDisk:
    """A hardware process that has its frames hashed when it is asked for the n-th time."""

    def __init__(self, settles_at: int) -> None:
        self.left, self.orders = settles_at, list[str]()

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        self.orders.append(name)
        if name == "settle":
            self.left -= 1
            return self.left <= 0
        return {"ping": {"n_frames": 1}, "read_all": []}.get(name)


def test_frames_are_waited_for_until_they_are_stamped(tmp_path: Path) -> None:
    hardware = SlowDisk(settles_at=3)
    acquired = Acquisition(hardware, tmp_path, "illumination", Watcher()).take([SHOT])
    assert hardware.orders.count("settle") == 3
    assert len(acquired.datasets["image"]) == 1


def test_frames_that_are_never_stamped_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acquire, "SETTLED_S", 0.0)
    with pytest.raises(HardwareError, match="is not hashed and stamped"):
        Acquisition(SlowDisk(settles_at=99), tmp_path, "illumination", Watcher()).take([SHOT])
