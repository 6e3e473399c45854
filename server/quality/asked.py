"""What agents ask people for. Each instrument's runs are read once: afterwards only what came in since."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from agent.records import ScheduleRun, ScheduleState
from server.ingest.evidence import records_of
from server.store.base import Reads
from server.store.rows import RecordRow

KIND = "schedule_run"
_PAGE, _MOST_PAGES = 200, 25
_LONGEST = timedelta(days=40)
"""Nothing is wanted for longer: a person is asked a week ahead at most, and a deadline is a month."""


@dataclass(slots=True)
class _Instrument:
    """How far an instrument's runs are read, and what its people are asked for."""

    position: int = 0
    tasks: dict[UUID, ScheduleRun] = field(default_factory=dict)


class Asked:
    """The tasks of all instruments, kept up to date by whoever asks; any thread may."""

    def __init__(self) -> None:
        self._known: dict[str, _Instrument] = {}
        self._lock = threading.Lock()

    def tasks(self, reads: Reads, now: datetime) -> dict[str, list[ScheduleRun]]:
        """Return for each instrument that `reads` shows the runs that wait for a person now."""
        newest = reads.last_of_kind(KIND)
        with self._lock:
            for instrument_id, position in newest.items():
                known = self._known.setdefault(instrument_id, _Instrument())
                if position > known.position:
                    _read_on(known, reads, instrument_id, now)
            return {
                one: [run for run in self._known[one].tasks.values() if _is_wanted(run, now)]
                for one in newest
            }


def _read_on(known: _Instrument, reads: Reads, instrument_id: str, now: datetime) -> None:
    rows = [row for page in _pages(reads, instrument_id, known.position, now) for row in page]
    last_words: dict[UUID, ScheduleRun] = {}
    for record in records_of(reads, rows):
        if isinstance(record, ScheduleRun):  # the newest comes first
            last_words.setdefault(record.run_id, record)
    told = known.tasks | last_words
    known.tasks = {name: run for name, run in told.items() if _is_wanted(run, now)}
    known.position = max([known.position, *(row.position for row in rows)])


def _pages(reads: Reads, instrument_id: str, position: int, now: datetime) -> Iterator[list[RecordRow]]:
    """Yield what came in after a position, the newest first, as far back as anything can still be wanted."""
    before: int | None = None
    for _ in range(_MOST_PAGES):
        rows = reads.recent(instrument_id, KIND, _PAGE, before)
        yield [row for row in rows if row.position > position]
        if len(rows) < _PAGE or rows[-1].position <= position or rows[-1].captured_at < now - _LONGEST:
            return
        before = rows[-1].position


def _is_wanted(run: ScheduleRun, now: datetime) -> bool:
    return run.state is ScheduleState.WAITING_FOR_PERSON and run.task is not None and run.task.until > now
