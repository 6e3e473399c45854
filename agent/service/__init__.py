"""Staying alive: the daemon, the supervisor of its hardware process, and what it says of its own health."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.service.daemon import Daemon
    from agent.service.supervisor import Supervisor

__all__ = ["Daemon", "Supervisor"]

_HOME_OF = {"Daemon": "agent.service.daemon", "Supervisor": "agent.service.supervisor"}


def __getattr__(name: str) -> Any:  # lazy: who asks whether an agent runs needs none of it
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
