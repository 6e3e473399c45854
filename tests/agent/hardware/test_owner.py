"""Never two owners: real processes that hold, load, attach and die."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import tomlkit

from agent.errors import HardwareInUseError
from agent.hardware import owner
from agent.hardware import process as process_module
from agent.hardware.lease import Lease, lease_folder
from agent.hardware.order import ChildOrder
from agent.hardware.others import (
    adapters_in,
    bridge_answers,
    is_studio,
    process_with_adapters,
    studio_process,
)
from agent.hardware.owner import other_owner, own_hardware, wait_until_free, waiting
from agent.hardware.process import HardwareProcess
from agent.hardware.resources import resources_of_configuration, resources_of_settings
from agent.records import Severity
from agent.service import supervisor as supervisor_module
from agent.service.supervisor import Supervisor
from agent.settings import AgentSettings

START_S = 60.0
LIBRARY = f"FakeScope{os.getpid()}"  # as the `scope` fixture calls it
HOLDS = """
import sys
from agent.hardware.lease import Lease
lease = Lease("the other one", deadline_s=600)
lease.take(sys.argv[1:])
print("ready", flush=True)
sys.stdin.read()
"""
LOADS = """
import sys
from pymmcore import CMMCore
core = CMMCore()
core.setDeviceAdapterSearchPaths([sys.argv[1]])
core.loadSystemConfiguration(sys.argv[2])
print("ready", flush=True)
sys.stdin.read()
"""
ATTACHES = """
import sys
from pymmcore_plus import CMMCorePlus
import agent
core = CMMCorePlus(adapter_paths=[sys.argv[1]])
attached = agent.attach(core, data_dir=sys.argv[3])
core.loadSystemConfiguration(sys.argv[2])
assert attached.settle()
print("ready", flush=True)
sys.stdin.readline()
core.unloadAllDevices()
core.events.systemConfigurationLoaded.emit()
assert attached.settle()
print("unloaded", flush=True)
sys.stdin.read()
attached.detach()
"""
needs_maps = pytest.mark.skipif(
    sys.platform == "darwin", reason="macOS does not tell what another process has mapped"
)


@pytest.fixture
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look away from Micro-Managers that happen to run on this PC."""
    monkeypatch.setattr(owner, "studio_process", lambda: None)
    monkeypatch.setattr(owner, "bridge_answers", lambda port: None)


def adapters_of(settings: AgentSettings) -> tuple[str, str]:
    return settings.hardware.adapter_paths[0], settings.hardware.config_file


# -- what is to be owned


@pytest.mark.parametrize(
    ("text", "resources"),
    [
        ("Device,Camera,DemoCamera,DCam\nDevice,Multi,Utilities,Multi Camera\n", set()),
        ("Device,Camera,HamamatsuHam,HamamatsuHam_DCAM\n", {"HamamatsuHam"}),
        ("# Device,Camera,Andor,iXon\n\nDevice, Stage , ASIStage ,XYStage\r\n", {"ASIStage"}),
        (
            "Device,COM3,SerialManager,COM3\nDevice,COM7,SerialManager,COM7\n",
            {"SerialManager/COM3", "SerialManager/COM7"},
        ),
        ("Device,Core\nProperty,Core,Initialize,1\n", set()),
        ("#py pyDevice,Beads,drivers.simulated.devices,Camera\n", set()),
        ("#py pyDevice,Cam,my_lab.camera,Camera\n", {"my_lab.camera"}),
    ],
    ids=["simulated", "camera", "spaces", "ports", "core", "simulated in Python", "in Python"],
)
def test_resources_are_adapters_and_ports(tmp_path: Path, text: str, resources: set[str]) -> None:
    path = tmp_path / "a.cfg"
    path.write_text(text, newline="")
    assert resources_of_configuration(path) == resources


def test_demos_and_missing_files_need_nothing(tmp_path: Path) -> None:
    for section in ({"config_file": "demo"}, {"driver": "simulated", "config_file": "simulated"}, {}):
        settings = AgentSettings.model_validate({"hardware": section})
        assert resources_of_settings(settings.hardware) == frozenset()
    assert resources_of_configuration(tmp_path / "nowhere.cfg") == frozenset()


