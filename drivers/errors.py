"""Errors of the drivers. Reading hardware never raises one: a failed reading is a value.

DriverError
├── ConfigurationError   the hardware configuration cannot be loaded
└── AcquisitionError     an acquisition cannot be run
"""

from __future__ import annotations

DEVICE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a device's code raises: the core raises RuntimeError and ValueError, a device written in Python anything."""


class DriverError(Exception):
    """A driver could not do what was asked; the message says what to do."""


class ConfigurationError(DriverError):
    """The hardware configuration cannot be loaded."""


class AcquisitionError(DriverError):
    """An acquisition cannot be run."""
