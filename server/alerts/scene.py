"""What rules look at, and what they find."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from agent.records import Heartbeat, ScheduleRun
from server.alerts.away import Away
from server.ingest.evidence import records_of
from server.store.base import Reads
from server.store.rows import FleetRow, QcSeriesRow

_LONGEST_KEY = 300
_PLANNED_RUNS_READ = 30
_MOST_CAUSES = 50
"""Of so many findings of a round: where more come at once, what is behind them is no matter of one instrument."""
_EVER = datetime(1970, 1, 1, tzinfo=UTC)

Firing = Callable[[str], bool]
"""Whether an alert with that key fires already."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that holds.

    `what` and `advice` are texts with named places for `values`, so that they can be told in any language.
    """

    rule: str
    instrument_id: str
    subject: str
    what: str
    since: datetime
    values: dict[str, str] = field(default_factory=dict)
    advice: str = ""
    href: str = ""
    cause: str = ""
    """What is likely behind it, in the words of whoever wrote it down; looked for once, when it is new."""

    @property
    def key(self) -> str:
        """The same for the same trouble, however often it is found; what agents call theirs may be longer than a key can be."""
        key = f"{self.rule}|{self.instrument_id}|{self.subject}".replace("\0", "\ufffd")
        if len(key) <= _LONGEST_KEY:
            return key
        return f"{key[: _LONGEST_KEY - 64]}{hashlib.sha256(key.encode()).hexdigest()}"


class Fleetwide:
    """What is asked for all instruments together, when a rule first wants it: asked for each, a thousand of them would take a
    second of every round."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._series: dict[str, list[QcSeriesRow]] | None = None
        self._with: dict[tuple[str, datetime], set[str]] = {}
        self._planned: dict[str, list[ScheduleRun]] = {}
        self.causes_left = _MOST_CAUSES

    def series_of(self, instrument_id: str) -> list[QcSeriesRow]:
        """Return the series of quality control of an instrument, the last measured first."""
        if self._series is None:
            self._series = {}
            for one in sorted(self._reads.qc_standing(), key=lambda one: one.captured_at, reverse=True):
                self._series.setdefault(one.instrument_id, []).append(one)
        return self._series.get(instrument_id, [])

    def has(self, instrument_id: str, kind: str, since: datetime) -> bool:
        """Return whether a record of that kind came from an instrument since."""
        if (kind, since) not in self._with:
            self._with[kind, since] = self._reads.instruments_with(kind, since)
        return instrument_id in self._with[kind, since]

    def planned(self, instrument_id: str) -> list[ScheduleRun]:
        """Return the last planned runs of an instrument that came to an end of some kind, the newest first."""
        if not self.has(instrument_id, "schedule_run", _EVER):
            return []
        if instrument_id not in self._planned:
            rows = self._reads.recent(instrument_id, "schedule_run", _PLANNED_RUNS_READ)
            told = [one for one in records_of(self._reads, rows) if isinstance(one, ScheduleRun)]
            self._planned[instrument_id] = [one for one in told if one.state.is_end]
        return self._planned[instrument_id]


@dataclass(frozen=True, slots=True)
class Scene:
    """One instrument as the rules see it, read only as far as some rule asks."""

    reads: Reads
    fleet: Fleetwide
    row: FleetRow
    beat: Heartbeat | None
    now: datetime
    is_firing: Firing
    away: Away | None

    @property
    def instrument_id(self) -> str:
        """The instrument's id."""
        return self.row.instrument.instrument_id

    def with_cause(self, finding: Finding, look_for: Callable[[], str]) -> Finding:
        """Return a finding with what is likely behind it, when it is new."""
        if self.is_firing(finding.key) or not self.fleet.causes_left:
            return finding
        self.fleet.causes_left -= 1
        return replace(finding, cause=look_for())

    @property
    def series(self) -> list[QcSeriesRow]:
        """Its series of quality control, the last measured first."""
        return self.fleet.series_of(self.instrument_id)
