"""A stand-in for Micro-Manager Studio: the bridge's protocol to the byte, over a real core with demo adapters."""

from studio_standin.server import Faults, Server
from studio_standin.studio import StandIn, recorded

__all__ = ["Faults", "Server", "StandIn", "recorded"]
