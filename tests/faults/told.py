"""How soon a part that hangs, dies or fails is known at the collector: ``python tests/faults/told.py [WORDS OF A FAULT …]``.

Real parts with the settings that an agent has by default: the daemon, its hardware process on the simulated microscope, and
a collector in a process of its own that looks for alerts as it always does. Prints as JSON, for each fault, after how many
seconds the collector had an error event or a part that does not run, and after how many its alert fired.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import contextlib

from bench import Collector
from faulty_scope import end_thread
from hardware import Scope

from agent.errors import HardwareError
from agent.records import AgentEvent, Heartbeat, Severity
from server.alerts.book import book_of
from server.ingest.evidence import record_of

MOST_S = 100.0
LOOK_S = 0.25
ALERTS = ("agent_error", "part_stopped")
OWN_THREADS = ("sender", "watch", "heartbeat", "schedule", "supervisor", "hardware", "watchdog")
"""Of the daemon; 'hardware' reads what the hardware process answers."""


def hung_property(scope: Scope) -> float:
    """Have the next read of a property hang, while nothing runs."""
    scope.order("hang-property")
    return _begun(scope, "hang-property")


def hung_camera(scope: Scope) -> float:
    """Have the camera hang after some frames of an acquisition."""
    scope.order("hang-camera-later")
    threading.Thread(target=scope.acquire_frame_by_frame, daemon=True).start()
    return _begun(scope, "hang-camera-later")


def stopped_process(scope: Scope) -> float:
    """Stop every thread of the hardware process."""
    assert scope.supervisor.pid is not None
    os.kill(scope.supervisor.pid, signal.SIGSTOP)
    return time.monotonic()


def hung_schedule(scope: Scope) -> float:
    """Have the thread of the schedules hang at its next look."""
    begun: list[float] = []

    def look() -> None:
        begun.append(time.monotonic())
        threading.Event().wait()

    assert scope.daemon.scheduler is not None
    scope.daemon.scheduler.look = look  # type: ignore[method-assign, assignment]
    _wait(lambda: bool(begun))
    return begun[0]


def hung_sequence(scope: Scope) -> float:
    """Have the camera hang in an acquisition that it takes by itself."""
    scope.order("hang-camera-later")
    threading.Thread(target=scope.acquire, daemon=True).start()
    return _begun(scope, "hang-camera-later")


def ended(name: str, scope: Scope) -> float:
    """End a thread of the daemon."""
    end_thread(name).join(MOST_S)
    return time.monotonic()


def ended_in_hardware_process(name: str, scope: Scope) -> float:
    """End a thread of the hardware process, in the course of an acquisition."""
    scope.order(f"end-{name}")
    with contextlib.suppress(HardwareError):
        scope.supervisor.call("read", MOST_S, device="Sick", property="Health")
    threading.Thread(target=scope.acquire, daemon=True).start()
    return _begun(scope, f"end-{name}")


def failing(part: Callable[[Scope], Any], method: str, scope: Scope) -> float:
    """Have a part fail inside whenever it tries to do its work."""
    begun: list[float] = []

    def fail() -> None:
        begun.append(time.monotonic())
        raise ZeroDivisionError

    setattr(part(scope), method, fail)
    _wait(lambda: bool(begun))
    return begun[0]


FAULTS: dict[str, Callable[[Scope], float]] = {
    "a property read hangs while nothing runs": hung_property,
    "a camera hangs in the middle of an acquisition": hung_camera,
    "every thread of the hardware process stops": stopped_process,
    "the schedule's thread hangs": hung_schedule,
    "a camera hangs in a sequence that it takes by itself": hung_sequence,
    **{f"the daemon's thread {name} ends": partial(ended, name) for name in OWN_THREADS},
    **{
        f"the hardware process' thread {name} ends": partial(ended_in_hardware_process, name)
        for name in ("capture", "poll", "close")
    },
    "the schedule fails at every look": partial(failing, lambda scope: scope.daemon.scheduler, "look"),
    "the heartbeat fails every time": partial(failing, lambda scope: scope.daemon, "heartbeat"),
}


def _begun(scope: Scope, fault: str) -> float:
    """Return when the fault happened: the device takes its order away."""
    _wait(lambda: not (scope.orders / fault).exists())
    return time.monotonic()


def _wait(is_so: Callable[[], bool]) -> float | None:
    """Wait until something is so and return when, or None when it is not in time."""
    until_s, pause = time.monotonic() + MOST_S, threading.Event()
    while time.monotonic() < until_s:
        if is_so():
            return time.monotonic()
        pause.wait(LOOK_S)
    return None


def _is_heard(store: Any) -> bool:
    with store.reading() as reads:
        rows = [row for kind in ("agent_event", "heartbeat") for row in reads.records(kind=kind, limit=5000)]
        records = [record_of(reads, row) for row in rows]
    events = [record for record in records if isinstance(record, AgentEvent)]
    parts = [part for record in records if isinstance(record, Heartbeat) for part in record.parts]
    is_late = any(part.state != "running" for part in parts)
    return is_late or any(event.severity is Severity.ERROR for event in events)


def _is_alerted(store: Any) -> bool:
    with store.reading() as reads:
        return any(alert.rule in ALERTS and alert.state == "firing" for alert in book_of(reads).values())


def measured(fault: Callable[[Scope], float], folder: Path) -> dict[str, float | None]:
    """Return how soon one fault is known."""
    with Collector(folder) as collector:
        scope = Scope(collector, folder / "scope", None)
        store, stop = collector.store(), threading.Event()
        threading.Thread(target=_look_after, args=(scope, stop), daemon=True).start()
        began = fault(scope)
        heard, alerted = _wait(lambda: _is_heard(store)), _wait(lambda: _is_alerted(store))
        stop.set()
        scope.repair()
        scope.daemon.stop()
        store.close()
    return {
        "heard_s": round(heard - began, 1) if heard else None,
        "alert_s": round(alerted - began, 1) if alerted else None,
    }


def _look_after(scope: Scope, stop: threading.Event) -> None:
    """Do what the main thread of an agent does all the time."""
    while not stop.wait(10.0):
        scope.daemon.look_after_watchdog()


def main() -> None:
    """Measure what was asked for, by words of its name, or all."""
    told = {}
    for name, fault in FAULTS.items():
        if len(sys.argv) > 1 and not any(words in name for words in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            told[name] = measured(fault, Path(folder))
            print(name, told[name], file=sys.stderr, flush=True)
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
    os._exit(0)  # a thread that was made to hang does not end
