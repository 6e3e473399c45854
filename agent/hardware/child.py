"""The hardware process: owns the hardware and captures it, so that a device that crashes takes only this with it.

The daemon starts it as ``python -m agent.hardware.child`` and talks to it in lines of JSON on its standard input and
output; the first line is a `ChildOrder`. Whatever Micro-Manager or an adapter prints goes to the log file. When
its standard input ends, because the daemon is gone, it lets go of the hardware and ends.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from agent.capture import Capture
from agent.capture.setup import options_of, stated_by
from agent.errors import HardwareInUseError, ScopestampError
from agent.hardware.numbers import frame_numbers, watched_numbers
from agent.hardware.order import ChildOrder
from agent.hardware.owner import own_hardware
from agent.hardware.touch import TouchWatch, moved_by
from agent.leave import end, end_at_once
from agent.local import Local
from agent.logs import start_logging
from agent.outbox import Identity, Outbox
from agent.records import SnapshotReason
from agent.supervise import shielded
from drivers import CameraSilentError, Driver, DriverError, How, Key, OwningDriver, PropertyReading, Status
from drivers.registry import open_driver

EXIT_NOT_LOADED = 3
_SETTLE_S = 30.0
_CLOSE_S = 10.0
LET_GO_S = 25.0
"""From the order to end until the process is gone. A driver that hangs while it is unloaded would keep the hardware for ever."""
_MOVE_S = 60.0
_WITHOUT_HARDWARE = frozenset({"settle", "spools", "look"})


class Channel:
    """Lines of JSON to the daemon; any thread may write."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; a daemon that is gone is noticed by the reading side."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError:
                return


