"""Devices that fail on order: when a file of that name lies in the folder named by `SCOPESTAMP_FAULTS`."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drivers.mmcore.loading import fenced_import
from drivers.simulated.camera_device import Camera as SoundCamera
from drivers.simulated.stage_devices import XYStage as SoundStage

with fenced_import():
    from pymmcore_plus.experimental.unicore import GenericDevice, pymm_property

FOLDER = "SCOPESTAMP_FAULTS"
FRAMES_A_RUN = 20
FRAMES_BEFORE_HANG = 8


def is_ordered(fault: str) -> bool:
    """Return whether a fault is to happen now."""
    return Path(os.environ[FOLDER], fault).exists()


def is_due(fault: str) -> bool:
    """Return whether a fault is to happen now, and once only."""
    try:
        Path(os.environ[FOLDER], fault).unlink()
    except FileNotFoundError:
        return False
    return True


def end_thread(name: str) -> threading.Thread:
    """Have a thread of this process end with something that nobody catches, as soon as it does anything."""
    thread = next(one for one in threading.enumerate() if one.name == f"scopestamp-{name}")
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    return thread


class Sick(GenericDevice):
    """Device whose property hangs, that takes its process or a thread along, or hangs when it is let go"""

    @pymm_property(name="Health")
    def health(self) -> int:
        if is_due("hang-property"):
            threading.Event().wait()
        if is_due("crash"):
            os.abort()
        for name in ("capture", "poll", "close"):
            if is_due(f"end-{name}"):
                end_thread(name)
        return 1

    def shutdown(self) -> None:
        if is_due("hang-unload"):
            threading.Event().wait()


class Camera(SoundCamera):
    """Camera that is unplugged, or never delivers, or delivers some frames and then none"""

    n_before_hang = FRAMES_BEFORE_HANG

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], Any], Any]
    ) -> Iterator[Mapping[str, str]]:
        for frame in super().start_sequence(n, get_buffer):
            if is_due("unplug"):
                raise RuntimeError("the camera is not there any more")
            if is_due("hang-camera") or self._is_at_its_end():
                threading.Event().wait()
            yield frame

    def _is_at_its_end(self) -> bool:
        self.n_before_hang -= is_ordered("hang-camera-later")
        return self.n_before_hang < 0 and is_due("hang-camera-later")


class XYStage(SoundStage):
    """Stage that never stops being busy"""

    def busy(self) -> bool:
        return is_ordered("busy-stage") or super().busy()
