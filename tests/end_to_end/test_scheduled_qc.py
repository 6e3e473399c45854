"""Closed loop: what is scheduled runs on the simulated microscope, a person wins, and everything is put back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

import drivers
from agent.clock import Clock
from agent.errors import HardwareError
from agent.hardware import ChildOrder
from agent.idle import Idle
from agent.local import Local
from agent.mint import Mint
from agent.quality.schedule import Scheduler, scheduler_of
from agent.quality.schedule.attempt import RESTORE_PATH
from agent.quality.schedule.confirmed import confirm
from agent.records import ScheduleRun, decode
from agent.service.supervisor import Supervisor
from agent.settings import AgentSettings

CONFIGURATION = Path(drivers.__file__).parent / "simulated" / "simulated.cfg"
"""Without the simulation itself, which loads what an agent must not."""
CALL_S = 60.0
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
THREE = datetime(2026, 5, 5, 3, tzinfo=UTC)
NEVER_STILL = {"PowerMeter", "Thermometer"}
NOBODY = Idle(inf)
SCHEDULE = """
[[schedule]]
schedule_id = "noise"
routine = "{routine}"
cron = "0 3 * * *"
zone = "UTC"
quiet_min = 0
options = {options}
{more}
"""


class HandClock(Clock):
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOON

    def wall_at(self) -> datetime:
        return self.at


class Hunter(threading.Event):
    """Is asked whether the agent is to end, and kills the process that measures when it is to."""

    hunts = False

    def is_set(self) -> bool:
        for one in psutil.Process().children() if self.hunts else ():
            if "agent.quality.measure" in one.cmdline():
                one.kill()
        return super().is_set()


class Site:
    """An instrument PC: supervised hardware, a scheduler, and somebody who may come in."""

    def __init__(self, folder: Path, **schedule: str) -> None:
        self.folder = folder
        self.settings = settings_in(folder, **schedule)
        self.clock = HandClock()
        opened = Local.open(self.settings)
        mint = Mint(opened.identity.instrument_id, opened.identity.agent_id, self.clock)
        self.local = replace(opened, clock=self.clock, mint=mint)
        self.events: list[str] = []
        self.ends = Hunter()
        self.supervisor = Supervisor(
            ChildOrder(settings=self.settings, data_dir=self.settings.data_path),
            self.report,
            call_deadline_s=CALL_S,
            start_deadline_s=120.0,
            backoff_s=0.1,
            backoff_max_s=0.1,
        )
        self.idle: Callable[[], Idle] = lambda: NOBODY
        self.scheduler = self._scheduler()
        self.supervisor.start()
        assert self.supervisor.wait_until_up(120.0)
        self.supervisor.call("settle", CALL_S)

    def _scheduler(self) -> Scheduler:
        return scheduler_of(
            self.settings,
            self.local,
            self.report,
            self.ends,
            hardware=self.supervisor,
            status=self.status,
            ask=None,
            idle=lambda: self.idle(),
        )

    def report(self, severity: Any, event: str, message: str, **details: Any) -> None:
        self.events.append(event)

    def status(self) -> dict[str, Any] | None:
        try:
            return self.supervisor.call("ping", CALL_S)
        except HardwareError:
            return None

    def night(self) -> None:
        """Look by day, so that the schedule is known, and again when it is due."""
        self.scheduler.look()
        self.clock.at = THREE
        self.scheduler.look()

    def told(self) -> list[ScheduleRun]:
        found = [one for one in self.recorded("schedule_run") if isinstance(one, ScheduleRun)]
        return sorted(found, key=lambda r: r.captured.monotonic_ns)

    def recorded(self, kind: str) -> list[Any]:
        from agent.outbox.inspect import lines

        return [
            decode(json.dumps(line["record"]).encode())
            for path in sorted((self.settings.data_path / "spool").rglob("*.seg"))
            for line in lines(path)
            if "record" in line and line["record"]["kind"] == kind
        ]

    def readings(self) -> list[tuple[Any, ...]]:
        return [
            (reading["device"], reading["property"], reading["value"])
            for reading in self.supervisor.call("read_all", CALL_S)
            if reading["device"] not in NEVER_STILL
        ]

    def set(self, device: str, name: str, value: str) -> None:
        self.supervisor.call("set_property", CALL_S, device=device, property=name, value=value)

    def close(self) -> None:
        self.supervisor.stop(60.0)
        self.scheduler.close()
        self.local.outbox.close()


def settings_in(
    folder: Path, routine: str = "dark_noise", options: str = "{n_frames = 40}", more: str = ""
) -> AgentSettings:
    sensor = "#py Property,Stand,Sensor,136x176\nProperty,Core,Initialize,1"
    text = CONFIGURATION.read_text("utf-8").replace("Property,Core,Initialize,1", sensor, 1)
    (folder / "microscope.cfg").write_text(text, "utf-8")
    (folder / "schedules.toml").write_text(
        SCHEDULE.format(routine=routine, options=options, more=more), "utf-8"
    )
    return AgentSettings.model_validate(
        {
            "data_dir": str(folder / "data"),
            "hardware": {"driver": "simulated", "config_file": str(folder / "microscope.cfg")},
            "schedule": {"file": str(folder / "schedules.toml"), "least_quiet_min": 0.0},
        }
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def make(**schedule: str) -> Site:
        made.append(Site(tmp_path, **schedule))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_night_waits_until_nobody_is_there_and_ends_with_a_result_and_everything_in_its_place(site):
    one = site()
    one.set("Objective", "Label", "10x/0.30")
    before = one.readings()
    one.idle = lambda: Idle(None, "nobody can tell")
    one.night()
    (waiting,) = one.told()
    assert waiting.state == "waiting" and set(waiting.guards) == {"person"}
    one.idle = lambda: NOBODY
    one.scheduler.look()
    running, done = one.told()[1:]
    assert (running.state, done.state) == ("running", "done")
    assert done.qc_run_id is not None and done.planned_at == THREE
    assert one.readings() == before
    one.clock.at += timedelta(hours=1)
    one.scheduler.look()
    assert len(one.told()) == 3


def test_person_wins_at_once_and_finds_the_microscope_as_it_was(site):
    one = site(options="{n_frames = 3000}")
    one.set("Objective", "Label", "10x/0.30")
    before = one.readings()
    # somebody touches the mouse as soon as frames are taken
    one.idle = lambda: Idle(0.0) if (one.status() or {}).get("is_acquiring") else NOBODY
    one.night()
    end = one.told()[-1]
    assert end.state == "aborted_by_user" and "mouse or keyboard" in end.reason
    assert end.qc_run_id is None
    assert one.readings() == before
    assert not (one.settings.data_path / RESTORE_PATH).exists()
    assert one.events[-1] == "qc_stopped_for_person"
    assert (
        "Somebody used"
        in json.loads((one.settings.data_path / "schedule" / "now.json").read_text())["banner"]
    )


def test_person_wins_in_the_middle_of_a_long_exposure(site):
    one = site(options="{n_frames = 30, shortest_exposure_ms = 60000}")
    one.set("Objective", "Label", "10x/0.30")
    before = one.readings()
    asked: list[float] = []

    def idle() -> Idle:
        if (one.status() or {}).get("is_acquiring"):
            asked.append(time.monotonic())
        return Idle(0.0) if len(asked) == 3 else NOBODY  # some time after the exposure has begun

    one.idle = idle
    one.night()
    assert one.told()[-1].state == "aborted_by_user"
    assert one.readings() == before
    assert time.monotonic() - asked[-1] < 60  # it had not ended by itself
    one.supervisor.call("settle", CALL_S)
    (broken_off,) = one.recorded("acquisition_finished")
    assert (broken_off.reason, broken_off.frames.seen) == ("canceled", 0)


def test_hardware_process_that_is_killed_in_a_run_is_put_back_when_it_is_up_again(site):
    one = site(options="{n_frames = 3000}", more='properties = {"Objective-Label" = "20x/0.75"}')
    one.set("Objective", "Label", "10x/0.30")
    before = one.readings()

    def kill() -> Idle:
        if (one.status() or {}).get("is_acquiring"):
            os.kill(one.supervisor.pid, signal.SIGKILL)
        return NOBODY

    one.idle = kill
    one.night()
    assert one.told()[-1].state == "failed"
    assert one.supervisor.wait_for_restart(1, 120.0)
    one.idle = lambda: NOBODY
    one.scheduler.look()
    assert one.readings() == before
    assert not (one.settings.data_path / RESTORE_PATH).exists()


PROGRAM = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("scheduled_qc", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
site = tests.Site(Path(sys.argv[2]), options="{n_frames = 5000}")
site.set("Objective", "Label", "10x/0.30")
def idle():
    if (site.status() or {}).get("is_acquiring"):
        print("acquiring", flush=True)
    return tests.NOBODY
site.idle = idle
site.night()
"""