class HardwareChild:
    """Answers the daemon's calls."""

    def __init__(
        self, driver: Driver, capture: Capture, outbox: Outbox, channel: Channel, driver_name: str = ""
    ) -> None:
        self._driver_name = driver_name
        self._touch = TouchWatch(capture.hardware)
        capture.on_moved = self._touch.moved
        self._driver, self._capture, self._outbox, self._channel = driver, capture, outbox, channel
        self._call: tuple[str, float] | None = None
        self._bit_depth: int | None = None
        self._camera_silent = ""
        self._calls: dict[str, Callable[..., Any]] = {
            "snapshot": self._snapshot,
            "read_all": self._read_all,
            "read": self._read,
            "set_property": self._set_property,
            "set_preset": self._set_preset,
            "move": self._move,
            "focus": self._focus,
            "snap": self._snap,
            "look": self._look,
            "acquire": self._acquire,
            "spools": self._spools,
            "settle": lambda timeout_s=_SETTLE_S: self._capture.settle(timeout_s),
        }

    def serve(self, lines: BinaryIO) -> None:
        """Answer until told to shut down or until the daemon is gone."""
        for line in lines:
            order = json.loads(line)
            name = order["call"]
            if name == "shutdown":
                self._channel.send({"id": order["id"], "result": None})
                return
            if name == "ping":
                self._channel.send({"id": order["id"], "result": self.status()})
            elif name == "cancel":
                _cancel(self._driver)
                self._channel.send({"id": order["id"], "result": None})
            else:
                threading.Thread(target=self._answer, args=(order,), name=f"call-{name}", daemon=True).start()

    def status(self) -> dict[str, Any]:
        """Return how capture fares; touches no hardware."""
        at = self._capture.last_capture_at
        return {
            "is_present": self._driver.is_present,
            "is_acquiring": self._capture.is_acquiring,
            "is_live": self._capture.is_live,
            "n_frames": self._capture.n_frames,
            "n_overflow": self._capture.queue.n_lost + self._capture.publisher.n_given_up,
            "n_held": self._capture.publisher.n_held,
            "spool_error": self._capture.publisher.last_error,
            "last_capture_at": at.isoformat() if at else None,
            "hung": self._longest_call(),
            "driver": self._driver_name,
            "parts": self._capture.parts(),
            "stalled_s": self._capture.stalled_s if isinstance(self._driver, OwningDriver) else 0.0,
            "temperatures": self._capture.temperatures,
            "touched": self._touch.touched,
            "is_camera_silent": bool(self._camera_silent),
        }

    def _longest_call(self) -> dict[str, Any] | None:
        """Return the hardware call that has been under way for longest."""
        now_ns = time.monotonic_ns()
        calls = []
        if polled := self._capture.poller.call:
            calls.append((list(polled.key), (now_ns - polled.since_monotonic_ns) / 1e9))
        if ordered := self._call:
            calls.append(([ordered[0], ""], time.monotonic() - ordered[1]))
        if not calls:
            return None
        key, for_s = max(calls, key=lambda call: call[1])
        return {"key": key, "for_s": for_s}

    def _answer(self, order: Mapping[str, Any]) -> None:
        reply: dict[str, Any] = {
            "id": order["id"],
            "error": "The hardware process failed inside; see its log.",
        }

        def work() -> None:
            try:
                if self._camera_silent and order["call"] not in _WITHOUT_HARDWARE:
                    raise DriverError(
                        f"{self._camera_silent} Nothing is moved until the hardware is loaded anew."
                    )
                reply["result"] = self._calls[order["call"]](**order.get("args", {}))
                del reply["error"]
            except (DriverError, ScopestampError) as error:
                reply["error"] = str(error)

        shielded(work, f"the call {order['call']}")
        self._channel.send(reply)

    def _snapshot(self) -> bool:
        self._capture.snapshot(SnapshotReason.REQUESTED)
        return self._capture.settle(_SETTLE_S)

    def _read_all(self) -> list[dict[str, Any]]:
        """Return every reading, from hardware, for a person to look at."""
        if not self._driver.is_present:
            raise DriverError(
                "Micro-Manager Studio does not answer. Is it running, and its server on (Tools > Options > Run server "
                "on port), at the port of [hardware.studio]?"
            )
        how = How.HARDWARE if self._driver.reads_hardware else How.CACHE
        return [_told(self._driver.read(key, how)) for key in self._driver.keys()]  # noqa: SIM118

    def _read(self, device: str, property: str) -> dict[str, Any]:
        """Return one reading from hardware, failed or not, with the time at which it was there."""
        with self._under_way(f"{device}-{property}"):
            reading = self._driver.read(Key(device, property), How.HARDWARE)
        return {**_told(reading), "monotonic_s": time.monotonic()}

    def _spools(self) -> dict[str, int]:
        """Return how far each spool of this process reaches: spool id to last sequence number."""
        last = self._outbox.last_seq()
        return {spool_id: last[lane] for lane, spool_id in self._outbox.spool_ids().items()}

    @property
    def _owned(self) -> OwningDriver:
        """The driver, as one that may move things."""
        if not isinstance(self._driver, OwningDriver):
            raise DriverError(
                "Micro-Manager Studio has the hardware: the agent watches it, and moves nothing."
            )
        return self._driver

    def _set_property(self, device: str, property: str, value: str) -> None:
        with self._touch.ordered(), self._under_way(f"{device}-{property}"):
            self._owned.set_property(Key(device, property), value)

    def _set_preset(self, group: str, preset: str) -> None:
        with self._touch.ordered(), self._under_way(f"{group}/{preset}"):
            self._owned.set_preset(group, preset)

    def _move(self, position_um: dict[str, float], timeout_s: float = _MOVE_S) -> None:
        with self._touch.ordered(), self._under_way("stage"):
            self._owned.move(position_um, timeout_s)

    def _focus(self) -> float:
        with self._touch.ordered(), self._under_way("autofocus"):
            return self._owned.focus()

    def _snap(self, exposure_ms: float) -> dict[str, Any]:
        """Take a frame that is written nowhere, and return what it holds."""
        with self._touch.ordered(), self._under_way("camera"):
            return frame_numbers(self._owned.snap(exposure_ms), self._owned.bit_depth())

    def _look(self) -> dict[str, Any] | None:
        """Return what the newest frame holds, and which it is; waits for no device."""
        frame, n = self._owned.last_frame(), self._capture.n_frames
        if frame is None or self._bit_depth is None:
            return None
        return {**watched_numbers(frame, self._bit_depth), "n_frames": n}

    @contextmanager
    def _under_way(self, what: str) -> Iterator[None]:
        """Tell the daemon, in answers to its pings, which call of the hardware is under way, and since when."""
        self._call = (what, time.monotonic())
        try:
            yield
        finally:
            self._call = None

    def _acquire(self, sequence: dict[str, Any], output: str | None = None) -> None:
        self._bit_depth = None
        with suppress(DriverError):  # no camera: `acquire` says so
            self._bit_depth = self._owned.bit_depth()
        moved = moved_by(sequence, self._capture.hardware) if output else None
        with self._touch.ordered(moved):
            try:
                self._owned.acquire(sequence, Path(output) if output else None)
            except CameraSilentError as error:
                self._camera_silent = str(error)
                raise


