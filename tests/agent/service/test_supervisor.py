"""The supervisor over real hardware processes that really crash and really hang."""

from __future__ import annotations

import os
import queue
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.hardware.order import ChildOrder
from agent.records import Severity
from agent.service.supervisor import Supervisor

WAIT_S = 60.0


class Told:
    """Keeps what a supervisor reports, and waits for it."""

    def __init__(self) -> None:
        self._events: queue.Queue[tuple[Severity, str, str]] = queue.Queue()

    def __call__(self, severity: Severity, event: str, message: str, **details: Any) -> None:
        self._events.put((severity, event, message))

    def next(self) -> tuple[Severity, str, str]:
        return self._events.get(timeout=WAIT_S)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def supervise(order: Callable[..., ChildOrder], told: Told) -> Iterator[Callable[..., Supervisor]]:
    running: list[Supervisor] = []

    def start(configuration: str = "demo", **options: Any) -> Supervisor:
        defaults = {"call_deadline_s": 30.0, "start_deadline_s": 60.0, "backoff_s": 0.1, "backoff_max_s": 0.4}
        supervisor = Supervisor(order(configuration), told, **{**defaults, "ping_s": 0.1, **options})
        running.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in running:
        assert supervisor.stop(WAIT_S)


def test_supervisor_restarts_a_process_that_an_adapter_crashed(supervise, told, spooled):
    supervisor = supervise()
    assert told.next()[1] == "hardware_loaded"
    supervisor.call("set_property", 30, device="Camera", property="Gain", value="5")
    supervisor.call("settle", 30)
    before = {record.record_id for record in spooled()}
    with pytest.raises(Exception, match="hardware process"):
        supervisor.call(
            "set_property", 30, device="Camera", property="SimulateCrash", value="Dereference Null Pointer"
        )
    severity, event, message = told.next()
    assert (severity, event) == (Severity.ERROR, "hardware_process_crashed")
    assert "exit code" in message
    assert told.next()[1] == "hardware_loaded"
    assert supervisor.n_restarts == 1
    assert before <= {record.record_id for record in spooled()}
    assert supervisor.call("settle", 30) is True


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be stopped for a while on Windows")
def test_supervisor_ends_a_process_that_does_not_answer(supervise, told):
    supervisor = supervise(call_deadline_s=1.0)
    assert told.next()[1] == "hardware_loaded"
    os.kill(supervisor.pid, signal.SIGSTOP)
    severity, event, message = told.next()
    assert (severity, event) == (Severity.ERROR, "hardware_process_hung")
    assert "within 1 s" in message
    assert told.next()[1] == "hardware_loaded"


def test_supervisor_tries_again_when_the_configuration_does_not_load(supervise, told):
    supervisor = supervise("nowhere.cfg")
    first, second = told.next(), told.next()
    assert first[1] == second[1] == "hardware_not_loaded"
    assert "nowhere.cfg was not found" in first[2]
    assert supervisor.wait_until_up(0) is False
    with pytest.raises(Exception, match=r"not up: .*nowhere\.cfg"):
        supervisor.call("ping", 1)


class HungProcess:
    """A process in which one property has hung: no demo device can be made to do that."""

    exit_code = None
    is_alive = True
    pid = 0

    def __init__(self, order: ChildOrder) -> None:
        self.hung = {"key": ["Stage", "Position"], "for_s": 31.0} if not order.left_alone else None

    def start(self, deadline_s: float) -> dict[str, Any]:
        return {"n_devices": 1, "message": "The hardware is loaded: 1 devices."}

    def call(self, name: str, deadline_s: float) -> dict[str, Any]:
        return {"hung": self.hung}

    def kill(self) -> None:
        self.hung = None

    def stop(self, deadline_s: float) -> int:
        return 0


class SilentProcess(HungProcess):
    """A process whose camera has delivered no frame."""

    def call(self, name: str, deadline_s: float) -> dict[str, Any]:
        return {"hung": None, "is_camera_silent": True}


class StuckProcess(HungProcess):
    """A process whose driver hangs while it is unloaded, so that it was killed."""

    log_file = "hardware-output.log"

    def __init__(self, order: ChildOrder) -> None:
        self.hung = None

    def call(self, name: str, deadline_s: float) -> dict[str, Any]:
        return {"hung": None}

    def stop(self, deadline_s: float) -> int:
        return -9


def test_supervisor_tells_of_a_driver_that_hung_while_it_was_unloaded(supervise, told):
    supervisor = supervise(make_process=StuckProcess)
    assert told.next()[1] == "hardware_loaded"
    assert supervisor.stop(20)
    severity, event, message = told.next()
    assert (severity, event) == (Severity.ERROR, "hardware_not_let_go")
    assert "hardware-output.log" in message


def test_supervisor_loads_the_hardware_anew_when_its_camera_is_silent(supervise, told):
    supervisor = supervise("demo", make_process=SilentProcess)
    assert told.next()[1] == "hardware_loaded"
    severity, event, message = told.next()
    assert (severity, event) == (Severity.ERROR, "camera_silent") and "loaded anew" in message
    assert told.next()[1] == "hardware_loaded"
    assert supervisor.n_restarts >= 1


def test_supervisor_leaves_a_property_alone_that_hung(supervise, told):
    supervisor = supervise(make_process=HungProcess)
    assert told.next()[1] == "hardware_loaded"
    severity, event, message = told.next()
    assert (severity, event) == (Severity.ERROR, "hardware_call_hung")
    assert "Stage Position did not answer within 31 s" in message
    assert told.next()[1] == "hardware_loaded"
    assert supervisor.order.left_alone == [("Stage", "Position")]
