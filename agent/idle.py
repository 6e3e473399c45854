"""How long nobody has used mouse or keyboard of this computer: one question, answered by each platform in its own way.

Not knowing is an answer of its own, with a reason; whoever asks decides what it means.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import psutil

_ASK_S = 5.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Time since the last input.

    Attributes
    ----------
    for_s : float or None
        Seconds; infinite when nobody is signed in, None when it cannot be told.
    why : str
        Why it cannot be told.
    """

    for_s: float | None
    why: str = ""


Run = Callable[[list[str]], str]
"""Runs a command and returns what it printed; raises OSError or SubprocessError."""


def input_idle() -> Idle:
    """Return how long nobody has used mouse or keyboard."""
    if sys.platform == "win32":
        return _windows()
    if sys.platform == "darwin":
        return macos_idle(_output_of)
    return logind_idle(_output_of, time.monotonic_ns)


def macos_idle(run: Run) -> Idle:
    """Return it from the HID system's counter (``ioreg -c IOHIDSystem``, nanoseconds)."""
    try:
        said = run(["/usr/sbin/ioreg", "-c", "IOHIDSystem", "-d", "4"])
    except (OSError, subprocess.SubprocessError) as error:
        return Idle(None, f"ioreg could not be asked ({error})")
    found = re.search(r'"HIDIdleTime"\s*=\s*(\d+)', said)
    return Idle(int(found[1]) / 1e9) if found else Idle(None, "ioreg does not tell HIDIdleTime")


def logind_idle(run: Run, monotonic_ns: Callable[[], int]) -> Idle:
    """Return it from systemd-logind: the least of all sessions of people.

    A desktop tells logind when it is idle, a terminal's session is idle since its last key. A desktop that never told
    counts as in use since it began.
    """
    try:
        listed = run(["loginctl", "list-sessions", "--no-legend", "--no-pager"])
        sessions = [line.split()[0] for line in listed.splitlines() if line.split()]
        told = [
            _properties(run(["loginctl", "show-session", name, "--no-pager", "-p", "Class", "-p", "State",
                             "-p", "IdleHint", "-p", "IdleSinceHintMonotonic"]))
            for name in sessions
        ]  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return Idle(None, f"loginctl could not be asked ({error})")
    people = [one for one in told if one.get("Class") == "user" and one.get("State") != "closing"]
    return Idle(min((_session_idle_s(one, monotonic_ns()) for one in people), default=inf))


def _properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _session_idle_s(session: dict[str, str], now_ns: int) -> float:
    since_us = session.get("IdleSinceHintMonotonic", "0")
    if session.get("IdleHint") != "yes" or not since_us.isdigit():
        return 0.0
    return max(0.0, now_ns / 1e9 - int(since_us) / 1e6)


def _output_of(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_ASK_S, check=True, encoding="utf-8"
    )
    return done.stdout


def _windows() -> Idle:
    if sys.platform != "win32":
        raise AssertionError("asked on Windows alone")
    import ctypes
    import os
    from ctypes import wintypes

    class LastInput(ctypes.Structure):
        _fields_ = (("size", wintypes.UINT), ("tick_ms", wintypes.DWORD))

    session = wintypes.DWORD()
    kernel32, user32 = ctypes.windll.kernel32, ctypes.windll.user32
    if kernel32.ProcessIdToSessionId(os.getpid(), ctypes.byref(session)) and session.value == 0:
        if not psutil.users():
            return Idle(inf)
        return Idle(
            None,
            "a service does not see the desktop; run the agent in the session of the user who is signed in",
        )
    last = LastInput(ctypes.sizeof(LastInput), 0)
    if not user32.GetLastInputInfo(ctypes.byref(last)):
        return Idle(None, "GetLastInputInfo failed")
    return Idle(((kernel32.GetTickCount() - last.tick_ms) & 0xFFFFFFFF) / 1000.0)