def _told(reading: PropertyReading) -> dict[str, Any]:
    return {
        "device": reading.key.device,
        "property": reading.key.property,
        "status": reading.status,
        "value": reading.value if reading.status is Status.OK else None,
        "unit": reading.unit,
        "error": reading.error,
    }


def main() -> int:
    """Run the hardware process; the exit code is 0, or `EXIT_NOT_LOADED` when the hardware could not be loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which tells us
    lines = sys.stdin.buffer
    channel = Channel(os.fdopen(os.dup(1), "wb", closefd=True))
    order = ChildOrder.model_validate_json(lines.readline())
    _send_output_to(order.log_file)
    try:
        lease = own_hardware(order.settings.hardware, order.purpose, order.deadline_s)
        local, driver, capture = _open(order)
    except (DriverError, ScopestampError) as error:
        channel.send(not_loaded(error))
        return EXIT_NOT_LOADED
    channel.send(_ready(driver))
    HardwareChild(driver, capture, local.outbox, channel, order.settings.hardware.driver).serve(lines)
    faulthandler.dump_traceback_later(LET_GO_S, exit=True)  # even when a library keeps the interpreter's lock
    _cancel(driver)
    capture.stop(_CLOSE_S)
    local.outbox.close()
    driver.close()
    lease.release()
    faulthandler.cancel_dump_traceback_later()
    return 0


def _ready(driver: Driver) -> dict[str, Any]:
    n_devices = len({key.device for key in driver.keys()})  # noqa: SIM118
    words = f"The hardware is loaded: {n_devices} devices."
    if not driver.is_present:
        words = "Micro-Manager Studio is not there; capture begins when it is."
    return {"event": "ready", "n_devices": n_devices, "message": words}


def _cancel(driver: Driver) -> None:
    if isinstance(driver, OwningDriver):
        driver.cancel()


def not_loaded(error: Exception) -> dict[str, Any]:
    """Return the message that says why there is no hardware."""
    is_in_use = isinstance(error, HardwareInUseError)
    return {"event": "not_loaded", "message": str(error), "is_in_use": is_in_use}


def _open(order: ChildOrder) -> tuple[Local, Driver, Capture]:
    settings = order.settings
    start_logging(settings.log, order.data_dir, "hardware")
    hardware = settings.hardware
    driver = open_driver(
        hardware.driver,
        hardware.config_file,
        hardware.adapter_paths,
        order.log_file.with_name("mmcore.log"),
        hardware.studio.model_dump(),
    )
    local = Local.open(settings, order.data_dir, Identity.known)
    capture = Capture(
        driver,
        local.outbox,
        local.mint,
        local.data_dir,
        replace(options_of(settings, frozenset(Key(*key) for key in order.left_alone)), is_supervised=True),
        stated_by(settings.instrument, local.clock.wall_at()),
    )
    capture.start()
    return local, driver, capture


def _send_output_to(log_file: Path) -> None:
    """Send what C++ libraries and a crashing interpreter print to a file of our own."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log = log_file.open("ab")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable(log)


if __name__ == "__main__":
    end_at_once()
    end(main())
