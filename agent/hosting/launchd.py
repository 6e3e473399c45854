"""macOS: a launchd job, of the computer (LaunchDaemon) or of one user (LaunchAgent)."""

from __future__ import annotations

import os
import plistlib
import re
from pathlib import Path
from typing import Any

from agent.hosting.host import Host
from agent.hosting.order import STOP_S, ServiceOrder, ServiceState
from agent.hosting.steps import Remove, Run, Step, Write

_NOT_THERE = frozenset({3, 5, 36, 113})  # launchctl error: no such process, I/O error, in progress, not found
_THROTTLE_S = 10


class Launchd:
    """The launchd of this computer."""

    def __init__(self, name: str, *, is_user: bool = False) -> None:
        self.label = f"org.scopestamp.{name}"
        self._is_user = is_user
        user_id = os.getuid() if hasattr(os, "getuid") else 0
        self._domain = f"gui/{user_id}" if is_user else "system"

    @property
    def plist_path(self) -> str:
        """Where the job lies."""
        folder = Path("~/Library/LaunchAgents").expanduser() if self._is_user else "/Library/LaunchDaemons"
        return f"{folder}/{self.label}.plist"

    def install(self, order: ServiceOrder) -> list[Step]:
        """Return how to install it; a job that is loaded already is replaced."""
        job = plistlib.dumps(self.job(order))
        return [
            Run(("launchctl", "bootout", f"{self._domain}/{self.label}"), _NOT_THERE),
            Run(("mkdir", "-p", f"{order.data_dir}/logs")),
            *self._given(order),
            Write(self.plist_path, job),
            Run(("launchctl", "enable", f"{self._domain}/{self.label}")),
            Run(("launchctl", "bootstrap", self._domain, self.plist_path)),
        ]

    def job(self, order: ServiceOrder) -> dict[str, Any]:
        """Return the job (launchd.plist(5))."""
        job: dict[str, Any] = {
            "Label": self.label,
            "ProgramArguments": list(order.program),
            "EnvironmentVariables": dict(order.environment),
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": _THROTTLE_S,
            "ExitTimeOut": STOP_S,
            "ProcessType": "Background",
            "LowPriorityIO": True,
            "Nice": 5,
            "StandardOutPath": "/dev/null",
            "StandardErrorPath": f"{order.data_dir}/logs/start.err",
        }
        if order.account:
            job["UserName"] = order.account
        return job

    def uninstall(self) -> list[Step]:
        """Return how to remove it."""
        return [*self.stop(), Remove(self.plist_path)]

    def start(self) -> list[Step]:
        """Return how to start it."""
        return [
            Run(("launchctl", "bootstrap", self._domain, self.plist_path), frozenset({5, 37})),
            Run(("launchctl", "kickstart", f"{self._domain}/{self.label}")),
        ]

    def stop(self) -> list[Step]:
        """Return how to stop it: a job that is kept alive is stopped by unloading it; the next boot loads it."""
        return [Run(("launchctl", "bootout", f"{self._domain}/{self.label}"), _NOT_THERE)]

    def standing(self, host: Host) -> ServiceState:
        """Ask launchd."""
        manager = "launchd (user)" if self._is_user else "launchd"
        is_there = host.run(("test", "-f", self.plist_path)).code == 0
        ran = host.run(("launchctl", "print", f"{self._domain}/{self.label}"))
        if ran.code != 0:
            return ServiceState(manager, is_there, False, is_there, says="not loaded")
        state = re.search(r"^\s*state = (.+)$", ran.output, re.MULTILINE)
        pid = re.search(r"^\s*pid = (\d+)$", ran.output, re.MULTILINE)
        n_runs = re.search(r"^\s*runs = (\d+)$", ran.output, re.MULTILINE)
        says = state[1].strip() if state else "unknown"
        return ServiceState(
            manager,
            is_there,
            says == "running",
            is_there,
            int(pid[1]) if pid else None,
            max(int(n_runs[1]) - 1, 0) if n_runs else None,
            says,
        )

    def _given(self, order: ServiceOrder) -> list[Step]:
        """Give the folder to the account that is to write there."""
        if self._is_user or not order.account:
            return []
        return [Run(("chown", "-R", order.account, order.data_dir))]
