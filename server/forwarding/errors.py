"""Errors of forwarding.

ForwardingError
├── UpstreamAwayError      nothing can be sent now; try again later
├── UpstreamRefusedError   the upstream collector declines; somebody must do something
└── LoopError              forwarding there would bring everything back to here
"""

from __future__ import annotations

from server.errors import CollectorError


class ForwardingError(CollectorError):
    """Records cannot be passed on."""


class UpstreamAwayError(ForwardingError):
    """The upstream collector cannot be reached or has no time; `retry_after_s` is what it asked for."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UpstreamRefusedError(ForwardingError):
    """The upstream collector declines; `error` is the stable name of its refusal."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


class LoopError(ForwardingError):
    """Forwarding there would bring everything back to here."""
