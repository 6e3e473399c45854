"""A core's signals as hardware events.

Handlers here run on the core's own threads. They make one event and hand it to the listener, which only puts it on
a queue; nothing in them can raise, wait or hold an image. Why they are connected as they are:

- psygnal calls handlers in order and stops at one that raises: ours come first (``priority``), so that a
  raising handler of the user's program costs us no frame;
- Qt queues a plain function to the GUI thread, which may be blocked: ours are connected directly;
- whatever a handler stumbles over is logged and stays here: raised, it would end the user's acquisition (psygnal) or
  their whole program (PyQt6).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from drivers.base import Listener
from drivers.errors import DEVICE_ERRORS
from drivers.events import (
    ConfigurationLoaded,
    FrameSeen,
    ImageSnapped,
    LiveToggled,
    PresetSet,
    PropertyMoved,
    SequenceFinished,
    SequenceStarted,
)
from drivers.mmcore.sequences import (
    frame_stamp,
    have_ended,
    images_of,
    is_stale_in_cache,
    output_paths,
    plan_of,
    readings_of,
    writers_at_work,
    writers_of,
)
from drivers.readings import Hardware, How, Key, Moment, PropertyReading, Status

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

_log = logging.getLogger("scopestamp.drivers")
FIRST = 100  # psygnal priority; user handlers have 0

# What the engine toggles around every exposure: activity of the frame, not a change of state.
LOADING_S = 120.0  # a configuration takes no longer than this to load, or has failed to
CORE_ACTIVITY = {"AutoShutter", "Initialize", "TimeoutMs"}
INITIALIZE = Key("Core", "Initialize")  # 0 while the devices of a configuration are unloaded and loaded


class CoreSignals:
    """Connects to a core's signals for one listener at a time."""

    def __init__(
        self,
        core: CMMCorePlus,
        cached_values: Callable[[], Mapping[Key, str]],
    ) -> None:
        self._core = core
        self._cached_values = cached_values
        self._hardware = Hardware(devices={})
        self._listener: Listener | None = None
        self._connected: list[tuple[Any, Callable[..., None]]] = []
        self._shutters: frozenset[str] = frozenset()
        self._n_changes = 0
        self._n_changes_stamped = -1
        self._n_frames = 0
        self._loading_since_s: float | None = None
        self._is_in_sequence = False
        self._active: set[str] = set()  # devices of which one such activity was told in this sequence
        self.stamped_keys: tuple[Key, ...] = ()
        self.last_frame: Any = None

    @property
    def is_rearranging(self) -> bool:
        """Whether devices are being loaded, or put back to where they were before an acquisition."""
        since_s = self._loading_since_s
        is_loading = since_s is not None and time.monotonic() - since_s < LOADING_S
        return is_loading or (self._is_in_sequence and self._core.mda.status.phase == "finishing")

    def know(self, hardware: Hardware) -> None:
        """Take note of which devices there are."""
        self._hardware = hardware
        self._shutters = frozenset(
            label for label, device in hardware.devices.items() if device.device_type == "ShutterDevice"
        )
        self.stamped_keys = tuple(
            Key(label, name)
            for label, device in hardware.devices.items()
            for name, declared in device.properties.items()
            if not declared.is_pre_init
            and not self._is_activity(label, name)
            and not is_stale_in_cache(device.device_type, name)
        )
        self._n_changes += 1

    def connect(self, listener: Listener) -> None:
        """Send events to `listener`; asking again for the same one changes nothing."""
        if self._listener is listener:
            return
        self.disconnect()
        self._listener = listener
        self._n_frames = 0
        core, mda = self._core.events, self._core.mda.events
        self._join(mda.frameReady, self._on_frame)
        self._join(mda.sequenceStarted, self._on_sequence_started)
        self._join(mda.sequenceFinished, self._on_sequence_finished)
        self._join(core.propertyChanged, self._on_property)
        self._join(core.configSet, self._on_preset)
        self._join(core.stagePositionChanged, self._on_stage)
        self._join(core.XYStagePositionChanged, self._on_xy_stage)
        self._join(core.exposureChanged, self._on_exposure)
        self._join(core.roiSet, self._on_roi)
        self._join(core.systemConfigurationLoaded, self._on_configuration_loaded)
        self._join(core.imageSnapped, self._on_snapped)
        self._join(core.continuousSequenceAcquisitionStarted, self._on_live_started)
        self._join(core.sequenceAcquisitionStopped, self._on_live_stopped)

    def disconnect(self) -> None:
        """Send no further event."""
        self._listener = None
        while self._connected:
            signal, handler = self._connected.pop()
            with suppress(
                TypeError, ValueError, RuntimeError
            ):  # the user's program has taken it off, or ended Qt
                signal.disconnect(handler)

    def _join(self, signal: Any, handle: Callable[..., None]) -> None:
        handler = _harmless(handle)
        if hasattr(signal, "emit") and type(signal).__module__.startswith(("PyQt", "PySide")):
            from qtpy.QtCore import Qt

            signal.connect(handler, Qt.ConnectionType.DirectConnection)
        else:
            signal.connect(handler, priority=FIRST)
        self._connected.append((signal, handler))

    def tell(self, event: Any) -> bool:
        """Send an event; return whether the listener had room for it."""
        listener = self._listener  # read once: another thread may disconnect between a test and a call
        return listener is not None and listener(event)

    def _is_activity(self, device: str, name: str) -> bool:
        return (device in self._shutters and name == "State") or (device == "Core" and name in CORE_ACTIVITY)

    def _on_frame(self, image: Any, event: Any, meta: Mapping[str, Any]) -> None:
        moment = Moment.now()
        self.last_frame = image
        self._n_frames += 1
        n_changes = self._n_changes
        state = self._cached_values() if n_changes != self._n_changes_stamped else None
        has_room = self.tell(FrameSeen(moment, partial(frame_stamp, event, meta), state))
        if state is not None and has_room:
            self._n_changes_stamped = n_changes

    def _on_sequence_started(self, sequence: Any, summary: Mapping[str, Any]) -> None:
        moment = Moment.now()
        self._n_changes_stamped = -1  # the first frame carries the whole state
        self._n_frames = 0
        self._is_in_sequence = True
        self._active.clear()
        self.tell(
            SequenceStarted(
                moment=moment,
                sequence_key=id(sequence),
                plan=partial(plan_of, sequence, summary),
                images=partial(images_of, summary),
                readings=partial(readings_of, summary, moment, self._hardware.typed),
                outputs=partial(output_paths, *writers_of(self._core)),
            )
        )

    def _on_sequence_finished(self, sequence: Any) -> None:
        reason = self._core.mda.status.finish_reason
        self._is_in_sequence = False
        wait_written = partial(have_ended, writers_at_work())
        self.tell(
            SequenceFinished(
                Moment.now(), id(sequence), str(reason or "errored"), self._n_frames, wait_written
            )
        )

    def _on_property(self, device: str, name: str, value: Any) -> None:
        if not self._is_activity(device, name):
            self._n_changes += 1
        elif self._is_in_sequence:
            if device in self._active:
                return  # twice a frame: the shutter, opened and closed for the exposure
            self._active.add(device)
        key = Key(device, name)
        if key == INITIALIZE:
            self._loading_since_s = time.monotonic() if str(value) == "0" else None
        typed = self._hardware.typed(key, value)
        self._tell_moved(key, typed, None, is_commanded=not _on_delivery_thread())

    def _on_preset(self, group: str, preset: str) -> None:
        self._n_changes += 1
        self.tell(PresetSet(Moment.now(), group, preset))

    def _on_stage(self, device: str, position_um: float) -> None:
        self._tell_moved(Key(device, "@position"), position_um, "um")

    def _on_xy_stage(self, device: str, x_um: float, y_um: float) -> None:
        self._tell_moved(Key(device, "@x"), x_um, "um")
        self._tell_moved(Key(device, "@y"), y_um, "um")

    def _on_exposure(self, camera: str, exposure_ms: float) -> None:
        self._tell_moved(Key(camera, "@exposure"), exposure_ms, "ms")

    def _on_roi(self, camera: str, x: int, y: int, width: int, height: int) -> None:
        text = f"x={x} y={y} width={width} height={height}"
        self._tell_moved(Key(camera, "@roi"), text, None, is_commanded=True)

    def _on_configuration_loaded(self) -> None:
        self._n_changes += 1
        self._loading_since_s = None
        self.tell(ConfigurationLoaded(Moment.now()))

    def _on_snapped(self, camera: str) -> None:
        if not self._is_in_sequence:
            self.tell(ImageSnapped(Moment.now()))

    def _on_live_started(self) -> None:
        self.tell(LiveToggled(Moment.now(), True))

    def _on_live_stopped(self, camera: str) -> None:
        self.tell(LiveToggled(Moment.now(), False))

    def _tell_moved(self, key: Key, value: Any, unit: str | None, *, is_commanded: bool = False) -> None:
        moment = Moment.now()
        if value is None:
            reading = PropertyReading(key, Status.FAILED, How.EVENT, moment, error="the device gave no value")
        else:
            reading = PropertyReading(key, Status.OK, How.EVENT, moment, value, unit)
        self.tell(PropertyMoved(reading, is_commanded))


def _harmless(handle: Callable[..., None]) -> Callable[..., None]:
    def handler(*arguments: Any) -> None:
        try:
            handle(*arguments)
        except DEVICE_ERRORS:
            _log.exception("%s failed; the event is lost", handle.__name__)

    return handler


def _on_delivery_thread() -> bool:
    """Whether this is MMCore's own notification thread.

    Python knows it as a dummy, as it knows any thread that C++ started, such as Qt's; on MMCore's, everything began
    with a call of pymmcore-plus.
    """
    if not threading.current_thread().name.startswith("Dummy-"):
        return False
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "").startswith("pymmcore")
