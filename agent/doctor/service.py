"""Whether the agent runs, and what the service manager says of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from agent.doctor.finding import Finding, Level, Place
from agent.hosting import Computer, Host, ServiceError, ServiceState, manager_here
from agent.service.announce import Announced, announced

_TOPIC = "service"


def service(place: Place) -> Iterator[Finding]:
    """Tell whether the agent runs and who keeps it running."""
    running = announced(place.data_dir)
    yield _agent(running)
    yield _manager(running, Computer())


def _agent(running: Announced | None) -> Finding:
    if running is None:
        return Finding(
            _TOPIC,
            "agent",
            Level.WARNING,
            "does not run on this data folder",
            "Start it: scopestamp service start, or scopestamp run --config FILE.",
            {"is_running": False},
        )
    return Finding(
        _TOPIC,
        "agent",
        Level.GOOD,
        f"runs since {running.since.astimezone():%Y-%m-%d %H:%M}, process {running.pid}, version {running.version}",
        facts={
            "is_running": True,
            "pid": running.pid,
            "since": running.since.isoformat(),
            "version": running.version,
        },
    )


def _manager(running: Announced | None, host: Host) -> Finding:
    states = []
    for is_user in (False, True) if sys.platform != "win32" else (False,):
        try:
            states.append(manager_here(is_user=is_user).standing(host))
        except ServiceError as error:
            reason = str(error)
    installed = next((state for state in states if state.is_installed), None)
    if not states:
        return Finding(_TOPIC, "service manager", Level.NOTE, f"cannot be asked: {reason}")
    if installed is None:
        return Finding(
            _TOPIC,
            "service manager",
            Level.NOTE if running else Level.WARNING,
            "no service is installed",
            "After a restart of the computer nobody starts the agent: scopestamp service install --config FILE.",
        )
    return _installed(installed, running)


def _installed(state: ServiceState, running: Announced | None) -> Finding:
    is_well = state.is_running or running is not None
    return Finding(
        _TOPIC,
        "service manager",
        Level.GOOD if is_well and state.starts_at_boot is not False else Level.WARNING,
        f"{state.manager}: {state.says}"
        + (f", started again {state.n_restarts} times" if state.n_restarts else ""),
        ""
        if is_well
        else "scopestamp service start; why it ended stands in logs/start.log and logs/daemon.log.",
        state.as_dict(),
    )
