"""The agent as a service of its computer: a Windows service, a systemd unit, a launchd job."""

from agent.hosting.errors import ServiceError
from agent.hosting.host import Computer, Host, Ran
from agent.hosting.managers import ServiceManager, manager_here
from agent.hosting.order import ServiceOrder, ServiceState

__all__ = [
    "Computer",
    "Host",
    "Ran",
    "ServiceError",
    "ServiceManager",
    "ServiceOrder",
    "ServiceState",
    "manager_here",
]
