"""The caller's side: a hardware process that is started again when an adapter hangs or crashes it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import HardwareError
from agent.hardware.order import ChildOrder
from agent.hardware.process import HardwareProcess
from agent.settings import AgentSettings

_STOP_S = 10.0


class ProbeProcess(HardwareProcess):
    """One life of the hardware process of a conformance run."""

    def start(self, deadline_s: float) -> dict[str, Any]:
        """Start it and wait until the hardware is loaded. Raises `HardwareError`; the process is gone then."""
        self._wait_for_hardware()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent.conformance.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._reader = threading.Thread(target=self._read, name="scopestamp-conformance", daemon=True)
        self._reader.start()
        try:
            self._write(self._order.model_dump_json().encode())
            return self._ready.result(deadline_s)
        except FutureTimeout as error:
            self.kill()
            raise HardwareError(f"The hardware was not loaded within {deadline_s:g} s.") from error
        except HardwareError:
            self.kill()
            raise


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: ok (with a result), failed (with the device's words), hung or crashed."""

    status: str
    result: Any = None
    error: str = ""


class Bench:
    """Calls the hardware process; one that hangs or is gone is replaced before the next call."""

    def __init__(self, settings: AgentSettings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._lives = itertools.count(1)
        self._process: ProbeProcess | None = None

    def ask(self, name: str, deadline_s: float, **args: Any) -> Answer:
        """Call the process, starting it when there is none.

        Raises
        ------
        HardwareError
            The hardware does not load.
        """
        process = self._process or self._started()
        try:
            return Answer("ok", process.call(name, deadline_s, **args))
        except HardwareError as error:
            return self._failed(process, str(error), deadline_s)

    def close(self) -> None:
        """Let go of the hardware."""
        if self._process is not None:
            self._process.stop(_STOP_S)
            self._process = None

    def _failed(self, process: ProbeProcess, words: str, deadline_s: float) -> Answer:
        is_late = words.startswith("The hardware process did not answer")
        is_gone = words.startswith("The hardware process ended") or words == "The hardware process is gone."
        if not (is_late or is_gone):
            return Answer("failed", error=words)
        process.kill()
        self._process = None
        if is_late:
            return Answer("hung", error=f"no answer within {deadline_s:g} s")
        return Answer("crashed", error=f"the process ended with exit code {process.exit_code}")

    def _started(self) -> ProbeProcess:
        data_dir = self._folder / f"life-{next(self._lives)}"
        process = ProbeProcess(ChildOrder(settings=self._settings, data_dir=data_dir))
        process.start(self._settings.hardware.start_deadline_s)
        self._process = process
        return process


@contextmanager
def bench(settings: AgentSettings) -> Iterator[Bench]:
    """Give a bench whose processes and logs are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="scopestamp-", ignore_cleanup_errors=True) as folder:
        opened = Bench(settings, Path(folder))
        try:
            yield opened
        finally:
            opened.close()
