"""Finds processes that have hardware without saying so: Studio, and any program with a device adapter in its memory."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from agent.hardware.holder import Holder, holder_of_process

BRIDGE_PORT = 4827
_CONNECT_S = 0.5
_ADAPTER = re.compile(r"mmgr_dal_(\w+)")  # mmgr_dal_X.dll, libmmgr_dal_X.so.0, libmmgr_dal_X
_STUDIO = re.compile(r"micro-?manager", re.IGNORECASE)
_RUNNERS = ("java", "imagej", "fiji", "micro-manager", "micromanager")  # how Studio's process is called


def process_with_adapters(libraries: frozenset[str]) -> Holder | None:
    """Return a process that has one of these device adapters loaded.

    An adapter is a shared library, so whoever uses it has it mapped, in whatever language the program is written.
    What cannot be looked into, because another user started it, is passed over; macOS tells of no process.
    """
    for process in _others():
        if found := sorted(adapters_in(process) & libraries):
            return holder_of_process(process, f"has the device adapter {', '.join(found)} loaded")
    return None


def studio_process() -> Holder | None:
    """Return a running Micro-Manager Studio, or headless Java Micro-Manager."""
    for process in _others():
        try:
            name, command = process.name(), process.cmdline()
        except (psutil.Error, OSError):
            continue
        if is_studio(name, command):
            return holder_of_process(process, "is Micro-Manager Studio")
    return None


def is_studio(name: str, command: Sequence[str]) -> bool:
    """Return whether a process of this name and command line is Micro-Manager's Java program.

    >>> is_studio("javaw.exe", ["C:/Program Files/Micro-Manager-2.0/jre/bin/javaw.exe", "-Xmx4000m", "ij.ImageJ"])
    True
    >>> is_studio("python.exe", ["python.exe", "C:/Program Files/Micro-Manager-2.0/mine.py"])
    False
    """
    return name.lower().startswith(_RUNNERS) and any(_STUDIO.search(part) for part in (name, *command))


def bridge_answers(port: int) -> Holder | None:
    """Return who answers on the port of Micro-Manager's bridge, which only a running Micro-Manager opens."""
    try:
        socket.create_connection(("127.0.0.1", port), _CONNECT_S).close()
    except OSError:
        return None
    what = f"answers on Micro-Manager's bridge port {port}"
    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and getattr(connection.laddr, "port", None) == port
                and connection.pid
            ):
                return holder_of_process(psutil.Process(connection.pid), what)
    except (psutil.Error, OSError):
        pass
    return Holder("A program", what)


def adapters_in(process: psutil.Process) -> frozenset[str]:
    """Return the device adapters that a process has mapped; nothing for one that may not be looked into."""
    try:
        files = list(_mapped_files(process))
    except (psutil.Error, OSError):
        return frozenset()
    return frozenset(match[1] for file in files if (match := _ADAPTER.search(Path(file).name)))


def _mapped_files(process: psutil.Process) -> Iterator[str]:
    if sys.platform == "linux":  # psutil reads smaps there, which walks every page
        text = Path(f"/proc/{process.pid}/maps").read_text(errors="replace")
        yield from (line.split(maxsplit=5)[-1] for line in text.splitlines() if "mmgr_dal_" in line)
    elif hasattr(process, "memory_maps"):
        yield from (mapped.path for mapped in process.memory_maps())


def _others() -> Iterator[psutil.Process]:
    return (process for process in psutil.process_iter() if process.pid != os.getpid())
