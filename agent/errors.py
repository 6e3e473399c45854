"""Errors of the agent. A message says what was expected, what came, and what to do.

ScopestampError
├── SettingsError        the configuration file or an option is wrong
├── IdentityError        the agent's key or id cannot be read or made
├── SpoolError           the spool cannot take a record
│   ├── SpoolFullError       the volume or the budget is full
│   └── RecordTooLargeError  one record is larger than the wire allows
├── CollectorError       the collector did not do what was asked
│   ├── CollectorAwayError   no connection, time-out, 5xx, 429, an answer that is not ours: try again later
│   └── CollectorRefusedError  it understood and said no: 401, 403, 409, 413 …
├── HardwareError        the hardware process could not do what was asked
│   ├── HardwareInUseError   somebody else has the hardware: wait, or end that first
│   └── RunStoppedError      a scheduled run was stopped: nothing more is passed on to the hardware
│       ├── LimitError           … because it would give more light, or move further, than it may
│       └── PersonAtMicroscopeError  … because somebody wants the microscope
├── CalendarError        the booking calendar cannot be read
└── CaptureError         an acquisition could not be captured or stamped
"""

from __future__ import annotations


class ScopestampError(Exception):
    """Anything the agent tells its user in one plain sentence."""


class SettingsError(ScopestampError):
    """The configuration file or an option is wrong."""


class IdentityError(ScopestampError):
    """The agent's key or id cannot be read or made."""


class SpoolError(ScopestampError):
    """The spool cannot take a record."""


class SpoolFullError(SpoolError):
    """The volume or the budget is full."""


class RecordTooLargeError(SpoolError):
    """One record is larger than the wire allows."""


class CollectorError(ScopestampError):
    """The collector did not do what was asked."""


class CollectorAwayError(CollectorError):
    """No connection, a time-out, 5xx, 429, or an answer that is not ours: worth trying again."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CollectorRefusedError(CollectorError):
    """The collector understood and said no."""

    def __init__(self, message: str, status: int, error: str, expected: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.expected = expected


class HardwareError(ScopestampError):
    """The hardware process could not do what was asked."""


class HardwareInUseError(HardwareError):
    """Somebody else has the hardware; the message says who."""


class CaptureError(ScopestampError):
    """An acquisition could not be captured or stamped."""


class RunStoppedError(HardwareError):
    """A scheduled run was stopped: nothing more is passed on to the hardware."""


class LimitError(RunStoppedError):
    """A run was stopped because it would give more light, or move further, than it may."""


class PersonAtMicroscopeError(RunStoppedError):
    """A run was stopped because somebody wants the microscope."""


class CalendarError(ScopestampError):
    """The booking calendar cannot be read."""
