"""How much disk the spool may use, and what is given up when there is less.

================  ==========================================================================
free space        what is taken
================  ==========================================================================
above low water   everything
below low water   of the snapshots only key frames, of the heartbeats one an hour
below the floor   critical records and events alone
================  ==========================================================================

Critical records are never refused by policy, only by a disk that has no room left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from agent.outbox.lanes import Lane, lane_of
from agent.records import Instant, Record, SnapshotReason, StateSnapshot

_KEY_REASONS = frozenset(
    {SnapshotReason.STARTUP, SnapshotReason.KEY_FRAME, SnapshotReason.CONFIGURATION_LOADED}
)
_HEARTBEAT_NS = 3_600 * 10**9
_RELIEF = (
    1.1  # room counts as regained a tenth above the mark, or one file more or less would flip the policy
)


class Room(IntEnum):
    """How much space is left."""

    NONE = 0
    LITTLE = 1
    PLENTY = 2


@dataclass(frozen=True, slots=True)
class DiskBudget:
    """How much disk the spool may use.

    Attributes
    ----------
    max_bytes : int, optional
        Size of all spools together; above it the oldest snapshots are given up, then the oldest heartbeats. When
        absent, 5 GB or a tenth of what is free at start, whichever is less.
    min_free_bytes : int
        Low-water mark of the volume: never fill an acquisition disk.
    floor_bytes : int
        Below it nothing but critical records and events is taken.
    """

    max_bytes: int | None = None
    min_free_bytes: int = 1 << 30
    floor_bytes: int = 256 << 20

    def limit(self, free_bytes: int) -> int:
        """Return the size that all spools together may have."""
        return min(5 * 10**9, free_bytes // 10) if self.max_bytes is None else self.max_bytes


class Thinning:
    """Decides what is taken while space is short, and counts what is not.

    Parameters
    ----------
    budget : DiskBudget
        The marks.
    """

    def __init__(self, budget: DiskBudget) -> None:
        self._budget = budget
        self._room = Room.PLENTY
        self._last_heartbeat: Instant | None = None
        self._given_up: dict[Lane, int] = {}
        self._since: Instant | None = None
        self.n_thinned = 0

    @property
    def given_up(self) -> dict[Lane, int]:
        """Records given up in each lane since space became short."""
        return dict(self._given_up)

    @property
    def since(self) -> Instant | None:
        """When the first of them was given up."""
        return self._since

    @property
    def room(self) -> Room:
        """How much space was left at the last look."""
        return self._room

    def look(self, free_bytes: int) -> Room:
        """Take note of the free space and return the room there is."""
        relief = _RELIEF if self._room < Room.PLENTY else 1.0
        if free_bytes >= self._budget.min_free_bytes * relief:
            self._room = Room.PLENTY
        elif free_bytes >= self._budget.floor_bytes:
            self._room = Room.LITTLE
        else:
            self._room = Room.NONE
        return self._room

    def takes(self, record: Record) -> bool:
        """Return whether a record is to be recorded; one that is not is counted."""
        lane = lane_of(record)
        if self._is_wanted(record, lane):
            if lane is Lane.HEARTBEATS:
                self._last_heartbeat = record.captured
            return True
        self._since = self._since or record.captured
        self._given_up[lane] = self._given_up.get(lane, 0) + 1
        self.n_thinned += 1
        return False

    def forget(self) -> None:
        """Start counting anew; the totals have been reported."""
        self._given_up.clear()
        self._since = None

    def _is_wanted(self, record: Record, lane: Lane) -> bool:
        if self._room is Room.PLENTY or lane in (Lane.CRITICAL, Lane.EVENTS):
            return True
        if self._room is Room.NONE:
            return False
        if isinstance(record, StateSnapshot):
            return record.reason in _KEY_REASONS
        return lane is Lane.HEARTBEATS and self._is_due(record.captured)

    def _is_due(self, captured: Instant) -> bool:
        last = self._last_heartbeat
        if last is None:
            return True
        if last.boot_id == captured.boot_id:
            return captured.monotonic_ns - last.monotonic_ns >= _HEARTBEAT_NS
        return abs(captured.wall_at - last.wall_at) >= timedelta(hours=1)
