"""Looks at Studio a few times a second, and tells what happened as hardware events.

Here one Studio after another is found, held and lost. With our listener in it, its own events are drained and translated
(`event_watch`); without, what it does is seen from outside (`outside_watch`). Either notices acquisitions (`run_watch`), and
what changed otherwise is told by comparing cached states (`state_watch`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from drivers.base import Listener
from drivers.errors import DEVICE_ERRORS, BridgeError, JavaError
from drivers.events import ConfigurationLoaded, InstrumentLeft
from drivers.mmstudio.corelog import CoreLog
from drivers.mmstudio.event_watch import EventWatch
from drivers.mmstudio.options import StudioOptions
from drivers.mmstudio.outside_watch import OutsideWatch
from drivers.mmstudio.run_watch import RunWatch
from drivers.mmstudio.session import Session
from drivers.mmstudio.state_watch import Known, StateWatch
from drivers.mmstudio.words import State
from drivers.readings import Hardware, Moment

_log = logging.getLogger("scopestamp.drivers")


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
        self._listener: Listener | None = None
        self._states = StateWatch(self.tell)
        self._runs = RunWatch(self.tell, self._states)
        self._events = EventWatch(self.tell, self._states, self._runs)
        self._outside = OutsideWatch(self._states, self._runs)
        self._core_log = CoreLog(options.core_log) if options.core_log else None
        self._why_away = ""
        self._retry_at_s = 0.0
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
        if session is None or self._events.is_closing or self._runs.run is not None or self.known.is_live:
            return True
        try:
            return session.face.is_acquiring()
        except BridgeError:
            return True

    @property
    def known(self) -> Known:
        """What was told last of the instrument."""
        return self._states.known

    def know(self, hardware: Hardware, state: State) -> None:
        """Take note of what is loaded and how it stands: what is told from now on are changes to that."""
        with self._looking:
            self._states.know(self.session, hardware, state)

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
            self._events = EventWatch(self.tell, self._states, self._runs)
            self._states.forget_all()
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
        if self._runs.run is not None:
            self._runs.run.provider = None
            self._runs.interrupt(Moment.now())
        _log.info("Micro-Manager Studio is not there any more. %s", why)
        self.tell(InstrumentLeft(Moment.now(), why))

    def _look(self, session: Session) -> None:
        if session.listener is not None:
            self._events.look(session, session.listener)
        else:
            self._outside.look(session)
        is_quiet = self._runs.run is None and not self._events.is_closing
        if is_quiet and self._states.is_due(self._options.state_interval_s):
            self._states.compare(session)
