"""The hardware: its process killed, a property that hangs, a camera that goes or hangs, an adapter that crashes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from bench import Collector
from faulty_scope import FOLDER, FRAMES_A_RUN
from outcome import Outcome

from agent.errors import HardwareError
from agent.outbox import Identity
from agent.outbox.cursor import Position
from agent.outbox.folders import SpoolFolder, all_spools, spools
from agent.outbox.reader import SpoolReader
from agent.service import Daemon
from agent.settings import AgentSettings
from drivers.simulated import CONFIGURATION

WAIT_S = 120.0
DEADLINE_S = 20.0  # the first frame of a simulated microscope may take half of it on a busy machine
PATIENT_S = 90.0  # where nothing is to hang: a machine with other work is no fault
SEQUENCE = {
    "channels": [{"config": "DAPI", "exposure": 5}],
    "time_plan": {"interval": 0, "loops": FRAMES_A_RUN},
}


class Scope:
    """A daemon on a microscope whose devices fail on order."""

    def __init__(
        self, collector: Collector, folder: Path, call_deadline_s: float | None = DEADLINE_S
    ) -> None:
        self.orders, self.data_dir = folder / "orders", folder / "agent"
        self.orders.mkdir(parents=True)
        os.environ[FOLDER] = str(self.orders)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        )
        self.identity = Identity.load_or_create(self.data_dir, f"ins-{folder.parent.name}-{folder.name}")
        collector.let_in(self.identity)
        self.collector = collector
        self.daemon = Daemon(self._settings(folder, call_deadline_s), self.data_dir)
        self.said = ""
        self.daemon.start()
        assert self.daemon.supervisor is not None
        self.supervisor = self.daemon.supervisor
        if not self.supervisor.wait_until_up(WAIT_S):
            raise SystemExit(f"The microscope was not loaded: {self.supervisor.last_error}")

    def _settings(self, folder: Path, call_deadline_s: float | None) -> AgentSettings:
        lines = CONFIGURATION.read_text("utf-8").replace(
            "drivers.simulated.camera_device,Camera", "faulty_scope,Camera"
        )
        lines = lines.replace("drivers.simulated.stage_devices,XYStage", "faulty_scope,XYStage")
        sick = "#py pyDevice,Sick,faulty_scope,Sick\n"
        configuration = folder / "faulty.cfg"
        configuration.write_text(lines.replace("Device,DHub", f"{sick}Device,DHub", 1), "utf-8")
        hardware = {"driver": "simulated", "config_file": str(configuration)}
        if call_deadline_s is None:  # all as it is by default
            images = folder / "images"
            images.mkdir()
            return AgentSettings.model_validate(
                {
                    "hardware": hardware,
                    "collector": {"url": self.collector.url},
                    "watch": {"folders": [str(images)]},
                }
            )
        hardware["call_deadline_s"] = call_deadline_s
        return AgentSettings.model_validate(
            {
                "hardware": {**hardware, "restart_backoff_s": 0.1, "restart_backoff_max_s": 0.2},
                "capture": {"poll_interval_s": 0.5, "poll_pause_ms": 0.0},
                "collector": {"url": self.collector.url, "heartbeat_interval_s": 2.0},
            }
        )

    def acquire(self, sequence: dict[str, Any] = SEQUENCE) -> None:
        """Run an acquisition; one that ends badly is what is tried here."""
        try:
            self.supervisor.call("acquire", WAIT_S, sequence=sequence)
        except HardwareError as error:
            self.said = str(error)

    def acquire_frame_by_frame(self) -> None:
        """Run an acquisition whose frames the camera cannot take by itself: the engine gives up on no single frame."""
        self.acquire({**SEQUENCE, "time_plan": {"interval": 0.01, "loops": FRAMES_A_RUN}})

    def order(self, fault: str) -> None:
        """Have a fault happen."""
        (self.orders / fault).touch()

    def repair(self) -> None:
        """Have no fault any more."""
        for path in self.orders.iterdir():
            path.unlink(missing_ok=True)

    def settle(self) -> None:
        """Wait until what happened so far is on disk; the hardware process may just be starting."""
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            self.supervisor.wait_until_up(WAIT_S)
            try:
                self.supervisor.call("settle", WAIT_S)
                return
            except HardwareError:
                threading.Event().wait(0.1)

    def wait_for_event(self, *names: str) -> bool:
        """Wait until the agent has recorded one of some events."""
        until_s, pause = time.monotonic() + WAIT_S, threading.Event()
        while time.monotonic() < until_s:
            if any(record.get("event") in names for record in map(json.loads, self.recorded())):
                return True
            pause.wait(0.1)
        return False

    def recorded(self) -> list[bytes]:
        """Return every record on the agent's disk, sent or not; what is put away meanwhile is found where it goes to."""
        records = _records_in(all_spools(self.data_dir))
        return [*records, *_records_in(_sent_spools(self.data_dir))]

    def end(self, outcome: Outcome) -> None:
        """Stop, send the rest, and compare the agent's disk with the collector."""
        outcome.expect(self.daemon.stop(), "the agent did not stop in time")
        recorded = self.recorded()
        promised: dict[str, set[str]] = {}
        for line in recorded:
            promised.setdefault(json.loads(line)["record_id"], set()).add(hashlib.sha256(line).hexdigest())
        retold = [record_id for record_id, told in promised.items() if len(told) > 1]
        outcome.expect(not retold, f"told again after a crash with other bytes: {retold}")
        outcome.compare(promised, self.collector, self.identity.agent_id)
        kinds = {kind: _acquisitions(recorded, f"acquisition_{kind}") for kind in ("started", "finished")}
        outcome.expect(
            set(kinds["started"]) == set(kinds["finished"]), "an acquisition that was begun was never closed"
        )


