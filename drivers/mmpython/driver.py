"""The driver over the core that Pycro-Manager's Python back end holds.

MMCore's own callback is not taken and no setter is wrapped, so nothing tells of a property that is set: what is known
is the state before and after acquisitions, the cache at every frame, and what the poller reads while nothing runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from drivers.base import Listener
from drivers.errors import DEVICE_ERRORS
from drivers.events import ConfigurationLoaded, HardwareEvent, SequenceStarted
from drivers.mmcore import MMCoreDriver
from drivers.mmcore.loading import fenced_import
from drivers.mmpython.acquisitions import RunWatch, follow_acquisitions
from drivers.mmpython.plain_core import PlainCore
from drivers.readings import How, Image, Key, Moment, PropertyReading, SequencePlan

_log = logging.getLogger("scopestamp.drivers")
DTYPE_OF_BYTES = {1: "uint8", 2: "uint16", 4: "uint32"}


class PythonBackendDriver(MMCoreDriver):
    """Watches the core of ``start_headless(..., python_backend=True)`` and the acquisitions made on it.

    Parameters
    ----------
    core : pymmcore.CMMCore
        As ``pycromanager.Core()`` returns it.
    """

    def __init__(self, core: Any) -> None:
        with fenced_import():
            import pymmcore_plus  # noqa: F401 - its enums name what MMCore numbers
        super().__init__(PlainCore(core))  # type: ignore[arg-type]
        self._listener: Listener | None = None
        self._runs: dict[int, RunWatch] = {}
        self._leave = lambda: None

    def is_busy(self) -> bool:
        self._runs = {key: run for key, run in self._runs.items() if not run.is_over}
        return bool(self._runs) or self._core.isSequenceRunning()

    def listen(self, listener: Listener) -> None:
        if self._listener is None:
            self._leave = follow_acquisitions(self._on_acquisition)
        self._listener = listener

    def stop_listening(self) -> None:
        self._listener = None
        self._leave()
        self._leave = lambda: None

    def look_around(self) -> None:
        # neither a device that is loaded nor a whole configuration is told
        if set(self._core.getLoadedDevices()) != set(self._hardware.devices):
            self._tell(ConfigurationLoaded(Moment.now()))

    def _tell(self, event: HardwareEvent) -> bool:
        listener = self._listener  # read once: another thread may stop listening between a test and a call
        return listener is not None and listener(event)

    def _on_acquisition(self, acquisition: Any) -> None:
        """Follow an acquisition that was just made and has no events yet; called on the user's own thread."""
        if self._listener is None:
            return
        try:
            moment = Moment.now()
            readings, images = self._state_before(), self._images()
            outputs = _outputs_of(acquisition)
            camera = self._core.getCameraDevice() or None
            exposure_ms = self._core.getExposure() if camera else None
            run = RunWatch(acquisition, self._tell, self.cached_values, camera, exposure_ms)
            self._runs[run.key] = run
            self._tell(
                SequenceStarted(
                    moment=moment,
                    sequence_key=run.key,
                    plan=lambda: SequencePlan(
                        axes={}, n_frames=None
                    ),  # events come one by one, until the end
                    images=lambda: images,
                    readings=lambda: readings,
                    outputs=lambda: outputs,
                )
            )
            run.join()
        except DEVICE_ERRORS:
            _log.exception("an acquisition could not be followed; it runs on unwatched")

    def _state_before(self) -> Mapping[Key, PropertyReading]:
        readings = {key: self.read(key, How.CACHE) for key in self._signals.stamped_keys}
        for stage, names in (
            (self._core.getXYStageDevice(), ("@x", "@y")),
            (self._core.getFocusDevice(), ("@position",)),
        ):
            readings |= {
                Key(stage, name): self.read(Key(stage, name), How.HARDWARE) for name in names if stage
            }
        return readings

    def _images(self) -> tuple[Image, ...]:
        camera = self._core.getCameraDevice()
        if not camera:
            return ()
        pixel_bytes = self._core.getBytesPerPixel() // max(self._core.getNumberOfComponents(), 1)
        return (
            Image(
                camera=camera,
                width_px=self._core.getImageWidth(),
                height_px=self._core.getImageHeight(),
                dtype=DTYPE_OF_BYTES.get(pixel_bytes, f"{pixel_bytes} bytes"),
                pixel_size_um=self._core.getPixelSizeUm(True) or None,
                pixel_size_preset=self._core.getCurrentPixelSizeConfig(True) or None,
            ),
        )


def _outputs_of(acquisition: Any) -> tuple[str, ...]:
    """Return the folder of the dataset; an acquisition into memory has none."""
    path = getattr(acquisition.get_dataset(), "path", None)
    return (str(path).rstrip("/\\"),) if path else ()
