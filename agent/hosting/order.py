"""What is to run as a service, and how it fares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

NAME = "scopestamp"
TITLE = "Scopestamp agent"
PURPOSE = "Captures what a microscope is and does at every acquisition, and sends it to a collector."
STOP_S = 90
"""A stop takes a moment; one in the middle of a QC run takes until everything is put back."""


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """What to install.

    Attributes
    ----------
    program : tuple of str
        The command that runs the agent until it is told to end.
    data_dir : str
        The agent's data folder.
    name : str
        Of the service; two agents on one computer have two.
    account : str
        Runs as this user; empty: an account of its own, where the platform makes one.
    is_user : bool
        Of the user who installs it, without rights over the computer.
    environment : tuple of (str, str)
        Set for the program.
    groups : tuple of str
        Further groups (Linux): those that may open serial ports, USB devices and cameras.
    """

    program: tuple[str, ...]
    data_dir: str
    name: str = NAME
    account: str = ""
    is_user: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceState:
    """How a service fares; None is what the platform does not tell."""

    manager: str
    is_installed: bool
    is_running: bool
    starts_at_boot: bool | None = None
    pid: int | None = None
    n_restarts: int | None = None
    says: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)
