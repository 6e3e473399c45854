"""The daemon's side of the hardware process: starts it, calls it with a deadline, and ends it."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

from agent.errors import HardwareError, HardwareInUseError
from agent.hardware.order import ChildOrder
from agent.hardware.owner import wait_until_free

_KILL_WAIT_S = 5.0
_log = logging.getLogger("scopestamp.hardware")


class HardwareProcess:
    """One life of the hardware process.

    Parameters
    ----------
    order : ChildOrder
        What it is to load.
    on_event : callable, optional
        Called on the reading thread with every message that answers no call.
    """

    def __init__(self, order: ChildOrder, on_event: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._order = order
        self._on_event = on_event or (lambda event: None)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._is_over = False
        self._ready: Future[dict[str, Any]] = Future()

    def start(self, deadline_s: float) -> dict[str, Any]:
        """Start it and wait until the hardware is loaded; return what it says of itself.

        Hardware that somebody else has is waited for first, as long as the settings say.

        Raises
        ------
        HardwareInUseError
            Somebody else has it still.
        HardwareError
            The configuration does not load, or not in time; the process is gone then.
        """
        self._wait_for_hardware()
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent.hardware.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=hidden,
        )
        self._reader = threading.Thread(target=self._read, name="scopestamp-hardware", daemon=True)
        self._reader.start()
        try:
            self._write(self._order.model_dump_json().encode())
            ready = self._ready.result(deadline_s)
        except FutureTimeout as error:
            self.kill()
            raise HardwareError(
                f"The hardware was not loaded within {deadline_s:g} s. Is everything switched on? Raise "
                "hardware.start_deadline_s if it needs longer."
            ) from error
        except HardwareError:
            self.kill()
            raise
        return ready

    def call(self, name: str, deadline_s: float, **args: Any) -> Any:
        """Call the hardware process and return its answer.

        Raises
        ------
        HardwareError
            It could not do what was asked, did not answer in time (it may still do it), or is gone.
        """
        number = next(self._numbers)
        answer: Future[Any] = Future()
        with self._lock:
            if self._is_over:  # its pipe may still take a line that nobody will read
                raise HardwareError(self._last_words())
            self._waiting[number] = answer
        try:
            self._write(json.dumps({"id": number, "call": name, "args": args}).encode())
            return answer.result(deadline_s)
        except FutureTimeout as error:
            raise HardwareError(
                f"The hardware process did not answer '{name}' within {deadline_s:g} s."
            ) from error
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def stop(self, deadline_s: float) -> int:
        """Ask it to let go of the hardware and end; kill it when it does not. Return its exit code, not 0 when it hung."""
        if self.is_alive:
            try:
                self.call("shutdown", deadline_s)
                self._process.wait(deadline_s)
            except (HardwareError, subprocess.TimeoutExpired):
                self.kill()
        if not self.is_alive:
            self._tidy()
        return -1 if self._process.returncode is None else self._process.returncode

    def kill(self) -> None:
        """End it at once; one that hangs in the system's own code, as in a dead USB driver, is left to itself."""
        self._process.kill()
        if self.ends_within(_KILL_WAIT_S):
            self._tidy()
        else:
            _log.error(
                "The hardware process %d cannot be ended; the computer may have to be started anew.", self.pid
            )

    def ends_within(self, timeout_s: float) -> bool:
        """Return whether it has ended, or does so in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return hasattr(self, "_process") and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code; negative is the signal that ended it, None while it runs."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def log_file(self) -> Path:
        """Where it prints."""
        return self._order.log_file

    def _wait_for_hardware(self) -> None:
        hardware = self._order.settings.hardware
        if hardware.wait_s:
            wait_until_free(hardware, hardware.wait_s, _log.warning)

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._lock:
                self._process.stdin.write(line + b"\n")
                self._process.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: closed by `_tidy` meanwhile
            raise HardwareError("The hardware process is gone.") from error

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(json.loads(line))
        self._give_up_waiting()

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("event") == "ready":
            self._ready.set_result(message)
        elif message.get("event") == "not_loaded":
            kind = HardwareInUseError if message.get("is_in_use") else HardwareError
            self._ready.set_exception(kind(message["message"]))
        elif "id" not in message:
            self._on_event(message)
        else:
            with self._lock:
                answer = self._waiting.get(message["id"])
            if answer is None:
                return  # given up on its deadline
            if "error" in message:
                answer.set_exception(HardwareError(message["error"]))
            else:
                answer.set_result(message["result"])

    def _give_up_waiting(self) -> None:
        gone = HardwareError(self._last_words())
        with self._lock:
            self._is_over = True
            waiting = list(self._waiting.values())
        for answer in (self._ready, *waiting):
            if not answer.done():
                answer.set_exception(gone)

    def _last_words(self) -> str:
        return f"The hardware process ended; its last words are in {self._order.log_file}."

    def _tidy(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):  # what could not be sent to a process that is gone
            self._process.stdin.close()
        self._reader.join(_KILL_WAIT_S)
        self._process.stdout.close()