def test_agent_that_is_killed_in_a_run_puts_back_and_owns_up_at_its_next_start(tmp_path):
    agent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, __file__, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert agent.stdout is not None and agent.stdout.readline() == "acquiring\n"
    finally:
        agent.kill()
        agent.communicate()
    again = Site(tmp_path)
    try:
        assert ("Objective", "Label", "60x/1.40 oil") in again.readings()  # as the configuration has it
        again.clock.at = THREE + timedelta(minutes=5)
        again.scheduler.look()
        assert ("Objective", "Label", "10x/0.30") in again.readings()
        assert [one.state for one in again.told() if one.state.is_end] == ["failed"]
    finally:
        again.close()


NIGHT = """
import importlib.util, json, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("scheduled_qc", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
site = tests.Site(Path(sys.argv[2]))
site.ends.hunts = True
site.night()
site.ends.hunts = False
site.clock.at += tests.timedelta(days=1)
site.scheduler.look()
loaded = [name for name in ("numba", "scipy", "matplotlib", "zarr", "tifffile") if name in sys.modules]
ends = [(one.state, one.reason) for one in site.told() if one.state.is_end]
site.close()
print(json.dumps({"ends": ends, "loaded": loaded}))
"""


def test_measuring_that_is_killed_fails_the_run_and_the_agent_never_loads_what_measures(tmp_path):
    night = subprocess.run(
        [sys.executable, "-c", NIGHT, __file__, str(tmp_path)], capture_output=True, text=True, check=True
    )
    told = json.loads(night.stdout)
    (failed, why), (done, _) = told["ends"]
    assert (failed, done) == ("failed", "done")
    assert "could not be measured: The process that measures ended" in why
    assert told["loaded"] == []
    assert not (tmp_path / "data" / RESTORE_PATH).exists()


BEADS = 'slide = "uniform"\nasks_person = true\nslot = 2\nn_slots = 4'


def test_slide_is_asked_for_and_the_run_goes_on_when_it_is_confirmed(site):
    one = site(routine="illumination", options="{}", more=BEADS)
    one.scheduler.look()
    one.clock.at = NOON + timedelta(hours=6)
    one.scheduler.look()
    (asked,) = one.told()
    assert asked.state == "waiting_for_person" and asked.task.slot == 2
    confirm(one.settings.data_path / "schedule", asked.run_id, "ada")
    one.clock.at = THREE
    one.scheduler.look()
    end = one.told()[-1]
    assert (end.state, end.confirmed_by) == ("done", "ada")


def test_more_light_than_allowed_is_refused_before_the_first_frame(site):
    one = site(routine="illumination", options="{}", more='slide = "uniform"\nlimits = {light_s = 0.0001}')
    before = one.readings()
    one.night()
    end = one.told()[-1]
    assert end.state == "failed" and "of light onto the sample" in end.reason
    assert not list((one.settings.data_path / "qc" / "images").glob("*.zarr"))
    assert one.readings() == before
