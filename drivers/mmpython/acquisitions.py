"""Hears of Pycro-Manager's acquisitions, without taking part in them.

Its engine has no signals. An acquisition announces itself only by being made, so its constructor is what we watch;
what follows comes from its own hooks and notifications, which are added as objects that pass every event on
untouched. (A hook *function* would have each event rebuilt from JSON, and one that raises ends the acquisition.)
"""

from __future__ import annotations

import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from drivers.errors import DEVICE_ERRORS
from drivers.events import FrameSeen, HardwareEvent, SequenceFinished
from drivers.readings import FramePosition, FrameStamp, How, Key, Moment

_log = logging.getLogger("scopestamp.drivers")
AXIS_LETTERS = {"time": "t", "channel": "c", "position": "p"}
MOST_NOTED = 10_000  # events; a processor may keep any number of images, which then are never told

UNKNOWN = FrameStamp({}, None, None, None, None, FramePosition(None, None, None, None))


def follow_acquisitions(on_made: Callable[[Any], None]) -> Callable[[], None]:
    """Call `on_made` with every acquisition of the Python back end once it is made; return how to stop that."""
    from pycromanager.acquisition.python_backend_acquisitions import PythonBackendAcquisition

    original = PythonBackendAcquisition.__init__
    is_followed = True

    @functools.wraps(original)
    def made(acquisition: Any, *args: Any, **kwargs: Any) -> None:
        original(acquisition, *args, **kwargs)
        if is_followed:
            on_made(acquisition)

    def leave() -> None:
        nonlocal is_followed
        is_followed = False
        if PythonBackendAcquisition.__init__ is made:  # else somebody else has wrapped it since
            PythonBackendAcquisition.__init__ = original

    PythonBackendAcquisition.__init__ = made
    return leave


class RunWatch:
    """Follows one acquisition to its end.

    Parameters
    ----------
    acquisition : pycromanager.Acquisition
        Made, and without an event so far.
    tell : callable
        Takes events; returns whether there was room.
    cached_values : callable
        Returns every property that the core has in its cache.
    camera, exposure_ms
        Those of the core at the start; they hold for events that name no other.
    """

    def __init__(
        self,
        acquisition: Any,
        tell: Callable[[HardwareEvent], bool],
        cached_values: Callable[[], Mapping[Key, str]],
        camera: str | None,
        exposure_ms: float | None,
    ) -> None:
        self.key = id(self)
        self.is_over = False
        self._acquisition = acquisition
        self._engine = (
            acquisition._acq
        )  # no public way in 1.0: hooks given as functions are wrapped, see above
        self._tell, self._cached_values = tell, cached_values
        self._camera, self._exposure_ms = camera, exposure_ms
        self._noted: OrderedDict[frozenset[Any], tuple[FrameStamp, Mapping[Key, str]]] = OrderedDict()
        self._state: Mapping[Key, str] = {}
        self._state_told: Mapping[Key, str] | None = None
        self._names: dict[str, dict[str, int]] = {}
        self._started = Moment.now()
        self._n_frames = 0
        self._is_canceled = False

    def join(self) -> None:
        """Add ourselves behind the user's own hooks and listeners."""
        acquisition, abort = self._acquisition, self._acquisition.abort

        def noted(exception: Exception | None = None) -> None:
            self._is_canceled = exception is None
            abort(exception)

        acquisition.abort = (
            noted  # a hook that raises ends the engine's part alone: that is how the two differ
        )
        self._engine.get_after_hardware_hooks().append(self)
        self._engine.add_acq_notification_listener(self)

    def run(self, event: Any) -> Any:
        """Note what an image is about to be taken of; a hook, on the engine's thread between move and exposure."""
        try:
            if not event.is_acquisition_finished_event():
                self._note(event)
        except DEVICE_ERRORS:
            _log.exception("an event could not be noted; its frame is stamped without it")
        return event

    def close(self) -> None:
        """End as a hook; nothing to let go of."""

    def post_notification(self, notification: Any) -> None:
        """Take a notification, on the engine's notification thread."""
        try:
            if notification.is_image_saved_notification():
                self._tell_frame(notification.payload)
            elif notification.is_data_sink_finished_notification():
                self._tell_end()
        except DEVICE_ERRORS:
            _log.exception("a notification could not be taken; its event is lost")

    def _note(self, event: Any) -> None:
        now, state = Moment.now(), self._cached_values()
        if state != self._state:
            self._state = state  # else the one before is kept, not another copy of it
        since_start_ms = (now.monotonic_ns - self._started.monotonic_ns) / 1e6
        burst = event.get_sequence() or [event]
        for each in burst:
            self._exposure_ms = each.get_exposure() or self._exposure_ms
            stamp = FrameStamp(
                index={},
                runner_time_ms=since_start_ms if len(burst) == 1 else None,  # the camera paces a burst
                camera=each.get_camera_device_name() or self._camera,
                channel=each.get_config_preset(),
                exposure_ms=self._exposure_ms,
                position=_commanded(each),
            )
            self._noted[_key_of(each.get_axis_positions())] = (stamp, self._state)
        while len(self._noted) > MOST_NOTED:
            self._noted.popitem(last=False)

    def _tell_frame(self, axes: Mapping[str, Any]) -> None:
        self._n_frames += 1
        stamp, state = self._noted.get(_key_of(axes), (UNKNOWN, None))
        stamp = replace(stamp, index=self._index_of(axes))
        news = state if state != self._state_told else None
        has_room = self._tell(FrameSeen(Moment.now(), lambda: stamp, news))
        if news is not None and has_room:
            self._state_told = news

    def _tell_end(self) -> None:
        if self.is_over:
            return  # the engine tells it twice
        self.is_over = True
        if not self._engine.is_abort_requested():
            reason = "completed"
        else:
            reason = "canceled" if self._is_canceled else "errored"
        self._tell(SequenceFinished(Moment.now(), self.key, reason, self._n_frames))
        self._noted.clear()

    def _index_of(self, axes: Mapping[str, Any]) -> dict[str, int]:
        """Return an index per axis letter; names, such as those of channels, count as they come."""
        index = {}
        for axis, value in axes.items():
            if not isinstance(value, int):
                named = self._names.setdefault(axis, {})
                value = named.setdefault(str(value), len(named))
            index[AXIS_LETTERS.get(axis, axis)] = value
        return index


def _key_of(axes: Mapping[str, Any] | None) -> frozenset[Any]:
    return frozenset((axes or {}).items())


def _commanded(event: Any) -> FramePosition:
    """Return where the event sent the stages: reading them would slow the acquisition down."""
    position = (event.get_x_position(), event.get_y_position(), event.get_z_position())
    return FramePosition(*position, How.COMMANDED if any(value is not None for value in position) else None)
