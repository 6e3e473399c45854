"""Windows: a service of its own process, installed with the system's own tools (sc.exe, reg.exe, icacls.exe).

The program is `agent.hosting.windows_service`, not pywin32's pythonservice.exe: it needs no registration of classes and
finds the packages of its environment. A virtual environment's python.exe only starts the real one as a child, and Windows
waits for the child in vain (error 1053); so the real one is named, and ``__PYVENV_LAUNCHER__`` tells it the environment, as
CPython's own multiprocessing does. The account must be able to read both: not in a user's profile.
"""

from __future__ import annotations

import ntpath
import re
import subprocess
import sys

from agent.hosting.errors import ServiceError
from agent.hosting.host import Host
from agent.hosting.order import PURPOSE, TITLE, ServiceOrder, ServiceState
from agent.hosting.steps import Run, Step

LAUNCHER_VARIABLE = "__PYVENV_LAUNCHER__"
_EXISTS = frozenset({1073})  # ERROR_SERVICE_EXISTS
_NOT_ACTIVE = frozenset({1062})  # ERROR_SERVICE_NOT_ACTIVE
_RUNS_ALREADY = frozenset({1056})  # ERROR_SERVICE_ALREADY_RUNNING
_NOT_THERE = 1060  # ERROR_SERVICE_DOES_NOT_EXIST
_RESTARTS = "restart/5000/restart/30000/restart/300000"
_FORGIVEN_S = 86_400
_STATE = re.compile(
    r":\s+\d\s+(STOPPED|START_PENDING|STOP_PENDING|RUNNING|CONTINUE_PENDING|PAUSE_PENDING|PAUSED)\b"
)


class WindowsServices:
    """The service control manager of this computer."""

    def __init__(self, name: str) -> None:
        self._name = name

    def install(self, order: ServiceOrder) -> list[Step]:
        """Return how to install it: started after boot, restarted after 5 s, 30 s and then every 5 min, without end.

        Its account is a virtual one (``NT SERVICE\\<name>``), which has no password and no rights but those given here.
        """
        account = order.account or rf"NT SERVICE\{self._name}"
        command = subprocess.list2cmdline(order.program)
        key = rf"HKLM\SYSTEM\CurrentControlSet\Services\{self._name}"
        what = ("binPath=", command, "start=", "delayed-auto", "obj=", account, "DisplayName=", TITLE)
        steps: list[Step] = [
            Run(("sc.exe", "create", self._name, *what), _EXISTS),
            Run(("sc.exe", "config", self._name, *what)),
            Run(("sc.exe", "description", self._name, PURPOSE)),
            Run(("sc.exe", "failure", self._name, "reset=", str(_FORGIVEN_S), "actions=", _RESTARTS)),
            Run(("sc.exe", "failureflag", self._name, "1")),
            Run(("cmd.exe", "/c", "if", "not", "exist", order.data_dir, "mkdir", order.data_dir)),
            Run(("icacls.exe", order.data_dir, "/grant", f"{account}:(OI)(CI)M")),
        ]
        if order.environment:
            variables = r"\0".join(f"{name}={text}" for name, text in order.environment)
            value = ("/v", "Environment", "/t", "REG_MULTI_SZ", "/d", variables, "/f")
            steps.append(Run(("reg.exe", "add", key, *value)))
        return [*steps, *self.start()]

    def uninstall(self) -> list[Step]:
        """Return how to remove it."""
        return [
            Run(("sc.exe", "stop", self._name), _NOT_ACTIVE | {_NOT_THERE}),
            Run(("sc.exe", "delete", self._name), frozenset({_NOT_THERE})),
        ]

    def start(self) -> list[Step]:
        """Return how to start it."""
        return [Run(("sc.exe", "start", self._name), _RUNS_ALREADY)]

    def stop(self) -> list[Step]:
        """Return how to stop it."""
        return [Run(("sc.exe", "stop", self._name), _NOT_ACTIVE)]

    def standing(self, host: Host) -> ServiceState:
        """Ask the service control manager. Labels are translated in other languages' Windows, the words of states not."""
        ran = host.run(("sc.exe", "queryex", self._name))
        if ran.code == _NOT_THERE:
            return ServiceState("Windows services", False, False, says="not installed")
        state = _STATE.search(ran.output)
        if ran.code != 0 or state is None:
            raise ServiceError(
                f"The service control manager cannot be asked: {' '.join(ran.output.split())}."
            )
        pid = re.search(r"\bPID\s*:\s*(\d+)", ran.output)
        start = host.run(("sc.exe", "qc", self._name)).output
        return ServiceState(
            "Windows services",
            True,
            state[1] == "RUNNING",
            "AUTO_START" in start,
            (int(pid[1]) or None) if pid else None,
            says=state[1].lower().replace("_", " "),
        )


def interpreter(
    executable: str, base_executable: str, prefix: str = sys.prefix, base_prefix: str = sys.base_prefix
) -> tuple[str, tuple[tuple[str, str], ...]]:
    r"""Return the Python that a service is to start, and what is to be set for it.

    >>> interpreter(r"C:\\Py\\python.exe", r"C:\\Py\\python.exe", "C:/Py", "C:/Py")[1]
    ()
    """
    if prefix == base_prefix or ntpath.normcase(executable) == ntpath.normcase(base_executable):
        return executable, ()
    return base_executable, ((LAUNCHER_VARIABLE, executable),)
