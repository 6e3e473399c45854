"""Looking with our listener in Studio: its events are drained and translated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from drivers.errors import DEVICE_ERRORS
from drivers.events import ConfigurationLoaded
from drivers.mmstudio.heard import moved_in
from drivers.mmstudio.run_watch import RunWatch
from drivers.mmstudio.session import Session
from drivers.mmstudio.state_watch import StateWatch, Tell
from drivers.mmstudio.views import ListenerView
from drivers.mmstudio.words import State
from drivers.readings import Moment

_log = logging.getLogger("scopestamp.drivers")


class EventWatch:
    """Translates the events of one Studio.

    Parameters
    ----------
    tell : callable
        Takes the events.
    states : StateWatch
        Knows the instrument.
    runs : RunWatch
        Keeps the acquisition that is under way.

    Attributes
    ----------
    is_closing : bool
        Whether Studio shuts down.
    """

    def __init__(self, tell: Tell, states: StateWatch, runs: RunWatch) -> None:
        self._tell, self._states, self._runs = tell, states, runs
        self.is_closing = False
        self._n_dropped = 0

    def look(self, session: Session, listener: ListenerView) -> None:
        """Drain what the listener has heard, and tell it."""
        queued = 1
        while queued:
            moment, drained = Moment.now(), listener.drain()
            queued = drained.get("queued", 0)
            if drained.get("closing"):
                self.is_closing = True
            elif self.is_closing:  # a shutdown that somebody cancelled
                self.is_closing = False
            self._tell_drained(session, moment, drained)
            self._count_dropped(drained.get("dropped", 0))
        self._runs.finish_unfrozen()

    def _count_dropped(self, n_dropped: int) -> None:
        if n_dropped > self._n_dropped:
            _log.warning("Studio's listener had no room for %d events.", n_dropped - self._n_dropped)
            self._n_dropped = n_dropped

    def _tell_drained(self, session: Session, moment: Moment, drained: Mapping[str, Any]) -> None:
        events = [event for event in drained.get("events", ()) if isinstance(event, Mapping)]
        kinds = {event.get("event") for event in events}
        state = self._states.read(session) if kinds & {"acq_started", "image"} else None
        newest = max((n for n, event in enumerate(events) if event.get("event") == "image"), default=-1)
        for n, event in enumerate(events):
            age_ns = int(drained.get("nano", 0)) - int(event.get("nano", drained.get("nano", 0)))
            at = Moment(moment.wall_ns - age_ns, moment.monotonic_ns - age_ns)
            # the state was read after the newest image
            is_older = event.get("event") == "image" and n != newest
            try:
                self._translate(session, event, at, None if is_older else state)
            except DEVICE_ERRORS:
                _log.exception("An event of Micro-Manager Studio is not understood, and lost: %r", event)

    def _translate(self, session: Session, event: Mapping[str, Any], at: Moment, state: State | None) -> None:
        match event.get("event"):
            case "acq_started":
                told = event.get("summary") or {}
                outputs = (str(event["path"]),) if event.get("path") else ()
                self._runs.start(session, at, event.get("settings"), told, outputs, state)
            case "image":
                self._runs.see_frame(event, at, state)
            case "acq_ended" if self._runs.run is not None:
                self._runs.run.ended_ns = at.monotonic_ns
            case "datastore_frozen":
                self._runs.freeze(at, event.get("n_images"))
            case "live":
                self._states.toggle_live(at, bool(event.get("is_on")))
            case "configuration_loaded":
                self._states.forget_values()
                self._tell(ConfigurationLoaded(at))
            case "shutdown_commencing":
                self.is_closing = True
            case _:
                for key, value in moved_in(event):
                    self._states.move(session, key, value, at)
