"""Long exposures that can be broken off.

A snap blocks until its exposure has ended, and so does everything else of the same adapter. A sequence of one frame does
not: the camera is told to stop, and most do at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

LONG_MS = 500.0
"""Up to this, an exposure is a snap: it has ended before somebody would notice."""
LATE_S = 20.0
"""A frame may come this much later than its exposure ends: readout, and a machine with other work."""
_INSERTED_S = 1.0  # some cameras say that they have ended a moment before their frame is in the core
_LOOK_S = 0.01
_log = logging.getLogger("scopestamp.drivers")


def is_long(core: CMMCorePlus) -> bool:
    """Return whether the exposure that is set is better taken so that it can be broken off; one camera at a time is."""
    return core.getExposure() > LONG_MS and core.getNumberOfCameraChannels() == 1


def begun(core: CMMCorePlus) -> bool:
    """Begin to expose one frame; return whether the camera does so: some adapters know snaps alone."""
    try:
        core.startSequenceAcquisition(1, 0.0, True)
    except RuntimeError as error:
        _log.info("The camera takes no sequence, so this exposure cannot be broken off: %s", error)
        return False
    return True


def awaited(core: CMMCorePlus, is_cancelled: Callable[[], bool]) -> NDArray[np.generic] | None:
    """Return the frame that was begun, or None when it was broken off, the shutter closed before the camera stops.

    Raises
    ------
    TimeoutError
        It has not come.
    """
    exposure_s = core.getExposure() / 1e3
    until_s = time.monotonic() + exposure_s + LATE_S
    while not core.getRemainingImageCount():
        if is_cancelled():
            break_off(core)
            return None
        now_s = time.monotonic()
        if not core.isSequenceRunning():
            until_s = min(until_s, now_s + _INSERTED_S)
        if now_s > until_s:
            break_off(core)
            raise TimeoutError(f"The camera has delivered no frame of {exposure_s:g} s.")
        time.sleep(_LOOK_S)
    frame: NDArray[Any] = core.popNextImage()
    while core.isSequenceRunning() and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    return frame


def break_off(core: CMMCorePlus) -> None:
    """Close the shutter if the core works it, and tell the camera to stop, which may block for as long as it exposes."""
    if core.getAutoShutter() and core.getShutterDevice():
        core.setShutterOpen(False)
    core.stopSequenceAcquisition()
