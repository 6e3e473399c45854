"""ServiceError: the service could not be installed, removed, started, stopped or looked at."""

from __future__ import annotations

from agent.errors import ScopestampError


class ServiceError(ScopestampError):
    """The computer's service manager did not do what was asked."""
