"""The sender against the real collector, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.clock import Clock
from agent.errors import CollectorRefusedError
from agent.outbox import Identity, Lane, Outbox, Sender, enrol
from agent.outbox import spool as spool_module
from agent.outbox.collector import Collector
from agent.outbox.cursor import Position
from agent.outbox.folders import all_spools
from agent.outbox.reader import SpoolReader


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "server",
            "run",
            "--data",
            str(tmp_path / "collector"),
            "--port",
            "0",
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    ready = json.loads(process.stdout.readline())
    assert ready["event"] == "ready"
    yield ready["url"], tmp_path / "collector"
    process.terminate()
    process.communicate(timeout=30)


@pytest.fixture
def join_code(server: Any) -> str:
    _, data = server
    command = [
        "join-code",
        "new",
        "--data",
        str(data),
        "--instrument",
        "Confocal 2",
        "--site",
        "Here",
        "--json",
    ]
    answer = subprocess.run(
        [sys.executable, "-m", "server", *command], capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(answer.stdout)
    return found.get("code") or found["join_code"]


@pytest.fixture
def real(server: Any, data_dir: Path, identity: Identity) -> Iterator[Any]:
    clock = Clock()
    with Outbox.open(data_dir, clock=clock, free_space=lambda: 100 << 30) as outbox:
        sender = Sender(data_dir, identity, server[0], outbox=outbox, clock=clock)
        yield outbox, sender
        sender.close()


def mark_of(identity: Identity, url: str, spool_id: str) -> int:
    collector = Collector(url, identity, clock=Clock())
    try:
        return collector.cursor(spool_id).acked
    finally:
        collector.close()


def test_enrol_send_skip_and_send_again(server, join_code, real, identity, make, data_dir, monkeypatch):
    url, _ = server
    outbox, sender = real
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 20_000)
    outbox.put(make.event(0))
    with pytest.raises(CollectorRefusedError) as caught:
        sender.drain_once()
    assert caught.value.status in (401, 403)

    reply = enrol(identity, url, join_code, instrument_name="Confocal 2")
    assert reply.instrument_id == identity.instrument_id
    assert enrol(identity, url, join_code, instrument_name="Confocal 2").agent_id == identity.agent_id

    for n in range(1, 13):
        outbox.put(*[make.event(n * 100 + m) for m in range(100)], make.heartbeat(), make.critical(n))
    (events,) = [spool for spool in all_spools(data_dir) if spool.lane is Lane.EVENTS]
    middle = events.segments()[2]
    n_gone = events.segments()[3][0] - middle[0]
    middle[1].unlink()
    report = sender.drain_once()
    assert report.n_waiting == 0 and report.flagged == () and report.refused == ()
    assert mark_of(identity, url, events.spool_id) >= 1201
    assert report.n_sent >= 1201 - n_gone + 24

    # The cursor is lost and what is left is sent again: the collector recognises it.
    (events.path / "cursor").write_bytes(bytes(256))
    outbox.put(make.event(5000))
    assert sender.drain_once().n_waiting == 0
    n_left = sum(1 for _ in SpoolReader(events, Position(), is_live=True))
    assert n_left >= 1
    assert mark_of(identity, url, events.spool_id) == outbox.last_seq()[Lane.EVENTS]
