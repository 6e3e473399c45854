"""Tells systemd how the agent fares (sd_notify(3)): it is ready, it lives, it stops. Elsewhere nobody listens.

The protocol is one datagram of text to the socket that ``NOTIFY_SOCKET`` names; a name that begins with @ is abstract.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

_NEVER_S = 3600.0


class Notify:
    """The line to the service manager.

    Parameters
    ----------
    environment : mapping, optional
        Where the service manager says what it wants to hear; default: that of this process.

    Attributes
    ----------
    interval_s : float
        How often `alive` is to be called: a third of what the service manager waits for.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.interval_s = _NEVER_S
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if is_for_us and environment.get("WATCHDOG_USEC", "").isdigit():
            self.interval_s = int(environment["WATCHDOG_USEC"]) / 1e6 / 3

    def ready(self, words: str) -> None:
        """Say that the agent is up."""
        self._say(f"READY=1\nSTATUS={words}")

    def alive(self) -> None:
        """Say that the agent is well; a service manager that does not hear it for long starts the agent again."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the agent puts everything away."""
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        family = getattr(socket, "AF_UNIX", None)
        if not self._address or family is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as line:
            line.settimeout(1.0)
            line.sendto(words.encode(), address)
