"""A Studio in a process of its own, and the agent beside it: attached, left, attached again; everything recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import HardwareError
from agent.outbox.inspect import lines
from agent.service import Daemon
from agent.settings import AgentSettings
from agent.snapshot import read_hardware

pytest.importorskip("mm_test_adapters", reason="needs Micro-Manager's demo adapters")

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0
CHANNELS = [
    {"channelGroup": "Channel", "config": name, "exposure": 2.0, "useChannel": True, "doZStack": True}
    for name in ("DAPI", "FITC")
]
SETTINGS = {"useFrames": True, "numFrames": 3, "useChannels": True, "channels": CHANNELS, "save": True}


class Studio:
    """The stand-in, run by a user who works through `do`."""

    def __init__(self, port: int = 0) -> None:
        folder = ROOT / "tests" / "drivers" / "mmstudio"
        path = os.pathsep.join([str(folder), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "studio_standin", "--listener", "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.port = self._hear()["port"]

    def do(self, **order: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._hear()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _hear(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        assert line, "the stand-in ended"
        return json.loads(line)


@pytest.fixture
def open_studio() -> Iterator[Callable[..., Studio]]:
    opened: list[Studio] = []

    def open_one(port: int = 0) -> Studio:
        opened.append(Studio(port))
        return opened[-1]

    yield open_one
    for studio in opened:
        studio.kill()


def settings_for(port: int) -> AgentSettings:
    studio = {"port": port, "interval_s": 0.05, "timeout_s": 5.0}
    return AgentSettings.model_validate(
        {"hardware": {"driver": "mmstudio", "studio": studio}, "capture": {"poll_interval_s": 1.0}}
    )


def records_in(folder: Path) -> list[dict[str, Any]]:
    segments = sorted((folder / "spool").rglob("*.seg"))
    return [line["record"] for path in segments for line in lines(path) if "record" in line]


def wait_for(daemon: Daemon, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for a record; the agent looks at Studio by itself, a few times a second."""
    pause, records = threading.Event(), []
    for _ in range(600):
        records = records_in(daemon.data_dir)
        if found := [record for record in records if is_it(record)]:
            return found[-1]
        pause.wait(0.1)
    raise AssertionError(f"it did not come; there are {[record['kind'] for record in records]}")


def is_camera_described(record: dict[str, Any]) -> bool:
    return record["kind"] == "instrument" and "Camera" in record["devices"]


def has_gain_changed(record: dict[str, Any]) -> bool:
    return record["kind"] == "state_change" and any(c["property"] == "Gain" for c in record["changes"])


def test_agent_follows_studio_through_its_life(open_studio: Callable[..., Studio], tmp_path: Path) -> None:
    first = open_studio()
    first.kill()
    settings = settings_for(first.port)
    daemon = Daemon(settings, tmp_path / "data")
    daemon.start()
    try:
        follow(daemon, open_studio, settings, tmp_path)
    finally:
        assert daemon.stop()
    records = records_in(tmp_path / "data")
    events = [(r["severity"], r["event"]) for r in records if r["kind"] == "agent_event"]
    assert [event for event in events if event[0] != "info"] == []
    assert "instrument_left" in {name for _, name in events}
    assert daemon.supervisor.n_restarts == 0


def follow(daemon: Daemon, open_studio: Callable[..., Studio], settings: AgentSettings, folder: Path) -> None:
    assert daemon.supervisor.wait_until_up(WAIT_S)
    daemon.supervisor.refresh()
    assert daemon.heartbeat().hardware == "starting"
    with pytest.raises(HardwareError, match="does not answer"):
        read_hardware(settings)

    studio = open_studio(settings.hardware.studio.port)
    wait_for(daemon, is_camera_described)
    wait_for(daemon, lambda r: r["kind"] == "state_snapshot" and r["reason"] == "configuration_loaded")

    done = studio.do(
        do="run", settings={**SETTINGS, "root": (folder / "images").as_posix(), "prefix": "cells"}
    )
    finished = wait_for(daemon, lambda r: r["kind"] == "acquisition_finished")
    assert finished["reason"] == "completed"
    assert finished["frames"] == {"expected": 6, "seen": 6, "unstamped": 0, "dropped": 0}
    assert [channel["preset"] for channel in finished["plan"]["channels"]] == ["DAPI", "FITC"]
    assert Path(done["path"]).name == "cells_1"
    ledger = wait_for(daemon, lambda r: r["kind"] == "frame_ledger")
    assert ledger["columns"]["channel"] == ["DAPI", "FITC"] * 3
    assert ledger["columns"]["index"][-1] == {"t": 2, "c": 1}
    (files,) = finished["files"]
    assert files["format"] == "ome-tiff" and len(files["sha256"]) == 64
    wait_for(daemon, lambda r: r["kind"] == "dataset_stamp")
    assert list((folder / "images").rglob("*.scopestamp.json"))

    studio.do(do="set", device="Camera", property="Gain", value="3")
    wait_for(daemon, has_gain_changed)

    rows = {(row["device"], row["property"]): row["value"] for row in read_hardware(settings)}
    assert rows["Camera", "Gain"] == 3

    studio.kill()
    wait_for(daemon, lambda r: r["kind"] == "agent_event" and r["event"] == "instrument_left")
    n_before = sum(map(is_camera_described, records_in(daemon.data_dir)))
    open_studio(settings.hardware.studio.port)
    wait_for(daemon, lambda r: sum(map(is_camera_described, records_in(daemon.data_dir))) > n_before)
