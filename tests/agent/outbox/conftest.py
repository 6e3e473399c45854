from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent.clock import Clock
from agent.outbox import Identity, Outbox, Sender
from agent.records import (
    AgentEvent,
    Gap,
    Heartbeat,
    Producer,
    Record,
    SnapshotReason,
    SpoolHealth,
    StateSnapshot,
    SystemState,
)


def _load_reference() -> ModuleType:
    # Tests are no package, so that they can never shadow the code; their one shared module is loaded by its path.
    name = "scopestamp_reference_collector"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("reference.py"))
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class HandClock(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.ns = 1_000

    def wall_at(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return self.ns

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.ns += int(seconds * 1e9)


class Maker:
    """Makes small valid records."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self._common = {
            "instrument_id": identity.instrument_id,
            "producer": Producer(agent_id=identity.agent_id, version="1"),
        }
        self._clock = clock

    def event(self, number: int = 0, filling: str = "") -> AgentEvent:
        return self._make(
            AgentEvent, severity="info", event="counted", message=filling or "one", details={"n": number}
        )

    def critical(self, number: int = 0) -> Gap:
        return self._make(Gap, cause="queue_overflow", lane="events", n_records=number)

    def heartbeat(self) -> Heartbeat:
        return self._make(
            Heartbeat, uptime_s=1, spool=SpoolHealth(n_waiting=0, bytes_on_disk=0), hardware="idle"
        )

    def snapshot(self, reason: SnapshotReason = SnapshotReason.REQUESTED) -> StateSnapshot:
        state = SystemState(taken=self._clock.now(), duration_ms=1, devices={})
        return self._make(StateSnapshot, reason=reason, state=state)

    def _make(self, model: type[Record], **fields: Any) -> Any:
        return model(captured=self._clock.now(), **self._common, **fields)


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The module of the reference collector and its misdeeds."""
    return _load_reference()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def identity(data_dir: Path) -> Identity:
    return Identity.load_or_create(data_dir, "ins-test")


@pytest.fixture
def make(identity: Identity, clock: HandClock) -> Maker:
    return Maker(identity, clock)


@pytest.fixture
def outbox(data_dir: Path, identity: Identity, clock: HandClock) -> Iterator[Outbox]:
    with Outbox.open(data_dir, clock=clock, free_space=lambda: 100 << 30) as opened:
        yield opened


@pytest.fixture
def collector(reference: ModuleType, identity: Identity) -> Iterator[Any]:
    with reference.ReferenceCollector() as running:
        running.enrol(identity.public_key)
        yield running


@pytest.fixture
def sender_to(
    data_dir: Path, identity: Identity, outbox: Outbox, clock: HandClock
) -> Iterator[Callable[..., Sender]]:
    made: list[Sender] = []

    def make_sender(url: str, **options: Any) -> Sender:
        sender = Sender(data_dir, identity, url, outbox=outbox, clock=clock, **options)
        made.append(sender)
        return sender

    yield make_sender
    for sender in made:
        sender.close()


@pytest.fixture
def sender(collector: Any, sender_to: Callable[..., Sender]) -> Sender:
    return sender_to(collector.url)
