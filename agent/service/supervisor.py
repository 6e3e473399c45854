"""Keeps the hardware process alive: notices when it crashes or hangs, says so, and starts it again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.errors import HardwareError
from agent.hardware.order import ChildOrder
from agent.hardware.owner import other_owner
from agent.hardware.process import HardwareProcess
from agent.pulse import Pulse
from agent.records import Severity

PING_S = 2.0
OWNER_S = 5.0  # between two looks whether somebody else still has the hardware
ENDING_S = 2.0  # a process that crashed is gone for the system only once its memory is
LATE_S = 20.0
CLOSE_S = 30.0  # the hardware process ends itself a little earlier
STABLE_S = 600.0  # a process that lived this long starts over with the shortest pause
_log = logging.getLogger("scopestamp.supervisor")


class Report(Protocol):
    """Takes what is to be said of the hardware process."""

    def __call__(self, severity: Severity, event: str, message: str, **details: Any) -> None:
        """Say it, in the log and as a record."""


@dataclass
class Supervisor:
    """Keeps one hardware process alive on a thread of its own.

    Attributes
    ----------
    order : ChildOrder
        What the process is to load.
    report : Report
        Takes what happens.
    call_deadline_s, start_deadline_s : float
        A hardware call, or loading the configuration, that takes longer counts as hung.
    backoff_s, backoff_max_s : float
        The pause before a new start doubles from the one to the other.
    status : dict or None
        The process's last answer to a ping; None while it is not up.
    n_restarts : int
        How often it was started again.
    """

    order: ChildOrder
    report: Report
    call_deadline_s: float
    start_deadline_s: float
    backoff_s: float
    backoff_max_s: float
    ping_s: float = PING_S
    make_process: Callable[[ChildOrder], HardwareProcess] = HardwareProcess
    n_restarts: int = 0
    status: dict[str, Any] | None = None
    is_starting: bool = True
    last_error: str | None = None
    pulse: Pulse = field(default_factory=Pulse)
    _process: HardwareProcess | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _up: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self) -> threading.Thread:
        """Start the thread and return it; one that died is followed by another, with a hardware process of its own."""
        if self._process is not None and self._process.is_alive:
            self._process.kill()
        self._thread = threading.Thread(target=self._run, name="scopestamp-supervisor", daemon=True)
        self._thread.start()
        return self._thread

    def stop(self, timeout_s: float) -> bool:
        """Let the process go of the hardware and end; return whether all ended in time."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wait_until_up(self, timeout_s: float) -> bool:
        """Wait until the hardware is loaded."""
        return self._up.wait(timeout_s)

    def wait_for_restart(self, n_restarts: int, timeout_s: float) -> bool:
        """Wait until the hardware is loaded again after at least so many restarts."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.n_restarts >= n_restarts and self._up.is_set(), timeout_s
            )

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        """Call the hardware process; raise `HardwareError` when it cannot, or is not up."""
        process = self._process
        if process is None or not self._up.is_set():
            raise HardwareError(f"The hardware is not up: {self.last_error or 'it is being loaded'}.")
        return process.call(name, deadline_s, **args)

    def refresh(self) -> None:
        """Ask the process how it fares now, instead of at the next ping."""
        self.status = self.call("ping", self.call_deadline_s)

    @property
    def pid(self) -> int | None:
        """Process id of the hardware process."""
        return self._process.pid if self._process and self._process.is_alive else None

    # -- the supervisor's thread

    def _run(self) -> None:
        pause_s = self.backoff_s
        while not self._stop.is_set():
            self._wait_for_hardware()
            began = time.monotonic()
            self._live_once()
            self._up.clear()
            self.status = None
            self.pulse.beat(pause_s + LATE_S)
            if self._stop.is_set():
                return
            if time.monotonic() - began > STABLE_S:
                pause_s = self.backoff_s
            self._stop.wait(pause_s)
            pause_s = min(pause_s * 2, self.backoff_max_s)
            self.n_restarts += 1

    def _wait_for_hardware(self) -> None:
        """Wait for as long as somebody else has the hardware; say so once of each."""
        while not self._stop.is_set() and (words := other_owner(self.order.settings.hardware)) is not None:
            self.is_starting = False
            if words != self.last_error:
                self.last_error = words
                self.report(Severity.WARNING, "hardware_in_use", words)
            self.pulse.beat(OWNER_S + LATE_S)
            self._stop.wait(OWNER_S)

    def _live_once(self) -> None:
        """Start the process and follow it to its end."""
        self.is_starting = True
        hardware = self.order.settings.hardware
        self.pulse.beat(self.start_deadline_s + hardware.wait_s + LATE_S)
        process = self._process = self.make_process(self.order)
        try:
            ready = process.start(self.start_deadline_s)
        except HardwareError as error:
            self._fail("hardware_not_loaded", str(error))
            return
        finally:
            self.is_starting = False
        self.last_error = None
        self._up.set()
        with self._changed:
            self._changed.notify_all()
        self.report(Severity.INFO, "hardware_loaded", ready["message"])
        why = self._follow(process)
        if why is None:
            self._let_go(process)
        else:
            process.kill()
            self._fail(*why)

    def _let_go(self, process: HardwareProcess) -> None:
        self.pulse.beat(2 * CLOSE_S + LATE_S)
        if process.stop(CLOSE_S) != 0:
            self.report(
                Severity.ERROR,
                "hardware_not_let_go",
                "A device driver hung while it was unloaded; the hardware process was ended. Where it hung stands in "
                f"{process.log_file}. Switch the device off and on when it does not answer at the next start.",
            )

    def _follow(self, process: HardwareProcess) -> tuple[str, str] | None:
        """Ping until told to stop (None) or until something is wrong (event and message)."""
        while True:
            self.pulse.beat(self.call_deadline_s + self.ping_s + LATE_S)
            try:
                self.status = process.call("ping", self.call_deadline_s)
            except HardwareError:
                return self._cause_of_death(process)
            if (hung := self.status["hung"]) and hung["for_s"] > self.call_deadline_s:
                return self._leave_alone(hung)
            if broken := self._broken(self.status):
                return broken
            if self._stop.wait(self.ping_s):
                return None

    def _broken(self, status: dict[str, Any]) -> tuple[str, str] | None:
        """Return event and message when capture has come to a halt although the process answers."""
        if stalled_s := status.get("stalled_s"):
            return (
                "acquisition_hung",
                f"An acquisition of the agent's own has delivered no frame for {stalled_s:.0f} s longer than it may. The "
                "hardware process was ended; the acquisition is closed as interrupted. Check the camera.",
            )
        if status.get("is_camera_silent"):
            return (
                "camera_silent",
                "The camera delivered no frame in an acquisition of the agent's own, which ended in an error. The hardware is "
                "loaded anew, and what a quality-control run had moved is put back then. Check the camera if it happens again.",
            )
        stopped = [name for name, is_alive, late_s in status.get("parts", ()) if not is_alive or late_s]
        if stopped:
            return (
                "capture_part_stopped",
                f"In the hardware process '{', '.join(stopped)}' came to a halt. The process was ended and is started "
                "again; what it had recorded is safe on disk.",
            )
        return None

    def _cause_of_death(self, process: HardwareProcess) -> tuple[str, str]:
        if not process.ends_within(ENDING_S):
            return (
                "hardware_process_hung",
                f"The hardware process did not answer within {self.call_deadline_s:g} s and was ended.",
            )
        return (
            "hardware_process_crashed",
            f"The hardware process ended by itself with exit code {process.exit_code}; a device adapter may have "
            f"crashed. Its last words are in {process.log_file}.",
        )

    def _leave_alone(self, hung: dict[str, Any]) -> tuple[str, str]:
        device, name = hung["key"]
        if name:
            self.order = self.order.model_copy(
                update={"left_alone": [*self.order.left_alone, (device, name)]}
            )
        return (
            "hardware_call_hung",
            f"{device} {name} did not answer within {hung['for_s']:.0f} s. The hardware process was ended; the "
            "property is left alone until the agent is started again. Check the device's cable and power.",
        )

    def _fail(self, event: str, message: str) -> None:
        self.last_error = message
        self.report(Severity.ERROR, event, message, n_restarts=self.n_restarts)