# -- leases


def test_lease_of_another_process_is_refused_by_name(python, leases) -> None:
    other = python(HOLDS, "NikonTi2", "SerialManager/COM3")
    ours = Lease("we")
    with pytest.raises(HardwareInUseError) as refused:
        ours.take(["Andor", "SerialManager/COM3"])
    assert f"the other one (pid {other.pid}, " in str(refused.value)
    assert "has SerialManager/COM3, until 20" in str(refused.value)
    assert ours.resources == frozenset()  # nothing is kept of what was refused as a whole
    assert ours.look(["SerialManager/COM3"]).pid == other.pid
    assert ours.look(["Andor"]) is None


def test_lease_entry_tells_holder_and_fence(leases) -> None:
    lease = Lease("we", deadline_s=60)
    lease.take(["NikonTi2"])
    (path,) = leases.glob("NikonTi2-*.json")
    entry = json.loads(path.read_text())
    assert (entry["holder"], entry["pid"], entry["host"]) == ("we", os.getpid(), socket.gethostname())
    assert entry["user"] and entry["started"] and entry["since"] < entry["deadline"]
    assert (entry["fence"], lease.fence, lease.is_held()) == (1, 1, True)
    lease.release()
    assert Lease("next").look(["NikonTi2"]) is None


def test_killed_holder_leaves_nothing_but_its_fence(python) -> None:
    other = python(HOLDS, "NikonTi2")
    other.kill()
    other.wait()
    lease = Lease("we")
    assert lease.look(["NikonTi2"]) is None
    lease.take(["NikonTi2"])
    assert lease.fence == 2
    lease.release()


def test_number_given_out_again_is_not_the_holder(leases) -> None:
    lease = Lease("we")
    lease.take(["NikonTi2"])
    (path,) = leases.glob("NikonTi2-*.json")
    entry = json.loads(path.read_text())
    assert Lease("they").look(["NikonTi2"]) is not None
    path.write_text(json.dumps(entry | {"started": "2001-01-01T00:00:00+00:00"}))
    assert Lease("they").look(["NikonTi2"]) is None
    lease.release()


def test_lease_that_was_taken_from_us_is_noticed(leases) -> None:
    ours = Lease("we")
    ours.take(["NikonTi2"])
    elsewhere = Lease("they", folder=leases.with_name("elsewhere"))
    elsewhere.take(["NikonTi2"])
    elsewhere.follow(["NikonTi2"])  # signs again: its fence is 2 now
    for file in leases.with_name("elsewhere").glob("*.json"):
        shutil.copy(file, leases)  # as when somebody removed our lock by hand and took the lease
    assert elsewhere.is_held() and not ours.is_held()
    ours.release()
    elsewhere.release()


def test_lease_follows_what_is_loaded() -> None:
    ours, theirs = Lease("we"), Lease("they")
    theirs.take(["Andor"])
    holder = ours.follow(["NikonTi2", "Andor"])
    assert holder is not None and holder.name == "they"
    assert ours.resources == {"NikonTi2"}
    theirs.release()
    assert ours.follow(["Andor"]) is None
    assert ours.resources == {"Andor"}
    theirs.take(["NikonTi2"])
    theirs.release()
    ours.release()


def test_lease_folder_is_the_same_for_every_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCOPESTAMP_LEASES")
    assert lease_folder().is_absolute()
    assert Path.home() not in lease_folder().parents


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_leases_can_be_taken_by_every_user_of_the_pc(leases) -> None:
    lease = Lease("we")
    lease.take(["NikonTi2"])
    assert leases.stat().st_mode & 0o7777 == 0o1777
    assert {file.stat().st_mode & 0o777 for file in leases.iterdir()} == {0o666}
    lease.release()


# -- those who know nothing of leases


