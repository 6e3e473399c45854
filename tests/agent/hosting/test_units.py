"""What is installed, read by those who will read it: systemd's own checker, plistlib, and the C runtime's rules of quoting."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys

import pytest

from agent.hosting.host import Ran
from agent.hosting.launchd import Launchd
from agent.hosting.order import ServiceOrder
from agent.hosting.steps import Remove, Run, Write, take_all
from agent.hosting.systemd import Systemd, unit
from agent.hosting.windows import WindowsServices, interpreter

PROGRAM = (sys.executable, "-m", "agent.service", "--config", '/tmp/my $cope 100% "left".toml')
ORDER = ServiceOrder(PROGRAM, "/var/lib/scopestamp", groups=("dialout", "video"))
NEWER_KEYS = ("RestartSteps", "RestartMaxDelaySec")  # of systemd 254; older ones say that they ignore them


class FakeHost:
    """A computer that notes what is asked of it; answers are given by the first words of a command."""

    def __init__(self, **answers: Ran) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.files: dict[str, bytes] = {}
        self._answers = answers

    def run(self, command):
        self.asked.append(tuple(command))
        return next((ran for words, ran in self._answers.items() if words in command), Ran(0, ""))

    def write(self, path, data, mode):
        self.files[path] = data

    def remove(self, path):
        self.files.pop(path, None)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(ORDER, id="system"),
        pytest.param(
            ServiceOrder(PROGRAM, "/srv/data", account="root", environment=(("A", "b c"),)), id="account"
        ),
        pytest.param(ServiceOrder(PROGRAM, "/home/x/data", is_user=True), id="user"),
    ],
)
def test_unit_is_one_for_systemd(order, tmp_path):
    if (checker := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "scopestamp.service"
    path.write_text(unit(order))
    checked = subprocess.run([checker, "verify", str(path)], capture_output=True, text=True)
    said = [
        line
        for line in checked.stderr.splitlines()
        if path.name in line and not any(key in line for key in NEWER_KEYS)
    ]
    assert (checked.returncode, said) == (0, [])


def test_systemd_checker_finds_a_mistake(tmp_path):
    if (checker := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "scopestamp.service"
    path.write_text(unit(ORDER).replace(f"ExecStart={sys.executable}", "ExecStart=/no/such/program"))
    assert subprocess.run([checker, "verify", str(path)], capture_output=True).returncode != 0


def test_unit_leaves_the_hardware_reachable():
    settings = dict(line.split("=", 1) for line in unit(ORDER).splitlines() if "=" in line)
    for key in ("PrivateDevices", "ProtectClock", "DevicePolicy", "PrivateTmp", "MemoryDenyWriteExecute"):
        assert key not in settings
    assert settings["SupplementaryGroups"] == "dialout video"
    assert settings["Restart"] == "always"
    assert settings["User"] == "scopestamp"


def test_systemd_install_makes_user_and_unit_and_uninstall_keeps_the_data():
    host = FakeHost(useradd=Ran(9, "useradd: user 'scopestamp' already exists"))
    manager = Systemd("scopestamp")
    take_all(manager.install(ORDER), host)
    assert host.files == {"/etc/systemd/system/scopestamp.service": unit(ORDER).encode()}
    assert [command[0] for command in host.asked] == ["useradd", *["systemctl"] * 3]
    take_all(manager.uninstall(), host)
    assert host.files == {}
    assert not any("/var/lib/scopestamp" in part for command in host.asked[4:] for part in command)


def test_failing_step_says_what_the_command_said_and_ends_the_plan():
    from agent.hosting import ServiceError

    host = FakeHost(enable=Ran(1, "Failed to enable unit:\n Access denied"))
    with pytest.raises(ServiceError, match="Failed to enable unit: Access denied"):
        take_all(Systemd("scopestamp").install(ORDER), host)
    assert host.asked[-1] == ("systemctl", "enable", "scopestamp")


@pytest.mark.parametrize(
    ("output", "is_installed", "is_running", "says"),
    [
        ("LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=71\nNRestarts=2\nResult=success\n"
         "UnitFileState=enabled\n", True, True, "active (running)"),
        ("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nMainPID=0\nNRestarts=9\n"
         "Result=watchdog\nUnitFileState=enabled\n", True, False, "activating (auto-restart), last end: watchdog"),
        ("LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\nNRestarts=0\n", False, False,
         "inactive (dead)"),
    ],
    ids=["runs", "fails", "absent"],
)  # fmt: skip
def test_systemd_state(output, is_installed, is_running, says):
    state = Systemd("scopestamp").standing(FakeHost(show=Ran(0, output)))
    assert (state.is_installed, state.is_running, state.says) == (is_installed, is_running, says)
    assert (state.pid is not None) == is_running


def test_launchd_job_says_what_plistlib_reads():
    order = ServiceOrder(PROGRAM, "/Library/scope", account="anna")
    manager = Launchd("scopestamp")
    (written,) = [step for step in manager.install(order) if isinstance(step, Write)]
    job = plistlib.loads(written.data)
    assert written.path == "/Library/LaunchDaemons/org.scopestamp.scopestamp.plist"
    assert tuple(job["ProgramArguments"]) == PROGRAM
    assert (job["KeepAlive"], job["RunAtLoad"], job["UserName"]) == (True, True, "anna")
    assert (job["ProcessType"], job["LowPriorityIO"]) == ("Background", True)
    assert Remove(written.path) in manager.uninstall()


def test_launchd_state():
    text = (
        "system/org.scopestamp.scopestamp = {\n\tstate = running\n\tprogram = x\n\truns = 3\n\tpid = 812\n}\n"
    )
    state = Launchd("scopestamp").standing(FakeHost(print=Ran(0, text)))
    assert (state.is_running, state.pid, state.n_restarts) == (True, 812, 2)
    absent = FakeHost(print=Ran(113, "Could not find service"), test=Ran(1, ""))
    state = Launchd("scopestamp").standing(absent)
    assert (state.is_installed, state.is_running) == (False, False)


def _windows_words(line: str) -> list[str]:
    """Split a command line as Windows' C runtime does, as far as our tests need it: quotes, and \\" within."""
    words, word, is_quoted, is_there, i = [], "", False, False, 0
    while i < len(line):
        n = len(line[i:]) - len(line[i:].lstrip("\\"))
        if n and line[i + n : i + n + 1] == '"':
            word += "\\" * (n // 2) + ('"' if n % 2 else "")
            i += n + n % 2
            is_there = True
            continue
        char = line[i]
        if char == '"':
            is_quoted, is_there = not is_quoted, True
        elif char in " \t" and not is_quoted:
            words, word, is_there = [*words, word] if is_there else words, "", False
        else:
            word, is_there = word + char, True
        i += 1
    return [*words, word] if is_there else words


def test_windows_service_command_survives_two_rounds_of_quoting():
    program = (r"C:\Program Files\scopestamp\python.exe", "-m", "agent.hosting.windows_service", "--config",
               r"D:\my scope\agent.toml", "--data", "D:\\")  # fmt: skip
    steps = WindowsServices("scopestamp").install(ServiceOrder(program, r"C:\ProgramData\scopestamp"))
    create = next(step for step in steps if isinstance(step, Run) and step.command[1] == "create")
    told = _windows_words(subprocess.list2cmdline(create.command))
    assert tuple(told) == create.command
    assert tuple(_windows_words(told[told.index("binPath=") + 1])) == program
    assert told[told.index("obj=") + 1] == r"NT SERVICE\scopestamp"


def test_windows_install_restarts_for_ever_and_gives_the_account_its_folder_alone():
    order = ServiceOrder(("py.exe",), r"C:\ProgramData\scopestamp", environment=(("A", "b"),))
    host = FakeHost(create=Ran(1073, "exists"))
    take_all(WindowsServices("scopestamp").install(order), host)
    said = [" ".join(command) for command in host.asked]
    assert any("actions= restart/5000/restart/30000/restart/300000" in line for line in said)
    assert any(
        line.startswith(r"icacls.exe C:\ProgramData\scopestamp /grant NT SERVICE\scopestamp") for line in said
    )
    assert any("REG_MULTI_SZ /d A=b" in line for line in said)
    assert said[-1] == "sc.exe start scopestamp"


@pytest.mark.parametrize(
    ("code", "output", "is_installed", "is_running", "pid"),
    [
        (
            0,
            "SERVICE_NAME: scopestamp\n  TYPE : 10  WIN32_OWN_PROCESS\n  STATE : 4  RUNNING\n  PID : 5120\n",
            True,
            True,
            5120,
        ),
        (
            0,
            "DIENSTNAME: scopestamp\n  TYP : 10  WIN32_OWN_PROCESS\n  STATUS : 1  STOPPED\n  PID : 0\n",
            True,
            False,
            None,
        ),
        (1060, "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:", False, False, None),
    ],
    ids=["runs", "German, stopped", "absent"],
)
def test_windows_state(code, output, is_installed, is_running, pid):
    state = WindowsServices("scopestamp").standing(
        FakeHost(queryex=Ran(code, output), qc=Ran(0, "2 AUTO_START"))
    )
    assert (state.is_installed, state.is_running, state.pid) == (is_installed, is_running, pid)


def test_windows_service_starts_the_real_interpreter_of_a_virtual_environment():
    venv, base = r"C:\scopestamp\Scripts\python.exe", r"C:\Python\python.exe"
    assert interpreter(venv, base, "C:/scopestamp", "C:/Python") == (base, (("__PYVENV_LAUNCHER__", venv),))
