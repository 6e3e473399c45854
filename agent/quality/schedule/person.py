"""Somebody wants the microscope: what tells of it while a run is under way, and what ends a run otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

from agent.errors import PersonAtMicroscopeError, RunStoppedError
from agent.idle import Idle

STOP_FILE = "stop"
"""Put into the scheduler's folder by ``scopestamp schedule stop``."""
_LOOK_S = 0.5
_LOOK_FOR_OTHERS_S = 5.0
_INPUT_MARGIN_S = 1.0
_MOST_UNKNOWN = 10


class PersonWatch:
    """Looks for reasons to end a run; cheap to ask again and again.

    Parameters
    ----------
    idle : callable
        How long nobody has used mouse or keyboard.
    monotonic_s : callable
        Time since the run began.
    most_s : float
        The run may take this long.
    folder : Path
        Where somebody at the PC puts the stop file.
    ends : Event
        Set when the agent is to end.
    others : callable
        Says which other program wants the hardware; empty: none.
    ignores_unknown : bool
        Whether not knowing about mouse and keyboard is no reason to stop.

    Attributes
    ----------
    by_hand : frozenset of str
        Devices that somebody has moved since the run began.
    """

    def __init__(
        self,
        idle: Callable[[], Idle],
        monotonic_s: Callable[[], float],
        most_s: float,
        folder: Path,
        ends: Event,
        others: Callable[[], str] = lambda: "",
        *,
        ignores_unknown: bool = False,
    ) -> None:
        self._idle, self._monotonic_s, self._most_s = idle, monotonic_s, most_s
        self._stop_file, self._ends, self._others = folder / STOP_FILE, ends, others
        self._ignores_unknown = ignores_unknown
        self._began_s = monotonic_s()
        self._looked_s = self._looked_for_others_s = self._began_s
        self._n_unknown = 0
        self._touched_before: Mapping[str, int] | None = None
        self.by_hand: frozenset[str] = frozenset()

    def why_stop(self, status: Mapping[str, Any] | None) -> RunStoppedError | None:
        """Return why the run is to end now, or None.

        Parameters
        ----------
        status : mapping or None
            The newest answer of the hardware process to a ping, if there is one.
        """
        if self._ends.is_set():
            return RunStoppedError("The agent was told to end.")
        if self._stop_file.exists():
            return PersonAtMicroscopeError(
                "Somebody asked for the microscope with 'scopestamp schedule stop'."
            )
        if status and (told := self._told_by(status)):
            return PersonAtMicroscopeError(told)
        now_s = self._monotonic_s()
        if now_s - self._began_s > self._most_s:
            return RunStoppedError(
                f"It took longer than the {self._most_s / 60:g} min it is given (max_duration_min)."
            )
        if now_s - self._looked_s < _LOOK_S:
            return None
        self._looked_s = now_s
        told = self._told_by_input(now_s)
        if not told and now_s - self._looked_for_others_s >= _LOOK_FOR_OTHERS_S:
            self._looked_for_others_s, told = now_s, self._others()
        return PersonAtMicroscopeError(told) if told else None

    def is_ending(self) -> bool:
        """Whether the agent was told to end."""
        return self._ends.is_set()

    def _told_by(self, status: Mapping[str, Any]) -> str:
        if status.get("is_live"):
            return "Somebody switched live mode on."
        touched: Mapping[str, int] = status.get("touched", {})
        if self._touched_before is None:
            self._touched_before = touched
        before = self._touched_before
        self.by_hand |= {device for device, n in touched.items() if n > before.get(device, 0)}
        return f"{', '.join(sorted(self.by_hand))} moved by hand." if self.by_hand else ""

    def _told_by_input(self, now_s: float) -> str:
        idle = self._idle()
        if idle.for_s is None:
            self._n_unknown += 1
            if self._n_unknown < _MOST_UNKNOWN or self._ignores_unknown:
                return ""
            return f"It cannot be told any more whether somebody is there: {idle.why}."
        self._n_unknown = 0
        if idle.for_s < now_s - self._began_s - _INPUT_MARGIN_S:
            return "Somebody used mouse or keyboard."
        return ""
