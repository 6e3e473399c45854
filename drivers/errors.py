"""Errors of the drivers. Reading hardware never raises one: a failed reading is a value.

DriverError
├── ConfigurationError   the hardware configuration cannot be loaded
├── AcquisitionError     an acquisition cannot be run
│   └── CameraSilentError    its camera delivers no frame: what it was told last, it did not do
├── BridgeError          the bridge to a running Micro-Manager Studio did not do what was asked
│   ├── StudioAwayError      silent, gone or not there; what was asked may still be carried out later
│   ├── JavaError            Studio's answer is an exception
│   └── ForbiddenCallError   not on the list of calls that are safe; nothing was sent
└── ListenerError        the Studio listener cannot be built or installed
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


class CameraSilentError(AcquisitionError):
    """The camera delivers no frame: loading the hardware anew is what may bring it back."""


class BridgeError(DriverError):
    """The bridge to a running Micro-Manager Studio did not do what was asked."""


class StudioAwayError(BridgeError):
    """Studio is silent, gone or not there. What was asked of it may still be carried out later: do not repeat it."""


class JavaError(BridgeError):
    """Studio answered with an exception.

    Attributes
    ----------
    java_class : str
        The class of the exception.
    words : str
        Its message, as the core or the device put it.
    """

    def __init__(self, java_class: str, words: str) -> None:
        super().__init__(f"Micro-Manager Studio answered: {words or java_class}")
        self.java_class = java_class
        self.words = words


class ForbiddenCallError(BridgeError):
    """The call is not on the list of those that are safe; nothing was sent."""


class ListenerError(DriverError):
    """The listener for Micro-Manager Studio cannot be built or installed."""
