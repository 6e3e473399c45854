"""What waits on disk, counted without disturbing writers or the drainer."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.outbox.cursor import Cursor, Position
from agent.outbox.folders import SpoolFolder, all_spools
from agent.outbox.limit import bytes_on_disk, last_seq_of
from agent.outbox.poison import n_poisoned
from agent.outbox.reader import SpoolReader
from agent.outbox.spool import ASIDE_NAME


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits on disk.

    Attributes
    ----------
    n_waiting : int
        Records not yet acknowledged; those of a spool set aside are not counted.
    bytes_on_disk : int
        Size of all spools.
    oldest_waiting_at : datetime or None
        Capture time of the oldest of them.
    n_poisoned : int
        Records that can never be sent.
    n_aside : int
        Spools that the collector holds to be forked.
    """

    n_waiting: int
    bytes_on_disk: int
    oldest_waiting_at: datetime | None
    n_poisoned: int
    n_aside: int


class Survey:
    """Counts what waits; remembers what cannot have changed, so that a large backlog is not read every time.

    Parameters
    ----------
    data_dir : Path
        The agent's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._last_seq: dict[Path, tuple[int, int]] = {}
        self._captured: dict[str, tuple[int, datetime | None]] = {}

    def take(self) -> Backlog:
        """Return what waits now."""
        spools = all_spools(self._data_dir)
        sendable = [spool for spool in spools if not (spool.path / ASIDE_NAME).exists()]
        waiting = [self._in(spool) for spool in sendable]
        return Backlog(
            sum(n for n, _ in waiting),
            bytes_on_disk(self._data_dir),
            min((captured_at for _, captured_at in waiting if captured_at), default=None),
            n_poisoned(self._data_dir),
            len(spools) - len(sendable),
        )

    def _in(self, spool: SpoolFolder) -> tuple[int, datetime | None]:
        """Return how many records of a spool wait, and since when."""
        try:
            position = Cursor(spool.path).load() or Position()
            n = max(0, self._last_seq_of(spool) + 1 - position.next_seq)
        except OSError:
            return 0, None  # deleted at this moment, or held open by another program: the next count has it
        return n, self._captured_at(spool, position) if n else None

    def _last_seq_of(self, spool: SpoolFolder) -> int:
        segments = spool.segments()
        if not segments:
            return 0
        path = segments[-1][1]
        size = path.stat().st_size
        known = self._last_seq.get(path)
        if known is None or known[0] != size:
            known = (size, last_seq_of(spool))
            self._last_seq[path] = known
        return known[1]

    def _captured_at(self, spool: SpoolFolder, position: Position) -> datetime | None:
        known = self._captured.get(spool.spool_id)
        if known is None or known[0] != position.next_seq:
            known = (position.next_seq, _first_captured_at(spool, position))
            self._captured[spool.spool_id] = known
        return known[1]


def _first_captured_at(spool: SpoolFolder, position: Position) -> datetime | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        for stored in SpoolReader(spool, position, is_live=True):
            return datetime.fromisoformat(json.loads(stored.record)["captured"]["wall_at"])
    return None
