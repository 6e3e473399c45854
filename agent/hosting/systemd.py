"""Linux: a systemd unit, of the system or of one user.

What is left out of the hardening, and why: PrivateDevices and ProtectClock (either closes /dev, and with it the
microscope), ProtectKernelTunables (camera drivers set USB limits in /sys), MemoryDenyWriteExecute (numba compiles),
RestrictRealtime (camera SDKs ask for it), PrivateTmp (leases on hardware lie in /tmp for every user to see),
ProtectHome and ProtectSystem=strict (records are written beside the images, wherever those lie).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.hosting.errors import ServiceError
from agent.hosting.host import Host
from agent.hosting.order import PURPOSE, STOP_S, TITLE, ServiceOrder, ServiceState
from agent.hosting.steps import Remove, Run, Step, Write

STATE_FOLDER = "/var/lib/scopestamp"
WATCHDOG_S = 180
_ALREADY_THERE = frozenset({9})  # useradd(8)
_NOT_LOADED = frozenset({5})  # systemctl(1): no such unit
_SAFE = re.compile(r"[\w@%+=:,./-]+", re.ASCII)

_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
"""


class Systemd:
    """The systemd of this computer, or that of the user."""

    def __init__(self, name: str, *, is_user: bool = False) -> None:
        self._name, self._is_user = name, is_user
        self._systemctl = ("systemctl", "--user") if is_user else ("systemctl",)

    @property
    def unit_path(self) -> str:
        """Where the unit lies."""
        if self._is_user:
            return str(Path("~/.config/systemd/user").expanduser() / f"{self._name}.service")
        return f"/etc/systemd/system/{self._name}.service"

    def install(self, order: ServiceOrder) -> list[Step]:
        """Return how to install it, with a system user of its own unless an account is named."""
        steps: list[Step] = []
        if not self._is_user and not order.account:
            new_user = ("--system", "--user-group", "--no-create-home", "--home-dir", STATE_FOLDER)
            steps.append(
                Run(("useradd", *new_user, "--shell", "/usr/sbin/nologin", self._name), _ALREADY_THERE)
            )
        return [
            *steps,
            Write(self.unit_path, unit(order).encode()),
            Run((*self._systemctl, "daemon-reload")),
            Run((*self._systemctl, "enable", self._name)),
            Run((*self._systemctl, "restart", self._name)),
        ]

    def uninstall(self) -> list[Step]:
        """Return how to remove it; its user stays, as its files do."""
        return [
            Run((*self._systemctl, "disable", "--now", self._name), frozenset({1, 5})),
            Remove(self.unit_path),
            Run((*self._systemctl, "daemon-reload")),
        ]

    def start(self) -> list[Step]:
        """Return how to start it."""
        return [Run((*self._systemctl, "start", self._name))]

    def stop(self) -> list[Step]:
        """Return how to stop it."""
        return [Run((*self._systemctl, "stop", self._name), _NOT_LOADED)]

    def standing(self, host: Host) -> ServiceState:
        """Ask systemd."""
        wanted = "LoadState,ActiveState,SubState,MainPID,NRestarts,UnitFileState,Result"
        ran = host.run((*self._systemctl, "show", self._name, f"--property={wanted}"))
        if ran.code != 0:
            raise ServiceError(f"systemd cannot be asked: {' '.join(ran.output.split()) or ran.code}.")
        told = dict(line.split("=", 1) for line in ran.output.splitlines() if "=" in line)
        result = told.get("Result", "success")
        return ServiceState(
            manager="systemd --user" if self._is_user else "systemd",
            is_installed=told.get("LoadState") not in (None, "", "not-found"),
            is_running=told.get("ActiveState") == "active",
            starts_at_boot=told.get("UnitFileState") in ("enabled", "enabled-runtime"),
            pid=int(told.get("MainPID") or 0) or None,
            n_restarts=int(told.get("NRestarts") or 0),
            says=f"{told.get('ActiveState', 'unknown')} ({told.get('SubState', '')})"
            + ("" if result == "success" else f", last end: {result}"),
        )


def unit(order: ServiceOrder) -> str:
    """Return the text of the unit (systemd.unit(5), systemd.service(5), systemd.exec(5)).

    Before version 254 systemd ignores RestartSteps and starts a failing agent again every 5 s, without end.
    """
    wanted_by = "default.target" if order.is_user else "multi-user.target"
    environment = "".join(f"Environment={_quoted(f'{name}={text}')}\n" for name, text in order.environment)
    return f"""\
[Unit]
Description={TITLE}: {PURPOSE.replace("%", "%%")}
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={" ".join(_quoted(word) for word in order.program)}
WatchdogSec={WATCHDOG_S}
TimeoutStartSec=300
TimeoutStopSec={STOP_S}
KillMode=mixed
Restart=always
RestartSec=5
RestartSteps=6
RestartMaxDelaySec=300
{environment}Nice=5
IOSchedulingClass=best-effort
IOSchedulingPriority=7
{"" if order.is_user else _system_part(order)}
[Install]
WantedBy={wanted_by}
"""


def _system_part(order: ServiceOrder) -> str:
    """Return what only the system's systemd may do: another user, a folder in /var/lib, protection."""
    lines = [f"User={order.account or order.name}"]
    if order.groups:
        lines.append("SupplementaryGroups=" + " ".join(order.groups))
    if order.data_dir == f"/var/lib/{order.name}":
        lines += [f"StateDirectory={order.name}", "StateDirectoryMode=0750"]
    return "\n".join(lines) + "\n" + _HARDENING


def groups_here(wanted: Sequence[str] = ("dialout", "plugdev", "video")) -> tuple[str, ...]:
    """Return those groups that this computer has: a unit that names another one does not start."""
    if sys.platform == "win32":
        return ()
    import grp

    there = {group.gr_name for group in grp.getgrall()}
    return tuple(name for name in wanted if name in there)


def _quoted(word: str) -> str:
    r"""Return a word of a command line as systemd reads it: quoted, its own % and $ doubled.

    >>> print(_quoted('/opt/my "scope" 100%'))
    "/opt/my \"scope\" 100%%"
    """
    word = word.replace("%", "%%").replace("$", "$$")
    if _SAFE.fullmatch(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
