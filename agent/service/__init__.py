"""Staying alive: the daemon, the supervisor of its hardware process, and what it says of its own health."""

from agent.service.daemon import Daemon
from agent.service.supervisor import Supervisor

__all__ = ["Daemon", "Supervisor"]
