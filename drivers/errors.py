"""Errors of the drivers. Reading hardware never raises one: a failed reading is a value.

DriverError
├── ConfigurationError   the hardware configuration cannot be loaded
└── AcquisitionError     an acquisition cannot be run
"""

from __future__ import annotations


class DriverError(Exception):
    """A driver could not do what was asked; the message says what to do."""


class ConfigurationError(DriverError):
    """The hardware configuration cannot be loaded."""


class AcquisitionError(DriverError):
    """An acquisition cannot be run."""
