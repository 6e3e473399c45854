"""What an older agent left on the disk is sent by this one: spools of every format that was ever released."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.outbox import Outbox, Sender, Survey, enrol
from agent.outbox.collector import Collector
from agent.outbox.folders import all_spools
from agent.outbox.frames import HEADER, Frame, scan

GOLDEN = sorted((Path(__file__).parents[2] / "data" / "golden").glob("spool-v*"))
_spec = importlib.util.spec_from_file_location(
    "golden_spool", Path(__file__).with_name("make_golden_spool.py")
)
assert _spec and _spec.loader
maker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(maker)


@pytest.fixture
def url_and_code(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A real collector, and a join code of it."""
    data = ["--data", str(tmp_path / "collector"), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "run", "--port", "0", *data],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        words = ["join-code", "new", "--instrument", "Golden", "--site", "Here", *data]
        ran = subprocess.run(
            [sys.executable, "-m", "server", *words], capture_output=True, text=True, check=True, timeout=120
        )
        found = json.loads(ran.stdout)
        yield url, found.get("code") or found["join_code"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _frames(folder: Path) -> dict[str, int]:
    """Return the number of records by lane, from the bytes of the segments."""
    return {
        spool.lane.value: sum(
            isinstance(item, Frame) and not item.flags & HEADER
            for _, path in spool.segments()
            for item in scan(path.read_bytes())
        )
        for spool in all_spools(folder)
    }


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_spool_of_an_older_agent_is_drained_to_a_real_collector(golden, tmp_path, url_and_code):
    url, join_code = url_and_code
    data_dir = tmp_path / "data"
    shutil.copytree(golden / "spool", data_dir / "spool")
    identity = maker.golden_identity(data_dir)
    lanes = _frames(data_dir)
    assert lanes == {"critical": 1, "events": maker.N_EVENTS, "heartbeats": 1}
    old = {spool.lane.value: spool.spool_id for spool in all_spools(data_dir)}
    assert Survey(data_dir).take().n_waiting == sum(lanes.values())

    enrol(identity, url, join_code, instrument_name="Golden")
    clock = Clock()
    with Outbox.open(data_dir, clock=clock, free_space=lambda: 100 << 30) as outbox:
        sender = Sender(data_dir, identity, url, outbox=outbox, clock=clock)
        while (report := sender.drain_once()).n_waiting:
            assert report.refused == () and report.flagged == ()
        sender.close()

    collector = Collector(url, identity, clock=clock)
    marks = {lane: collector.cursor(spool_id).acked for lane, spool_id in old.items()}
    collector.close()
    assert marks == lanes
