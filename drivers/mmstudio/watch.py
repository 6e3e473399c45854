"""Looks at Studio a few times a second, and tells what happened as hardware events.

With our listener, Studio's own events are drained and translated. Without it, the beginning and end of an acquisition are
seen from outside, and what changed by comparing cached states where the core may be asked.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from drivers.base import Listener
from drivers.errors import DEVICE_ERRORS, BridgeError, JavaError, StudioAwayError
from drivers.events import (
    ConfigurationLoaded,
    FrameSeen,
    InstrumentLeft,
    LiveToggled,
    PropertyMoved,
    SequenceFinished,
    SequenceStarted,
)
from drivers.mmstudio.bridge import JavaObject
from drivers.mmstudio.corelog import CoreLog
from drivers.mmstudio.face import Dataset, dataset_of
from drivers.mmstudio.heard import moved_in
from drivers.mmstudio.options import StudioOptions
from drivers.mmstudio.runs import images_of, plan_of, scope_data, stamp_of
from drivers.mmstudio.session import Session
from drivers.mmstudio.words import State, followed_keys, reading_of
from drivers.readings import Hardware, How, Key, Moment, PropertyReading, SequencePlan

_log = logging.getLogger("scopestamp.drivers")
_NO_DATASET_LOOKS = 4  # so often a run is looked at for its dataset before it is told without one
_UNFROZEN_S = 10.0  # a run that ended and whose dataset is not complete by then counts as complete


@dataclass
class Run:
    """An acquisition that is under way."""

    key: int
    plan: SequencePlan
    n_seen: int = 0
    ended_ns: int | None = None
    provider: JavaObject | None = None
    moves: frozenset[Key] = frozenset()  # what its channels move from frame to frame


@dataclass
class Known:
    """What was told last of the instrument."""

    hardware: Hardware = field(default_factory=lambda: Hardware(devices={}))
    followed: frozenset[Key] = frozenset()
    values: dict[Key, Any] = field(default_factory=dict)
    state_ns: int = 0
    is_live: bool = False


class StudioWatch:
    """Follows one Studio after another.

    Parameters
    ----------
    options : StudioOptions
    open_session : callable, optional
        Connects to a Studio.
    """

    def __init__(
        self, options: StudioOptions, open_session: Callable[[StudioOptions], Session] = Session.open
    ) -> None:
        self._options, self._open_session = options, open_session
        self.session: Session | None = None
        self.known = Known()
        self._listener: Listener | None = None
        self._run: Run | None = None
        self._n_runs = 0
        self._n_looks = 0
        self._told_state: Mapping[Key, str] | None = None
        self._why_away = ""
        self._n_dropped = 0
        self._retry_at_s = 0.0
        self._is_closing = False
        self._core_log = CoreLog(options.core_log) if options.core_log else None
        self._looking = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # -- who listens

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on; the same again changes nothing."""
        self._listener = listener
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._go_on, name="scopestamp-studio", daemon=True)
            self._thread.start()

    def stop_listening(self) -> None:
        """Tell nobody, and end the thread."""
        self._listener = None
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """Let go of Studio."""
        self.stop_listening()
        with self._looking:
            session, self.session = self.session, None
            if session is not None:
                session.close(is_alive=True)

    @property
    def is_attached(self) -> bool:
        """Whether a Studio is there; before anybody listens, it is looked for."""
        return self.session is not None or (self._thread is None and self.attach())

    @property
    def is_busy(self) -> bool:
        """Whether devices must not be read: nobody is there, frames are taken, or Studio is closing."""
        session = self.session
        if session is None or self._is_closing or self._run is not None or self.known.is_live:
            return True
        try:
            return session.face.is_acquiring()
        except BridgeError:
            return True

    def know(self, hardware: Hardware, state: State) -> None:
        """Take note of what is loaded and how it stands: what is told from now on are changes to that."""
        with self._looking:
            self.known.hardware = hardware
            self.known.followed = followed_keys(hardware)
            self.known.values = {key: value for key, value in state.values.items() if self._is_followed(key)}

    def tell(self, event: Any) -> bool:
        """Send an event; return whether the listener had room for it."""
        listener = self._listener
        return listener is not None and listener(event)

    # -- looking

    def _go_on(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._options.interval_s if self.session else min(self._options.retry_s, 1.0))

    def look(self) -> None:
        """Look once, and tell what happened since the last time; never raises for what Studio does."""
        with self._looking:
            if self._core_log is not None:
                for event in self._core_log.events(self.known.hardware):
                    self.tell(event)
            if self.session is None:
                self.attach()
                return
            try:
                self._look(self.session)
            except JavaError as error:
                _log.warning("Looking at Micro-Manager Studio: %s", error)
            except BridgeError as error:
                self._lose(str(error))
            except DEVICE_ERRORS:  # what Studio says has changed its shape: the next look may understand it
                _log.exception("What Micro-Manager Studio says is not understood; looking on")

    def attach(self) -> bool:
        """Connect when a Studio is there; return whether one is. That none is there is said once."""
        with self._looking:
            if self.session is not None:
                return True
            if time.monotonic() < self._retry_at_s:
                return False
            try:
                self.session = self._open_session(self._options)
            except BridgeError as error:
                self._retry_at_s = time.monotonic() + self._options.retry_s
                if not self._why_away:
                    _log.info("Waiting for Micro-Manager Studio. %s", error)
                self._why_away = str(error)
                return False
            self._why_away = ""
            self._is_closing = False
            self._n_dropped = 0
            self.known = Known()
            _log.info("Attached to Micro-Manager Studio: %s.", type(self.session.view).__name__)
            self.tell(ConfigurationLoaded(Moment.now()))
            return True

    def _lose(self, why: str) -> None:
        """Studio is silent or gone: end what runs, say so once, and look for the next one."""
        session, self.session = self.session, None
        self._retry_at_s = time.monotonic() + self._options.retry_s
        self._why_away = why
        if session is not None:
            session.close(is_alive=False)
        if self._run is not None:
            self._run.provider = None
            self._finish(Moment.now(), "interrupted", self._run.n_seen)
        _log.info("Micro-Manager Studio is not there any more. %s", why)
        self.tell(InstrumentLeft(Moment.now(), why))

    def _look(self, session: Session) -> None:
        if session.listener is not None:
            self._look_by_events(session)
        else:
            self._look_from_outside(session)
        if self._run is None and not self._is_closing and self._is_state_due():
            self._compare(session)

    # -- with our listener

    def _look_by_events(self, session: Session) -> None:
        assert session.listener is not None
        queued = 1
        while queued:
            moment, drained = Moment.now(), session.listener.drain()
            queued = drained.get("queued", 0)
            if drained.get("closing"):
                self._is_closing = True
            elif self._is_closing:  # a shutdown that somebody cancelled
                self._is_closing = False
            self._tell_drained(session, moment, drained)
            if drained.get("dropped", 0) > self._n_dropped:
                _log.warning(
                    "Studio's listener had no room for %d events.", drained["dropped"] - self._n_dropped
                )
                self._n_dropped = drained["dropped"]
        self._finish_unfrozen()

    def _tell_drained(self, session: Session, moment: Moment, drained: Mapping[str, Any]) -> None:
        events = [event for event in drained.get("events", ()) if isinstance(event, Mapping)]
        kinds = {event.get("event") for event in events}
        state = self._state(session) if kinds & {"acq_started", "image"} else None
        newest = max((n for n, event in enumerate(events) if event.get("event") == "image"), default=-1)
        for n, event in enumerate(events):
            age_ns = int(drained.get("nano", 0)) - int(event.get("nano", drained.get("nano", 0)))
            at = Moment(moment.wall_ns - age_ns, moment.monotonic_ns - age_ns)
            is_older = (
                event.get("event") == "image" and n != newest
            )  # the state was read after the newest image
            try:
                self._translate(session, event, at, None if is_older else state)
            except DEVICE_ERRORS:
                _log.exception("An event of Micro-Manager Studio is not understood, and lost: %r", event)

    def _translate(self, session: Session, event: Mapping[str, Any], at: Moment, state: State | None) -> None:
        match event.get("event"):
            case "acq_started":
                told = event.get("summary") or {}
                outputs = (str(event["path"]),) if event.get("path") else ()
                self._start(session, at, event.get("settings"), told, outputs, state)
            case "image":
                self._see_frame(event, at, state)
            case "acq_ended" if self._run is not None:
                self._run.ended_ns = at.monotonic_ns
            case "datastore_frozen":
                self._freeze(at, event.get("n_images"))
            case "live":
                self._toggle_live(at, bool(event.get("is_on")))
            case "configuration_loaded":
                self.known.values.clear()
                self.tell(ConfigurationLoaded(at))
            case "shutdown_commencing":
                self._is_closing = True
            case _:
                for key, value in moved_in(event):
                    self._move(key, value, at, How.EVENT, is_commanded=False)

    def _see_frame(self, event: Mapping[str, Any], at: Moment, state: State | None) -> None:
        if self._run is None:  # the agent came after the start
            self._n_runs += 1
            self._run = Run(self._n_runs, SequencePlan(axes={}, n_frames=None))
        self._run.n_seen += 1
        values = self._news(state)
        if (
            self.tell(FrameSeen(at, partial(stamp_of, dict(event), self._run.plan), values))
            and values is not None
        ):
            self._told_state = values

    def _news(self, state: State | None) -> Mapping[Key, str] | None:
        """Return the values to send with a frame: all of them when any changed since they were sent last.

        What the run's own channels move is left out: by the time the state is read, another frame may have moved it on. Of
        that, each frame's channel tells.
        """
        if state is None or self._run is None:
            return None
        kept = self.known.followed
        values = {k: str(v) for k, v in state.values.items() if k in kept and k not in self._run.moves}
        return values if values != self._told_state else None

    def _freeze(self, at: Moment, n_images: int | None) -> None:
        if self._run is not None:
            self._finish(at, self._reason(n_images), max(n_images or 0, self._run.n_seen))

    def _finish_unfrozen(self) -> None:
        """End a run whose dataset never says that it is complete."""
        run = self._run
        if (
            run is not None
            and run.ended_ns is not None
            and time.monotonic_ns() - run.ended_ns > _UNFROZEN_S * 1e9
        ):
            self._freeze(Moment.now(), None)

    # -- without it

    def _look_from_outside(self, session: Session) -> None:
        is_acquiring = session.face.is_acquiring()
        if is_acquiring and self._run is None:
            self._begin_from_outside(session)
        elif self._run is not None and not is_acquiring:
            self._end_from_outside()
        else:
            self._n_looks = 0
        is_live = session.face.is_live()
        if is_live != self.known.is_live:
            self._toggle_live(Moment.now(), is_live)

    def _begin_from_outside(self, session: Session) -> None:
        """Tell of a run once its dataset is shown, or is not after a few looks."""
        self._n_looks += 1
        providers = session.face.datasets()
        if not providers and self._n_looks < _NO_DATASET_LOOKS:
            return
        newest = providers.pop() if providers else None
        for provider in providers:
            provider.release()
        dataset = dataset_of(newest) if newest is not None else Dataset(None, 0)
        outputs = (dataset.path,) if dataset.path else ()
        settings = dataset.summary.get("MdaSettings") or session.face.settings()
        self._start(session, Moment.now(), settings, dataset.summary, outputs, self._state(session))
        assert self._run is not None
        self._run.provider = newest

    def _end_from_outside(self) -> None:
        assert self._run is not None
        n_images = None
        if (provider := self._run.provider) is not None:
            n_images = int(provider.call("getNumImages"))
            provider.release()
            self._run.provider = None
        self._n_looks = 0
        self._finish(Moment.now(), self._reason(n_images), n_images or 0)

    # -- runs

    def _start(
        self,
        session: Session,
        at: Moment,
        settings: Mapping[str, Any] | str | None,
        summary: Mapping[str, Any],
        outputs: tuple[str, ...],
        state: State | None,
    ) -> None:
        if self._run is not None:
            self._finish(at, "interrupted", self._run.n_seen)
        self._n_runs += 1
        plan = plan_of(settings, summary)
        self._run = run = Run(self._n_runs, plan, moves=self._moved_by(plan))
        self._told_state = None
        values = state.values if state else {}
        camera = values.get(Key("Core", "Camera"))
        bits = session.face.bit_depth()
        self.tell(
            SequenceStarted(
                moment=at,
                sequence_key=run.key,
                plan=lambda: run.plan,
                images=partial(images_of, summary, str(camera) if camera else None, bits),
                readings=partial(self._readings, session, state, summary),
                outputs=lambda: outputs,
            )
        )

    def _moved_by(self, plan: SequencePlan) -> frozenset[Key]:
        """Return what moves from frame to frame: the settings of the channels, and the exposure."""
        hardware = self.known.hardware
        presets = [hardware.preset(channel.group, channel.preset) for channel in plan.channels]
        cameras = (
            label for label, device in hardware.devices.items() if device.device_type == "CameraDevice"
        )
        moved = {key for preset in presets if preset for key in preset.settings}
        return frozenset(moved | {Key(label, "Exposure") for label in cameras})

    def _readings(
        self, session: Session, state: State | None, summary: Mapping[str, Any]
    ) -> Mapping[Key, PropertyReading]:
        """Return the state at a run's start, without what the cache is known to be wrong of.

        Where the core is not asked, Studio's engine has written what it knew of it into the dataset.
        """
        if state is None:
            return {}
        values = {} if session.view.reads_hardware else scope_data(summary, self.known.hardware)
        values |= {
            k: v for k, v in state.values.items() if k in self.known.followed or k.property.startswith("@")
        }
        return {
            key: self._reading(session, key, value, How.CACHE, state.moment) for key, value in values.items()
        }

    def _reason(self, n_images: int | None) -> str:
        """Return how a run ended, as far as the number of its images tells."""
        assert self._run is not None
        expected = self._run.plan.n_frames
        is_short = expected is not None and n_images is not None and n_images < expected
        return "canceled" if is_short else "completed"

    def _finish(self, at: Moment, reason: str, n_frames: int) -> None:
        assert self._run is not None
        run, self._run = self._run, None
        self.known.values.clear()  # what the run moved stands in its own record
        self.tell(SequenceFinished(at, run.key, reason, n_frames))

    # -- state

    def _is_state_due(self) -> bool:
        now_ns = time.monotonic_ns()
        if now_ns - self.known.state_ns < self._options.state_interval_s * 1e9:
            return False
        self.known.state_ns = now_ns
        return True

    def _state(self, session: Session) -> State | None:
        """Return the cached state; None while Studio closes."""
        try:
            return session.view.cached_state(self.known.hardware)
        except StudioAwayError:
            raise
        except BridgeError as error:
            _log.info("No state from Micro-Manager Studio: %s", error)
            return None

    def _compare(self, session: Session) -> None:
        """Tell what differs from the state before: what no event told, so software set it."""
        state = self._state(session)
        if state is None:
            return
        before, self.known.values = (
            self.known.values,
            {k: v for k, v in state.values.items() if self._is_followed(k)},
        )
        for key, value in self.known.values.items():
            if key in before and before[key] != value:
                self._tell_moved(session, key, value, state.moment, How.CACHE, session.listener is not None)

    def _is_followed(self, key: Key) -> bool:
        """Return whether a cached value tells of changes: positions only where Studio's own are all there is."""
        session = self.session
        is_studios = session is not None and not session.view.reads_hardware
        return key in self.known.followed or (is_studios and key.property.startswith("@"))

    def _move(self, key: Key, value: Any, at: Moment, how: How, *, is_commanded: bool) -> None:
        if self.known.values and key in self.known.followed:
            self.known.values[key] = value
        assert self.session is not None
        self._tell_moved(self.session, key, value, at, how, is_commanded)

    def _tell_moved(
        self, session: Session, key: Key, value: Any, at: Moment, how: How, is_commanded: bool
    ) -> None:
        self.tell(PropertyMoved(self._reading(session, key, value, how, at), is_commanded))

    def _reading(self, session: Session, key: Key, value: Any, how: How, at: Moment) -> PropertyReading:
        return reading_of(self.known.hardware, key, value, how, at, is_exact=session.view.is_exact)

    def _toggle_live(self, at: Moment, is_live: bool) -> None:
        self.known.is_live = is_live
        self.tell(LiveToggled(at, is_live))
