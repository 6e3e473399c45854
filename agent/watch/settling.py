"""Waits until nobody writes a dataset any more: unchanged for a while, let go of, and whole by its format's own test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.watch.candidates import Candidate
from agent.watch.complete import judge
from agent.watch.errors import ChangedError
from agent.watch.extent import Extent, extent_of
from agent.watch.register import Entry, Register
from agent.watch.verdict import Verdict

_MOST_FILES_ASKED = 64
_REST_FACTOR = 20  # measuring a dataset may take this share of the time: one in twenty
_LONGEST_PAUSE_S = 60.0
_MOST_LOOKS = 500  # at a time: whoever has 100 000 files reported still gets a heartbeat, and can stop


@dataclass(frozen=True, slots=True)
class Settled:
    """A dataset that is ready to be reported.

    Attributes
    ----------
    was_growing : bool
        It was seen to change: then `changed_at`, the time of the last change by this computer's clock, means something.
    """

    entry: Entry
    extent: Extent
    verdict: Verdict
    was_growing: bool
    changed_at: datetime


@dataclass(slots=True)
class _Waiting:
    since_s: float
    next_s: float
    changed_at: datetime
    extent: Extent | None = None
    verdict: Verdict | None = None
    n_changes: int = 0


class Settling:
    """Follows the datasets that are pending.

    Parameters
    ----------
    settle_s, incomplete_after_s : float
        How long one must be unchanged to be taken for written, and for given up as it is.
    is_held : callable
        Says of a file whether a writer holds it; None is not known.
    """

    def __init__(
        self,
        settle_s: float,
        incomplete_after_s: float,
        is_held: Callable[[Path], bool | None],
    ) -> None:
        self._settle_s, self._incomplete_after_s = settle_s, incomplete_after_s
        self._is_held = is_held
        self._waiting: dict[str, _Waiting] = {}

    def next_s(self, default_s: float) -> float:
        """Return when something is due next."""
        return min((waiting.next_s for waiting in self._waiting.values()), default=default_s)

    def again(self, candidate: Candidate) -> None:
        """Begin anew with a dataset that changed while it was reported."""
        self._waiting.pop(candidate.key, None)

    def look(
        self, register: Register, entries: list[Entry], now_s: float, now: datetime
    ) -> Iterator[Settled]:
        """Look at what is due, and yield what has settled; what is gone is forgotten."""
        n_looks = 0
        for entry in entries:
            key = entry.candidate.key
            waiting = self._waiting.setdefault(key, _Waiting(now_s, now_s, now))
            if waiting.next_s > now_s or n_looks >= _MOST_LOOKS:
                continue
            n_looks += 1
            try:
                settled = self._look(entry, waiting, now_s, now)
            except ChangedError:
                self._restart(waiting, None, now_s, now)
                if not os.path.lexists(entry.candidate.path):
                    register.forget(entry.candidate)
                    del self._waiting[key]
                continue
            if settled is not None:
                yield settled

    def _look(self, entry: Entry, waiting: _Waiting, now_s: float, now: datetime) -> Settled | None:
        began = time.monotonic()
        extent = extent_of(entry.candidate)
        pause_s = max(self._settle_s / 2, _REST_FACTOR * (time.monotonic() - began))
        if extent != waiting.extent:
            self._restart(waiting, extent, now_s, now)
            return None
        rest_s = now_s - waiting.since_s
        waiting.next_s = now_s + min(pause_s, _LONGEST_PAUSE_S)
        if rest_s < self._settle_s:
            waiting.next_s = max(waiting.since_s + self._settle_s, now_s)
            return None
        if any(self._is_held(path) for path in _files_to_ask(entry.candidate)):
            return None
        verdict = waiting.verdict = waiting.verdict or judge(
            entry.candidate
        )  # once: nothing has changed since
        if (
            verdict.completeness == "incomplete"
            and not verdict.is_final
            and rest_s < self._incomplete_after_s
        ):
            waiting.next_s = now_s + min(max(rest_s / 2, pause_s), _LONGEST_PAUSE_S)
            return None
        return Settled(entry, extent, verdict, waiting.n_changes > 1, waiting.changed_at)

    def _restart(self, waiting: _Waiting, extent: Extent | None, now_s: float, now: datetime) -> None:
        waiting.extent, waiting.since_s, waiting.changed_at, waiting.verdict = extent, now_s, now, None
        waiting.next_s = now_s + self._settle_s
        waiting.n_changes += 1


def _files_to_ask(candidate: Candidate) -> Iterator[Path]:
    """Yield the files that a writer may hold open: chunks of a Zarr are closed at once."""
    if not candidate.is_folder:
        yield candidate.path
    elif candidate.format != "ome-zarr":
        files = (path for path in sorted(candidate.path.iterdir(), reverse=True) if path.is_file())
        yield from (path for path, _ in zip(files, range(_MOST_FILES_ASKED), strict=False))
