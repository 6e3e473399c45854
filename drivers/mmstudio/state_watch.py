"""What the instrument was last known to be like, and what of it has changed without an event."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.errors import BridgeError, StudioAwayError
from drivers.events import LiveToggled, PropertyMoved
from drivers.mmstudio.runs import scope_data
from drivers.mmstudio.session import Session
from drivers.mmstudio.words import State, followed_keys, reading_of
from drivers.readings import Hardware, How, Key, Moment, PropertyReading

_log = logging.getLogger("scopestamp.drivers")

Tell = Callable[[Any], bool]
"""Takes an event; returns whether there was room for it."""


@dataclass
class Known:
    """What was told last of the instrument."""

    hardware: Hardware = field(default_factory=lambda: Hardware(devices={}))
    followed: frozenset[Key] = frozenset()
    values: dict[Key, Any] = field(default_factory=dict)
    state_ns: int = 0
    is_live: bool = False


class StateWatch:
    """Keeps what is known of one Studio's instrument, and tells of what moved.

    Parameters
    ----------
    tell : callable
        Takes the events.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.known = Known()

    def know(self, session: Session | None, hardware: Hardware, state: State) -> None:
        """Take note of what is loaded and how it stands: what is told from now on are changes to that."""
        self.known.hardware = hardware
        self.known.followed = followed_keys(hardware)
        self.known.values = {k: value for k, value in state.values.items() if self._is_followed(session, k)}

    def forget_all(self) -> None:
        """Begin anew: another Studio, perhaps another instrument."""
        self.known = Known()

    def forget_values(self) -> None:
        """Compare the next state with nothing: what moved meanwhile is told elsewhere."""
        self.known.values.clear()

    def is_due(self, interval_s: float) -> bool:
        """Whether so much time went by since the last time that this was true."""
        now_ns = time.monotonic_ns()
        if now_ns - self.known.state_ns < interval_s * 1e9:
            return False
        self.known.state_ns = now_ns
        return True

    def read(self, session: Session) -> State | None:
        """Return the cached state; None while Studio closes."""
        try:
            return session.view.cached_state(self.known.hardware)
        except StudioAwayError:
            raise
        except BridgeError as error:
            _log.info("No state from Micro-Manager Studio: %s", error)
            return None

    def readings(
        self, session: Session, state: State | None, summary: Mapping[str, Any]
    ) -> Mapping[Key, PropertyReading]:
        """Return the state at a run's start, without what the cache is known to be wrong of.

        Where the core is not asked, Studio's engine has written what it knew of it into the dataset.
        """
        if state is None:
            return {}
        known = self.known
        values = {} if session.view.reads_hardware else scope_data(summary, known.hardware)
        values |= {k: v for k, v in state.values.items() if k in known.followed or k.property.startswith("@")}
        return {
            key: self._reading(session, key, value, How.CACHE, state.moment) for key, value in values.items()
        }

    # -- what is told

    def compare(self, session: Session) -> None:
        """Tell what differs from the state before: what no event told, so software set it."""
        state = self.read(session)
        if state is None:
            return
        before = self.known.values
        self.known.values = {k: v for k, v in state.values.items() if self._is_followed(session, k)}
        for key, value in self.known.values.items():
            if key in before and before[key] != value:
                self._tell_moved(session, key, value, state.moment, How.CACHE, session.listener is not None)

    def move(self, session: Session, key: Key, value: Any, at: Moment) -> None:
        """Tell what an event says of one value."""
        if self.known.values and key in self.known.followed:
            self.known.values[key] = value
        self._tell_moved(session, key, value, at, How.EVENT, is_commanded=False)

    def toggle_live(self, at: Moment, is_live: bool) -> None:
        """Tell that live mode was switched."""
        self.known.is_live = is_live
        self._tell(LiveToggled(at, is_live))

    def _is_followed(self, session: Session | None, key: Key) -> bool:
        """Return whether a cached value tells of changes: positions only where Studio's own are all there is."""
        is_studios = session is not None and not session.view.reads_hardware
        return key in self.known.followed or (is_studios and key.property.startswith("@"))

    def _tell_moved(
        self, session: Session, key: Key, value: Any, at: Moment, how: How, is_commanded: bool
    ) -> None:
        self._tell(PropertyMoved(self._reading(session, key, value, how, at), is_commanded))

    def _reading(self, session: Session, key: Key, value: Any, how: How, at: Moment) -> PropertyReading:
        return reading_of(self.known.hardware, key, value, how, at, is_exact=session.view.is_exact)
