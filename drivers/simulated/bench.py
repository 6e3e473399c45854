"""How devices that a configuration file names one by one come to share one microscope.

MMCore makes each Python device itself, without arguments, in the order of the file and on one thread. The stand comes
first and sets up a microscope: the one laid ready by whoever loads the file, or a new one. The others join it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from drivers.simulated.microscope import SimulatedMicroscope

_ready: ContextVar[SimulatedMicroscope | None] = ContextVar("microscope laid ready", default=None)
_standing: ContextVar[SimulatedMicroscope | None] = ContextVar("microscope being assembled", default=None)


@contextmanager
def laid_ready(microscope: SimulatedMicroscope) -> Iterator[None]:
    """Let a configuration that is loaded inside this drive `microscope`."""
    ready, standing = _ready.set(microscope), _standing.set(None)
    try:
        yield
    finally:
        _ready.reset(ready)
        _standing.reset(standing)


def set_up() -> SimulatedMicroscope:
    """Return the microscope of a new stand."""
    microscope = _ready.get() or SimulatedMicroscope()
    _standing.set(microscope)
    return microscope


def standing() -> SimulatedMicroscope:
    """Return the microscope of the last stand that was set up on this thread."""
    microscope = _standing.get()
    if microscope is None:
        raise RuntimeError("Load a drivers.simulated.devices Stand before the other simulated devices.")
    return microscope