def _sent_spools(data_dir: Path) -> list[SpoolFolder]:
    sent = data_dir / "sent"
    return [spool for folder in (sent.iterdir() if sent.is_dir() else ()) for spool in spools(folder)]


def _records_in(folders: list[SpoolFolder]) -> list[bytes]:
    return [stored.record for spool in folders for stored in SpoolReader(spool, Position(), is_live=True)]


def _acquisitions(recorded: list[bytes], kind: str) -> Counter[str]:
    records = {record["record_id"]: record for record in map(json.loads, recorded) if record["kind"] == kind}
    return Counter(record["acquisition_id"] for record in records.values())


def reasons(scope: Scope) -> list[str]:
    """Return how the acquisitions ended, in no order."""
    records = [json.loads(line) for line in scope.recorded()]
    return [record["reason"] for record in records if record["kind"] == "acquisition_finished"]


def killed(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Kill the hardware process at random instants of acquisitions that follow one another."""
    outcome, chance = Outcome("kill -9 of the hardware process", n_trials), random.Random(random.random())
    scope, stop = Scope(collector, folder / "scope", PATIENT_S), threading.Event()
    acquiring = threading.Thread(target=lambda: _acquire_until(scope, stop))
    acquiring.start()
    for trial in range(n_trials):
        marks = _marks(scope)
        stop.wait(chance.random() * 1.5)
        if (pid := scope.supervisor.pid) is not None:
            os.kill(pid, 9)
        began = time.monotonic()
        outcome.expect(scope.supervisor.wait_for_restart(trial + 1, WAIT_S), "it was not started again")
        outcome.recovery_s.append(time.monotonic() - began)
        outcome.expect(_holds(scope, marks), "a record is gone that the process had on disk")
    stop.set()
    acquiring.join()
    scope.settle()
    scope.end(outcome)
    return outcome


def _acquire_until(scope: Scope, stop: threading.Event) -> None:
    while not stop.is_set():
        scope.acquire()
        stop.wait(0.02)


def _marks(scope: Scope) -> dict[str, int]:
    try:
        return dict(scope.supervisor.call("spools", WAIT_S))
    except HardwareError:
        return {}


def _holds(scope: Scope, marks: dict[str, int]) -> bool:
    """Return whether the disk has every spool as far as the process said it had written it."""
    there: Counter[str] = Counter()
    for spool in [*all_spools(scope.data_dir), *_sent_spools(scope.data_dir)]:
        numbers = [stored.seq for stored in SpoolReader(spool, Position(), is_live=True)]
        there[spool.spool_id] = max([there[spool.spool_id], *numbers])
    return all(there[spool_id] >= mark for spool_id, mark in marks.items())


Expectation = Callable[[Scope, Outcome], None]


def _failing(
    name: str, fault: str, during: Callable[[Scope], Any], expected: Expectation, *given: Any
) -> Outcome:
    collector, folder, n_trials = given
    outcome = Outcome(name, n_trials)
    for trial in range(n_trials):
        scope = Scope(collector, folder / str(trial))
        scope.acquire()
        scope.order(fault)
        during(scope)
        expected(scope, outcome)
        scope.repair()
        began = time.monotonic()
        scope.settle()
        outcome.recovery_s.append(time.monotonic() - began)
        scope.acquire()
        scope.settle()
        outcome.expect(
            reasons(scope).count("completed") >= 2, f"no acquisition after it: {reasons(scope)} {scope.said}"
        )
        scope.end(outcome)
    return outcome


def _tells(*events: str, ends: tuple[str, ...] = ()) -> Expectation:
    """Expect one of some events, and that the acquisition ended in one of some ways."""

    def expected(scope: Scope, outcome: Outcome) -> None:
        outcome.expect(scope.wait_for_event(*events), f"none of the events {events} came")
        scope.repair()
        scope.settle()
        if ends:
            outcome.expect(
                not {*ends}.isdisjoint(reasons(scope)),
                f"no acquisition ended as {' or '.join(ends)}: {reasons(scope)}",
            )

    return expected


def _misses_frames(scope: Scope, outcome: Outcome) -> None:
    """Whether the engine ends the acquisition or goes on without the frame is its choice; that one is missing is told."""
    scope.repair()
    scope.settle()
    finished = [
        record for record in map(json.loads, scope.recorded()) if record["kind"] == "acquisition_finished"
    ]
    missing = [
        (one["reason"], one["frames"].get("dropped", 0), one["frames"]["expected"] - one["frames"]["seen"])
        for one in finished
        if one["frames"]["seen"] < one["frames"]["expected"]
    ]
    is_told = bool(missing) and all(reason == "errored" or dropped == n for reason, dropped, n in missing)
    outcome.expect(is_told, f"nothing tells of the missing frames: {[one['frames'] for one in finished]}")


def _move(scope: Scope) -> None:
    try:
        scope.supervisor.call("move", WAIT_S, position_um={"x": 100.0, "y": 0.0}, timeout_s=1.0)
    except HardwareError as error:
        scope.said = str(error)


def _hung_unload(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Have a driver hang while the agent stops; the hardware process must be gone all the same, and it must be told."""
    outcome = Outcome("hardware: a driver hangs while it is unloaded", n_trials)
    for trial in range(n_trials):
        scope = Scope(collector, folder / str(trial))
        scope.acquire()
        scope.settle()
        pid = scope.supervisor.pid
        scope.order("hang-unload")
        began = time.monotonic()
        scope.end(outcome)
        outcome.recovery_s.append(time.monotonic() - began)
        outcome.expect(scope.wait_for_event("hardware_not_let_go"), "nothing tells that a driver hung")
        outcome.expect(pid is not None and not psutil.pid_exists(pid), "the hardware process is still there")
    return outcome


def _refused(scope: Scope, outcome: Outcome) -> None:
    outcome.expect(bool(scope.said), "the stage that never stops was not noticed")


FAULTS = {
    "hw-hang": partial(
        _failing,
        "hardware: a property read hangs for ever",
        "hang-property",
        lambda scope: None,
        _tells("hardware_call_hung"),
    ),
    "hw-unplug": partial(
        _failing,
        "hardware: camera unplugged in an acquisition",
        "unplug",
        Scope.acquire_frame_by_frame,
        _misses_frames,
    ),
    "hw-unplug-sequence": partial(
        _failing,
        "hardware: camera unplugged while it takes a sequence by itself",
        "unplug",
        Scope.acquire,
        _misses_frames,
    ),
    "hw-crash": partial(
        _failing,
        "hardware: an adapter crashes the process",
        "crash",
        lambda scope: None,
        _tells("hardware_process_crashed"),
    ),
    "hw-busy": partial(_failing, "hardware: a stage that never stops", "busy-stage", _move, _refused),
    "hw-hung-camera": partial(
        _failing,
        "hardware: an acquisition hangs in its camera",
        "hang-camera",
        Scope.acquire,
        # the engine gives up as soon as the daemon does
        _tells("acquisition_hung", "camera_silent", ends=("interrupted", "errored")),
    ),
    "hw-hung-later": partial(
        _failing,
        "hardware: a camera hangs in the middle of an acquisition",
        "hang-camera-later",
        Scope.acquire_frame_by_frame,
        _tells("acquisition_hung", ends=("interrupted",)),
    ),
    "hw-hung-unload": _hung_unload,
}
