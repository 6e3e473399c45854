"""Who sits at the computer: a narrow door to the operating system.

A program that attached itself runs as its user. The agent runs as a service, and asks for the console: the person at the
microscope, not whoever is connected from afar.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

SERVICE_ACCOUNTS = frozenset(("system", "local service", "network service", "root"))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in."""

    name: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """One entry of the system's list of users: name, terminal, host it came from, and when."""

    name: str
    terminal: str | None
    host: str | None
    started: float


def console_user() -> Person | None:
    """Return who is logged in at the console; None when nobody is, or the system does not tell."""
    try:
        logins = [Login(u.name, u.terminal, u.host, u.started) for u in psutil.users()]
    except (OSError, psutil.Error, RuntimeError):
        return None
    if sys.platform == "win32":
        name = _windows_console_user()
        return next(
            (_person(login) for login in logins if login.name == name), Person(name) if name else None
        )
    return at_console(logins)


def at_console(logins: Iterable[Login]) -> Person | None:
    """Return who of those logged in sits at the screen: the one there for longest; without any, nobody.

    >>> at_console([Login("ada", "pts/0", "10.0.0.7", 1.0), Login("bob", "tty2", "", 2.0)]).name
    'bob'
    """
    local = [login for login in logins if _is_local(login)]
    return _person(min(local, key=lambda login: login.started)) if local else None


def _is_local(login: Login) -> bool:
    terminal, host = login.terminal or "", login.host or ""
    if host.startswith(":") or terminal.startswith(":"):
        return True  # a display of X
    return host in ("", "localhost") and (
        terminal.startswith("tty") or terminal == "console" or "seat" in terminal
    )


def person_here() -> Person | None:
    """Return who is at the console, else whose program this is."""
    return console_user() or process_user()


def process_user() -> Person | None:
    """Return whose program this is; None for an account of the system."""
    try:
        process = psutil.Process()
        name = process.username().rpartition("\\")[2]
    except (OSError, psutil.Error, KeyError):  # KeyError: a number without a name, in containers
        return None
    if name.lower() in SERVICE_ACCOUNTS:
        return None
    logins = [u for u in psutil.users() if u.name == name]
    since = min((u.started for u in logins), default=None)
    return Person(name, None if since is None else datetime.fromtimestamp(since, UTC))


def _person(login: Login) -> Person:
    return Person(login.name, datetime.fromtimestamp(login.started, UTC))


def _windows_console_user() -> str | None:
    """Return who is logged in at the physical console of Windows (WTSQuerySessionInformationW, WTSUserName)."""
    if sys.platform != "win32":
        return None
    import ctypes
    from ctypes import wintypes

    nobody, user_name = 0xFFFFFFFF, 5
    session = ctypes.windll.kernel32.WTSGetActiveConsoleSessionId()
    if session == nobody:
        return None
    text, length = ctypes.c_wchar_p(), wintypes.DWORD()
    wts = ctypes.windll.wtsapi32
    if not wts.WTSQuerySessionInformationW(
        None, session, user_name, ctypes.byref(text), ctypes.byref(length)
    ):
        return None
    try:
        return text.value or None
    finally:
        wts.WTSFreeMemory(text)