@needs_maps
def test_program_that_loaded_the_adapter_is_found(python, scope, nobody_else) -> None:
    settings = scope()
    program = python(LOADS, *adapters_of(settings))
    assert LIBRARY in adapters_in(psutil.Process(program.pid))
    holder = process_with_adapters(frozenset({LIBRARY}))
    assert holder is not None and holder.pid == program.pid
    with pytest.raises(HardwareInUseError) as refused:
        own_hardware(settings.hardware, "we")
    assert f"pid {program.pid}" in str(refused.value) and LIBRARY in str(refused.value)
    assert "look_for_owners" in str(refused.value)
    own_hardware(scope_without_looking(settings).hardware, "we").release()
    program.communicate("")
    own_hardware(settings.hardware, "we").release()


def scope_without_looking(settings: AgentSettings) -> AgentSettings:
    hardware = settings.hardware.model_copy(update={"look_for_owners": False})
    return settings.model_copy(update={"hardware": hardware})


@pytest.mark.skipif(shutil.which("cat") is None or os.name == "nt", reason="needs a program to rename")
def test_studio_is_known_by_its_process(tmp_path: Path, scope, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Micro-Manager-2.0" / "jre" / "bin"
    folder.mkdir(parents=True)
    shutil.copy(str(shutil.which("cat")), folder / "java")
    settings = scope()
    monkeypatch.setattr(owner, "bridge_answers", lambda port: None)
    with subprocess.Popen([folder / "java", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as java:
        try:
            holder = studio_process()
            words = other_owner(settings.hardware)
        finally:
            assert java.stdin is not None
            java.stdin.close()
    assert holder is not None and "Studio" in str(holder)
    assert words is not None and "Studio" in words


@pytest.mark.parametrize(
    ("name", "command", "is_it"),
    [
        ("javaw.exe", [r"C:\Program Files\Micro-Manager-2.0\jre\bin\javaw.exe", "ij.ImageJ"], True),
        ("ImageJ.exe", [r"C:\Program Files\Micro-Manager-2.0\ImageJ.exe"], True),
        ("java", ["java", "-classpath", "x", "org.micromanager.remote.HeadlessLauncher", "4827"], True),
        ("java", ["java", "-jar", "/opt/openhab.jar"], False),
        ("fiji-windows-x64.exe", [r"C:\Fiji\fiji-windows-x64.exe"], False),
        ("python.exe", ["python.exe", r"C:\Micro-Manager-2.0\script.py"], False),
        ("explorer.exe", ["explorer.exe", r"C:\Micro-Manager-2.0"], False),
    ],
    ids=["jre", "launcher", "headless", "other java", "fiji", "python", "explorer"],
)
def test_studio_is_told_from_other_programs(name: str, command: list[str], is_it: bool) -> None:
    assert is_studio(name, command) is is_it


def test_open_bridge_port_is_somebody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        holder = bridge_answers(port)
        assert holder is not None and str(port) in str(holder)
    assert bridge_answers(port) is None


# -- the agent's own doors


def test_program_that_attached_keeps_qc_away(python, scope, tmp_path: Path, nobody_else) -> None:
    settings = scope_without_looking(scope())
    program = python(ATTACHES, *adapters_of(settings), tmp_path / "data")
    with pytest.raises(HardwareInUseError, match=r"called agent\.attach") as refused:
        own_hardware(settings.hardware, "scopestamp qc run")
    assert f"pid {program.pid}" in str(refused.value)
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "unloaded\n"
    own_hardware(settings.hardware, "scopestamp qc run").release()


def test_second_hardware_process_is_refused_until_the_first_is_gone(scope, tmp_path: Path) -> None:
    settings = scope_without_looking(scope())
    first = HardwareProcess(ChildOrder(settings=settings, data_dir=tmp_path / "a", purpose="the first"))
    second = HardwareProcess(ChildOrder(settings=settings, data_dir=tmp_path / "b"))
    first.start(START_S)
    with pytest.raises(HardwareInUseError, match="the first") as refused:
        second.start(START_S)
    assert f"pid {first.pid}" in str(refused.value)
    first.kill()
    third = HardwareProcess(ChildOrder(settings=settings, data_dir=tmp_path / "b"))
    third.start(START_S)
    assert third.stop(START_S) == 0
    assert other_owner(settings.hardware) is None


def test_two_demos_run_at_once(order, tmp_path: Path, leases: Path) -> None:
    processes = [HardwareProcess(order()), HardwareProcess(order())]
    processes[1]._order.data_dir = tmp_path / "other"
    for process in processes:
        process.start(START_S)
    assert [process.stop(START_S) for process in processes] == [0, 0]
    assert not leases.exists()


def test_waiting_ends_when_the_holder_does(scope, nobody_else) -> None:
    settings, other = scope_without_looking(scope()), Lease("a user's program")
    other.take([LIBRARY])
    now, told = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] >= 10:
            other.release()

    wait_until_free(settings.hardware, 3600, told.append, sleep, lambda: now[0])
    assert 10 <= now[0] < 20
    assert len(told) == 1 and "a user's program" in told[0]


def test_waiting_is_given_up_in_time(scope, nobody_else) -> None:
    settings, other = scope_without_looking(scope()), Lease("a user's program")
    other.take([LIBRARY])
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(HardwareInUseError, match="a user's program"):
        wait_until_free(settings.hardware, 30, sleep=sleep, clock=lambda: now[0])
    assert 30 <= now[0] < 40
    other.release()


def test_command_waits_as_long_as_it_was_told_to(
    scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, other = scope_without_looking(scope()), Lease("a user's program")
    other.take([LIBRARY])
    told: list[str] = []

    def tell(words: str) -> None:
        told.append(words)
        other.release()

    monkeypatch.setattr(owner, "LOOK_S", 0.01)
    monkeypatch.setattr(process_module._log, "warning", tell)
    process = HardwareProcess(ChildOrder(settings=waiting(settings, 3600.0), data_dir=tmp_path / "data"))
    process.start(START_S)
    assert process.stop(START_S) == 0
    assert len(told) == 1 and "a user's program" in told[0]


def test_command_line_names_who_has_the_hardware(python, scope, tmp_path: Path) -> None:
    folder, configuration = adapters_of(scope())
    file = tmp_path / "agent.toml"
    hardware = {"config_file": configuration, "adapter_paths": [folder], "look_for_owners": False}
    file.write_text(tomlkit.dumps({"hardware": hardware}))
    other = python(HOLDS, LIBRARY)
    command = [sys.executable, "-c", "from agent.cli import main; main()", "snapshot", "--wait", "0"]
    refused = subprocess.run([*command, "--config", file], capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1
    assert f"the other one (pid {other.pid}, " in refused.stderr and "--wait" in refused.stderr
    other.communicate("")
    done = subprocess.run([*command, "--config", file, "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "Camera" in {reading["device"] for reading in json.loads(done.stdout)}


def test_daemon_says_once_who_has_the_hardware_and_loads_it_afterwards(
    scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "OWNER_S", 0.05)
    settings, other = scope_without_looking(scope()), Lease("a user's program")
    other.take([LIBRARY])
    reports: list[tuple[Severity, str, str]] = []
    is_told = threading.Event()

    def report(severity: Severity, event: str, message: str, **details: object) -> None:
        reports.append((severity, event, message))
        is_told.set()

    kept = Supervisor(
        ChildOrder(settings=settings, data_dir=tmp_path / "data"),
        report,
        call_deadline_s=30,
        start_deadline_s=START_S,
        backoff_s=0.05,
        backoff_max_s=1,
    )
    kept.start()
    try:
        assert is_told.wait(START_S)
        assert not kept.wait_until_up(0.5)
        other.release()
        assert kept.wait_until_up(START_S)
    finally:
        assert kept.stop(START_S)
    assert [(severity, event) for severity, event, _ in reports] == [
        (Severity.WARNING, "hardware_in_use"),
        (Severity.INFO, "hardware_loaded"),
    ]
    assert "a user's program" in reports[0][2]
