"""Staying alive: the daemon, the hardware process it owns, and what it says of its own health."""

from agent.service.daemon import Daemon
from agent.service.process import HardwareProcess
from agent.service.supervisor import Supervisor

__all__ = ["Daemon", "HardwareProcess", "Supervisor"]
