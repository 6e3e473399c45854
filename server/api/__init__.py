"""What programs talk to."""

from server.api import agents, query, reference

__all__ = ["agents", "query", "reference"]
