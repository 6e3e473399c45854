"""Moving stages, finding focus and taking single frames through the core."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DEVICE_ERRORS, DriverError
from drivers.mmcore.exposures import awaited, begun, is_long

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

AXES = ("x", "y", "z")
_LOOK_S = 0.01


def move_stages(
    core: CMMCorePlus, position_um: Mapping[str, float], timeout_s: float, is_cancelled: Callable[[], bool]
) -> None:
    """Move the current stages to `x`, `y`, `z`, as far as they are given, and wait until they stand.

    Raises
    ------
    DriverError
        There is no such axis or stage, it refuses, it has not arrived in time, or it was cancelled on its way.
    """
    if unknown := set(position_um) - set(AXES):
        raise DriverError(f"Stages move along x, y and z; got {', '.join(sorted(unknown))}.")
    if core.mda.is_running():
        raise DriverError("An acquisition is moving the stages; wait for its end or cancel it.")
    try:
        moving = [*_moved_xy(core, position_um), *_moved_z(core, position_um)]
        _wait_until_still(core, moving, timeout_s, is_cancelled)
    except DEVICE_ERRORS as error:
        raise DriverError(f"The stage could not be moved to {_said(position_um)}: {error}") from error


def _moved_xy(core: CMMCorePlus, position_um: Mapping[str, float]) -> list[str]:
    if not {"x", "y"} & position_um.keys():
        return []
    if not (stage := core.getXYStageDevice()):
        raise DriverError("The configuration has no XY stage (Core, XYStage).")
    x = position_um.get("x", core.getXPosition(stage))
    y = position_um.get("y", core.getYPosition(stage))
    core.setXYPosition(stage, float(x), float(y))
    return [stage]


def _moved_z(core: CMMCorePlus, position_um: Mapping[str, float]) -> list[str]:
    if "z" not in position_um:
        return []
    if not (stage := core.getFocusDevice()):
        raise DriverError("The configuration has no focus drive (Core, Focus).")
    core.setPosition(stage, float(position_um["z"]))
    return [stage]


def _wait_until_still(
    core: CMMCorePlus, stages: Sequence[str], timeout_s: float, is_cancelled: Callable[[], bool]
) -> None:
    ends_at = time.monotonic() + timeout_s
    for stage in stages:
        while core.deviceBusy(stage):
            if is_cancelled():
                for moving in stages:
                    core.stop(moving)
                raise DriverError(f"{stage} was told to stop on its way.")
            if time.monotonic() > ends_at:
                core.stop(stage)
                raise DriverError(f"{stage} has not arrived within {timeout_s:g} s and was told to stop.")
            time.sleep(_LOOK_S)


def find_focus(core: CMMCorePlus) -> float:
    """Let the current autofocus find focus once; return its score.

    Raises
    ------
    DriverError
        There is no autofocus, or it gives up.
    """
    if not (autofocus := core.getAutoFocusDevice()):
        raise DriverError("The configuration has no autofocus (Core, AutoFocus).")
    if core.mda.is_running():
        raise DriverError("An acquisition is running; wait for its end or cancel it.")
    try:
        core.fullFocus()
        for device in filter(None, (autofocus, core.getFocusDevice())):
            core.waitForDevice(device)
        return float(core.getLastFocusScore())
    except DEVICE_ERRORS as error:
        raise DriverError(f"{autofocus} did not find focus: {error}") from error


def snapped(core: CMMCorePlus, exposure_ms: float, is_cancelled: Callable[[], bool]) -> NDArray[np.generic]:
    """Return one frame, taken with everything as it stands.

    Raises
    ------
    DriverError
        There is no camera, it does not take it, or it was cancelled.
    """
    if not core.getCameraDevice():
        raise DriverError("The configuration has no camera; add one and make it the core's camera.")
    if core.mda.is_running():
        raise DriverError("An acquisition is running; wait for its end or cancel it.")
    try:
        core.setExposure(exposure_ms)
        core.waitForSystem()
        frame: NDArray[Any] | None
        if is_long(core) and begun(core):
            frame = awaited(core, is_cancelled)
        else:
            core.snapImage()
            frame = np.array(core.getImage())
    except DEVICE_ERRORS as error:
        raise DriverError(f"No frame of {exposure_ms:g} ms could be taken: {error}") from error
    if frame is None:
        raise DriverError(f"The exposure of {exposure_ms:g} ms was broken off.")
    return frame


def camera_bits(core: CMMCorePlus) -> int:
    """Return how many bits the camera uses: what its property says, which a core of Python devices does not know."""
    try:
        camera = core.getCameraDevice()
        if core.hasProperty(camera, "BitDepth"):
            return int(float(core.getProperty(camera, "BitDepth")))
        return int(core.getImageBitDepth())
    except DEVICE_ERRORS as error:
        raise DriverError(f"The camera does not tell how many bits it uses: {error}") from error


def _said(position_um: Mapping[str, float]) -> str:
    return ", ".join(f"{axis} {um} um" for axis, um in position_um.items())
