"""The driver over a running Micro-Manager Studio: it watches, and owns nothing."""

from __future__ import annotations

from drivers.base import Driver, Listener
from drivers.errors import BridgeError, JavaError
from drivers.mmstudio.options import StudioOptions
from drivers.mmstudio.session import Session
from drivers.mmstudio.watch import StudioWatch
from drivers.mmstudio.words import UNITS, State, is_there, keys_of, reading_of
from drivers.readings import Hardware, How, Key, Moment, PropertyReading, Status

_STATE_AGE_NS = 200_000_000  # so old may a state be that answers one of many reads in a row


class StudioDriver(Driver):
    """Watches whatever Studio runs on this computer, one life after another.

    Parameters
    ----------
    options : StudioOptions, optional
    """

    def __init__(self, options: StudioOptions | None = None) -> None:
        self.watch = StudioWatch(options or StudioOptions())
        self._hardware = Hardware(devices={})
        self._keys: tuple[Key, ...] = ()
        self._state: State | None = None

    @property
    def is_present(self) -> bool:
        return self.watch.is_attached

    @property
    def reads_hardware(self) -> bool:
        session = self.watch.session
        return session is None or session.view.reads_hardware

    def describe(self) -> Hardware:
        self._state = None
        session = self.watch.session if self.is_present else None
        if session is None:
            return Hardware(devices={})
        self._hardware = session.view.describe()
        self.watch.know(self._hardware, session.view.cached_state(self._hardware))
        self._keys = (
            tuple(keys_of(self._hardware)) if session.view.reads_hardware else self._told_keys(session)
        )
        return self._hardware

    def keys(self) -> tuple[Key, ...]:
        return self._keys

    def read(self, key: Key, how: How) -> PropertyReading:
        moment = Moment.now()
        if not is_there(self._hardware, key):
            return PropertyReading(
                key, Status.ABSENT, how, moment, error="there is no such device or property"
            )
        session = self.watch.session
        if session is None:
            return PropertyReading(key, Status.FAILED, how, moment, error="Micro-Manager Studio is not there")
        try:
            return (
                self._cached(session, key, moment) if how is How.CACHE else self._asked(session, key, moment)
            )
        except JavaError as error:
            return PropertyReading(key, Status.FAILED, how, moment, error=error.words or error.java_class)
        except BridgeError as error:
            return PropertyReading(key, Status.FAILED, how, moment, error=str(error))

    def is_busy(self) -> bool:
        return self.watch.is_busy

    def listen(self, listener: Listener) -> None:
        self.watch.listen(listener)

    def stop_listening(self) -> None:
        self.watch.stop_listening()

    def catch_up(self) -> None:
        """Look at Studio now, on the caller's thread, and tell the listener what happened so far."""
        self.watch.known.state_ns = 0
        self.watch.look()

    def close(self) -> None:
        self.watch.close()

    def _asked(self, session: Session, key: Key, moment: Moment) -> PropertyReading:
        value = session.view.read(key)
        return reading_of(self._hardware, key, value, How.HARDWARE, moment, is_exact=session.view.is_exact)

    def _cached(self, session: Session, key: Key, moment: Moment) -> PropertyReading:
        is_kept = key.property in UNITS and session.view.reads_hardware and key.property != "@pixel_size"
        state = None if is_kept else self._fresh_state(session, moment)
        if state is None or key not in state.values:
            error = "the core keeps no cache of it"
            return PropertyReading(key, Status.UNSUPPORTED, How.CACHE, moment, error=error)
        exact = session.view.is_exact
        return reading_of(self._hardware, key, state.values[key], How.CACHE, state.moment, is_exact=exact)

    def _fresh_state(self, session: Session, moment: Moment) -> State:
        state = self._state
        if state is None or moment.monotonic_ns - state.moment.monotonic_ns > _STATE_AGE_NS:
            state = self._state = session.view.cached_state(self._hardware)
        return state

    def _told_keys(self, session: Session) -> tuple[Key, ...]:
        return tuple(
            key for key in session.view.cached_state(self._hardware).values if is_there(self._hardware, key)
        )
