"""Parts of the agent that really die and really hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from agent.pulse import Pulse
from agent.records import Severity
from agent.service import Daemon
from agent.service.vigil import LOOK_S, Part, Watchdog
from agent.settings import AgentSettings
from agent.supervise import AGAIN_S, shielded

WAIT_S = 60.0


class HandTime:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def kill_thread(name: str, part: object, method: str) -> None:
    """End a part's thread where it next calls a method, with something that nobody catches."""
    thread = next(t for t in threading.enumerate() if t.name == f"scopestamp-{name}")
    sound = getattr(part, method)

    def die(*args: Any) -> Any:
        if threading.current_thread() is thread:
            raise SystemExit
        return sound(*args)

    setattr(part, method, die)
    thread.join(WAIT_S)
    assert not thread.is_alive()


@pytest.fixture
def time_s() -> HandTime:
    return HandTime()


@pytest.fixture
def told() -> list[tuple[Severity, str, Any]]:
    return []


@pytest.fixture
def watchdog(told, time_s) -> Watchdog:
    def report(severity: Severity, event: str, message: str, **details: Any) -> None:
        told.append((severity, event, details.get("part") or details["what"]))

    return Watchdog(report, time_s)


@pytest.fixture
def free() -> Iterator[threading.Event]:
    """What hanging parts wait for; set at the end."""
    event = threading.Event()
    yield event
    event.set()


def part(name: str, pulse: Pulse, free: threading.Event, **options: Any) -> Part:
    def start() -> threading.Thread:
        thread = threading.Thread(target=free.wait, daemon=True)
        thread.start()
        return thread

    return Part(name, pulse, start, **options)


def test_a_part_that_beats_in_time_is_left_alone(watchdog, told, time_s, free):
    pulse = Pulse(time_s)
    watchdog.keep(part("sender", pulse, free))
    for _ in range(10):
        pulse.beat(LOOK_S + 1)
        time_s.now_s += LOOK_S
        watchdog.look()
    assert told == [] and watchdog.parts[0].state == "running"


def test_a_part_that_hangs_is_told_once_and_again_when_it_is_back(watchdog, told, time_s, free):
    pulse = Pulse(time_s)
    watchdog.keep(part("sender", pulse, free))
    pulse.beat(30)
    for _ in range(10):
        time_s.now_s += LOOK_S
        watchdog.look()
    assert told == [(Severity.ERROR, "part_late", "sender")]
    assert (watchdog.parts[0].state, watchdog.parts[0].n_restarts) == ("late", 0)
    pulse.beat(30)
    watchdog.look()
    assert told[1:] == [(Severity.INFO, "part_back", "sender")]


def test_a_part_that_hangs_and_can_be_replaced_gets_another_thread(watchdog, told, time_s, free):
    pulse = Pulse(time_s)
    kept = watchdog.keep(part("watch", pulse, free, can_replace=True))
    first = kept.thread
    pulse.beat(1)
    time_s.now_s += LOOK_S
    watchdog.look()
    assert kept.thread is not first and kept.n_restarts == 1
    assert [event for _, event, _ in told] == ["part_late"]


def test_a_computer_that_slept_is_no_part_that_hangs(watchdog, told, time_s, free):
    pulse = Pulse(time_s)
    watchdog.keep(part("sender", pulse, free))
    pulse.beat(30)
    watchdog.look()
    time_s.now_s += 6 * 3600
    watchdog.look()
    assert told == [] and watchdog.parts[0].late_s == 0


def fail() -> None:
    raise ZeroDivisionError


def test_what_fails_inside_is_told_at_once_and_then_once_an_hour(watchdog, told, time_s):
    for _ in range(3):
        assert shielded(fail, "dividing") is None
    watchdog.look()
    assert told == [(Severity.ERROR, "failed_inside", "dividing")]
    for _ in range(10):
        shielded(fail, "dividing")
        watchdog.look()
    assert len(told) == 1
    shielded(fail, "adding")
    time_s.now_s += AGAIN_S
    watchdog.look()
    assert [what for *_, what in told[1:]] == ["dividing", "adding"]
    watchdog.look()
    assert len(told) == 3


@pytest.fixture
def daemon(tmp_path, monkeypatch) -> Iterator[Daemon]:
    monkeypatch.setattr("agent.quality.schedule.scheduler.LOOK_S", 0.2)  # a thread dies when it next wakes
    monkeypatch.setattr("agent.service.vigil.LOOK_S", 3600.0)  # the test looks by itself
    (tmp_path / "images").mkdir()
    settings = {
        "watch": {"folders": [str(tmp_path / "images")], "rescan_s": 0.5},
        "collector": {"url": "http://127.0.0.1:9", "heartbeat_interval_s": 0.2},
    }
    running = Daemon(AgentSettings.model_validate(settings), tmp_path / "data")
    running.start()
    yield running
    assert running.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("name", "part_of", "method"),
    [
        ("sender", lambda daemon: daemon.sender, "drain_once"),
        ("watch", lambda daemon: daemon.folders.watcher, "step"),
        ("heartbeat", lambda daemon: daemon, "heartbeat"),
        ("schedule", lambda daemon: daemon.scheduler, "look"),
    ],
    ids=["sender", "watch", "heartbeat", "schedule"],
)
def test_each_thread_of_the_agent_that_dies_is_told_and_started_again(name, part_of, method, daemon, spooled):
    kill_thread(name, part_of(daemon), method)
    assert next(p for p in daemon.heartbeat().parts if p.name == name).state == "stopped"
    daemon.watchdog.look()
    after = next(p for p in daemon.heartbeat().parts if p.name == name)
    assert (after.state, after.n_restarts) == ("running", 1)
    events = [r for r in spooled() if r.kind == "agent_event" and r.event == "part_stopped"]
    assert [event.details.part for event in events] == [name]


def test_a_part_that_fails_again_and_again_is_told(daemon, spooled, monkeypatch):
    monkeypatch.setattr("agent.service.daemon._AGAIN_S", 0.05)
    fails = iter([threading.Event(), again := threading.Event()])

    def look() -> None:
        next(fails, again).set()
        raise ZeroDivisionError

    daemon.scheduler.look = look
    assert again.wait(WAIT_S)
    daemon.watchdog.look()
    events = [r for r in spooled() if r.kind == "agent_event" and r.event == "failed_inside"]
    assert [event.details.what for event in events] == ["schedule"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watchdog_that_dies_is_told_and_started_again(tmp_path, spooled, monkeypatch):
    monkeypatch.setattr("agent.service.vigil.LOOK_S", 0.05)
    daemon = Daemon(
        AgentSettings.model_validate({"collector": {"url": "http://127.0.0.1:9"}}), tmp_path / "data"
    )
    daemon.start()
    kill_thread("watchdog", daemon.watchdog, "look")
    daemon.look_after_watchdog()
    assert any(thread.name == "scopestamp-watchdog" for thread in threading.enumerate())
    daemon.look_after_watchdog()
    assert daemon.stop()
    events = [r for r in spooled() if r.kind == "agent_event" and r.event == "part_stopped"]
    assert [event.details.part for event in events] == ["watchdog"]


def test_a_heartbeat_names_every_part(daemon):
    names = [one.name for one in daemon.heartbeat().parts]
    assert names == ["sender", "watch", "heartbeat", "schedule"]
