"""Which service manager looks after the agent here."""

from __future__ import annotations

import sys
from typing import Protocol

from agent.hosting.errors import ServiceError
from agent.hosting.host import Host
from agent.hosting.launchd import Launchd
from agent.hosting.order import NAME, ServiceOrder, ServiceState
from agent.hosting.steps import Step
from agent.hosting.systemd import Systemd
from agent.hosting.windows import WindowsServices


class ServiceManager(Protocol):
    """A platform's way to keep a program running. All but `state` only say what to do; nothing is done yet."""

    def install(self, order: ServiceOrder) -> list[Step]:
        """Return how to install the service, to run from now on and after every boot; installing again is an update."""

    def uninstall(self) -> list[Step]:
        """Return how to remove it; the agent's data stays."""

    def start(self) -> list[Step]:
        """Return how to start it."""

    def stop(self) -> list[Step]:
        """Return how to stop it until the next boot."""

    def standing(self, host: Host) -> ServiceState:
        """Ask how it fares; `ServiceError` when the manager cannot be asked."""


def manager_here(name: str = NAME, *, is_user: bool = False, platform: str = sys.platform) -> ServiceManager:
    """Return the service manager of a platform.

    Raises
    ------
    ServiceError
        The platform has none that we know, or none for a single user.
    """
    if platform == "win32":
        if is_user:
            raise ServiceError(
                "A Windows service belongs to the computer: leave out --user, in an administrator's prompt."
            )
        return WindowsServices(name)
    if platform == "darwin":
        return Launchd(name, is_user=is_user)
    if platform.startswith("linux"):
        return Systemd(name, is_user=is_user)
    raise ServiceError(f"No service manager is known for {platform}; run 'scopestamp run' from your own.")
