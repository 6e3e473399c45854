"""The simulated camera as a Micro-Manager device."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from drivers.mmcore.loading import fenced_import
from drivers.simulated.bench import standing

with fenced_import():
    from pymmcore_plus.experimental.unicore import CameraDevice, pymm_property


class Camera(CameraDevice):
    """Simulated sCMOS camera"""

    def __init__(self) -> None:
        self.microscope = standing()
        self._broken_off = threading.Event()
        super().__init__()
        self.set_property_allowed_values("Binning", (1, 2, 4))
        self.set_property_limits("Exposure", (0.01, 60_000.0))
        modes = tuple(mode.label for mode in self.microscope.truth.sensor.modes)
        self.set_property_allowed_values("ReadoutMode", modes)

    def get_exposure(self) -> float:
        return self.microscope.camera.exposure_ms

    def set_exposure(self, exposure: float) -> None:
        self._set(exposure_ms=float(exposure))
        self.core.events.exposureChanged.emit(self.get_label(), float(exposure))

    def get_binning(self) -> int:
        return self.microscope.camera.binning

    def set_binning(self, value: int) -> None:
        self._set(binning=int(value), roi=None)

    def get_readout_mode(self) -> str:
        return self.microscope.camera.mode

    def set_readout_mode(self, value: str) -> None:
        self._set(mode=value)

    @pymm_property(name="BitDepth")
    def bit_depth(self) -> int:
        return self.microscope.mode.bit_depth

    @pymm_property(name="Gain-e/ADU")
    def gain_e_per_adu(self) -> float:
        return self.microscope.mode.gain_e_per_adu

    @pymm_property(limits=(1.0, 1000.0), name="Multiplication")
    def multiplication(self) -> float:
        """Electrons that each becomes before it is read, as in a PMT; 1 is a camera without."""
        return self.microscope.camera.multiplication

    @multiplication.setter
    def set_multiplication(self, value: float) -> None:
        self._set(multiplication=float(value))

    def shape(self) -> tuple[int, int]:
        return self.microscope.shape()

    def dtype(self) -> type:
        return self.microscope.dtype()

    def get_roi(self) -> tuple[int, int, int, int]:
        rows, columns = self.shape()
        return self.microscope.camera.roi or (0, 0, columns, rows)

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        self.microscope.set_roi(x, y, width, height)

    def clear_roi(self) -> None:
        self._set(roi=None)

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], Any], Any]
    ) -> Iterator[Mapping[str, str]]:
        # one of its own each: the core gives up waiting for a slow thread, which must not take another's start for its own
        self._broken_off = threading.Event()
        return self._frames(n, get_buffer, self._broken_off)

    def break_off(self) -> None:
        """End the exposure that is under way; its frame is not delivered."""
        self._broken_off.set()

    def _frames(
        self,
        n: int | None,
        get_buffer: Callable[[Sequence[int], Any], Any],
        broken_off: threading.Event,
    ) -> Iterator[Mapping[str, str]]:
        shape, dtype, taken = self.shape(), self.dtype(), 0
        while n is None or taken < n:
            self.microscope.expose(get_buffer(shape, dtype), broken_off)
            if broken_off.is_set():
                return
            taken += 1
            yield {"FrameNumber": str(self.microscope.n_frames - 1)}

    def _set(self, **changes: Any) -> None:
        self.microscope.camera = replace(self.microscope.camera, **changes)
