"""What happened to an instrument, as events that a trend shows and that steps are explained by."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time
from itertools import pairwise

from agent.records import AgentEvent, InstrumentDescription
from server.causes import Companion, Event, Suspect, companions, suspects
from server.control_chart import Chart
from server.ingest.evidence import record_of
from server.logbook import Maintenance, notes
from server.store.base import Reads
from server.store.rows import ChangeInShort, Place

MOST_CHANGES = 2000
"""Entries of the change log looked at before a step: as far back as they reach, it is known how often a thing recurs."""

_MOST_DESCRIPTIONS = 40
_MOST_AGENT_EVENTS = 40
_MOST_OF_ENVIRONMENT = 1000
_ENVIRONMENT = re.compile(r"temp|humid|pressure|co2", re.IGNORECASE)
_ENVIRONMENT_UNITS = ("Cel", "K", "hPa", "Pa", "%")


def maintenance(reads: Reads, instrument_id: str) -> list[Event]:
    """Return what people wrote down, at noon of its day."""
    found = []
    for one in notes(reads, instrument_id, ("maintenance",)):
        note = one.note
        assert isinstance(note, Maintenance)
        at = datetime.combine(note.day, time(12), UTC)
        href = f"/instruments/{instrument_id}/logbook"
        found.append(Event(at, "maintenance", note.work, note.title, note.device, href))
    return found


def software(reads: Reads, instrument_id: str) -> list[Event]:
    """Return changes of versions between the last descriptions of the instrument."""
    rows = reads.recent(instrument_id, "instrument", _MOST_DESCRIPTIONS)
    told = [record for row in rows if isinstance(record := record_of(reads, row), InstrumentDescription)]
    told.sort(key=lambda record: record.captured.wall_at)
    found = []
    for before, after in pairwise(told):
        for name, version in after.software.items():
            was = before.software.get(name)
            if was != version:
                what = f"{name} {was} → {version}" if was else f"{name} {version}"
                href = f"/records/{after.record_id}"
                at = after.captured.wall_at
                found.append(Event(at, "software", name, what, "", href, was, version))
    return found


def agent_events(reads: Reads, instrument_id: str) -> list[Event]:
    """Return what the agent last told of itself."""
    rows = reads.recent(instrument_id, "agent_event", _MOST_AGENT_EVENTS)
    records = (record_of(reads, row) for row in rows)
    return [
        Event(one.captured.wall_at, "event", one.event, one.message, "", f"/records/{one.record_id}")
        for one in records
        if isinstance(one, AgentEvent)
    ]


class Timeline:
    """The events of one instrument, read as far as somebody asks."""

    def __init__(self, reads: Reads, instrument_id: str) -> None:
        self._reads = reads
        self._instrument_id = instrument_id
        self.written = maintenance(reads, instrument_id)
        self.versions = software(reads, instrument_id)
        self._agent = agent_events(reads, instrument_id)
        self._changes: list[_Stretch] = []
        self._told: dict[int, Event] = {}
        self._environment: dict[str, list[tuple[datetime, float]]] | None = None

    def suspects_of(self, chart: Chart, step: int, light_path: dict[str, str]) -> list[Suspect]:
        """Return what may have made a chart step, the likeliest first."""
        runs_at = [sample.at for sample in chart.samples]
        rows = self._changes_before(runs_at[step])
        begin = 0
        if len(rows) == MOST_CHANGES:  # there are older ones that are not known: judge by the runs since
            known_from = rows[-1].at
            begin = min(step - 1, next(i for i, at in enumerate(runs_at) if at >= known_from))
        # What did not change since the run before is no suspect, however often it did earlier.
        lately = {(row.device, row.property) for row in rows if row.at > runs_at[step - 1]}
        changed = [self._event(row) for row in rows if (row.device, row.property) in lately]
        events = [*self.written, *self.versions, *self._agent, *changed]
        # Of what came after the step nothing is asked, so the runs after it must not speak for what is rare.
        known = [event for event in events if runs_at[begin] < event.at <= runs_at[step]]
        return suspects(known, runs_at[begin : step + 1], step - begin, light_path)

    def companions_of(self, chart: Chart) -> list[Companion]:
        """Return the readings of the environment that go along with a chart, the closest first."""
        at = [sample.at for sample in chart.samples]
        return companions(at, [sample.value for sample in chart.samples], self._environments(at[-1]))

    def look_back(self, charts: Iterable[Chart]) -> None:
        """Read the change log for all steps of charts, the newest first, so that what several of them need is read once."""
        told = list(charts)
        times = {chart.samples[-1].at for chart in told if chart.steps or chart.drift}
        times |= {chart.samples[step.index].at for chart in told for step in chart.steps}
        for at in sorted(times, reverse=True):
            self._changes_before(at)

    def _changes_before(self, at: datetime) -> list[ChangeInShort]:
        """Return the last `MOST_CHANGES` entries of the change log at a time, the newest first."""
        stretch = next((one for one in self._changes if one.covers(at)), None)
        if stretch is None:
            stretch = _Stretch(at)
            self._changes.append(stretch)
        return stretch.before(at, self._read)

    def _read(self, before: Place, limit: int) -> list[ChangeInShort]:
        return self._reads.changes_in_short(self._instrument_id, before, limit)

    def _event(self, row: ChangeInShort) -> Event:
        if row.position not in self._told:
            self._told[row.position] = _event(row)
        return self._told[row.position]

    def _environments(self, until: datetime) -> dict[str, list[tuple[datetime, float]]]:
        if self._environment is None:
            devices = {row.device for row in self._changes_before(until) if _is_environment(row)}
            rows: list[ChangeInShort] = []
            for device in sorted(devices)[:3]:
                rows += self._reads.changes_in_short(
                    self._instrument_id, limit=_MOST_OF_ENVIRONMENT, device=device
                )
            self._environment = environment_in(rows)
        return self._environment


class _Stretch:
    """The change log from a time backwards, without a gap, as far as it was read."""

    def __init__(self, until: datetime) -> None:
        self._until = until
        self._rows: list[ChangeInShort] = []
        self._is_all = False

    def covers(self, at: datetime) -> bool:
        return at <= self._until and (self._is_all or self._rows[-1].at <= at)

    def before(self, at: datetime, read: Callable[[Place, int], list[ChangeInShort]]) -> list[ChangeInShort]:
        """Return the last `MOST_CHANGES` at a time, reading what is missing."""
        start = bisect_left(self._rows, -at.timestamp(), key=lambda row: -row.at.timestamp())
        n_missing = start + MOST_CHANGES - len(self._rows)
        if n_missing > 0 and not self._is_all:
            last = self._rows[-1] if self._rows else None
            more = read(Place(last.at, last.position) if last else Place(self._until, 2**62), n_missing)
            self._rows += more
            self._is_all = len(more) < n_missing
        return self._rows[start : start + MOST_CHANGES]


def environment_in(changes: Iterable[ChangeInShort]) -> dict[str, list[tuple[datetime, float]]]:
    """Return the numbers that changes tell of the environment, by device and property, in order of time."""
    found: dict[str, list[tuple[datetime, float]]] = {}
    for change in changes:
        if _is_environment(change) and (value := _number(change.after)) is not None:
            name = f"{change.device} {change.property}"
            found.setdefault(name, []).append((change.at, value))
    return {name: sorted(told) for name, told in found.items()}


def marks(written: Sequence[Event], found: Iterable[Event], until: datetime) -> list[Event]:
    """Return the events to draw, each once, in order of time."""
    return sorted({event for event in [*written, *found] if event.at <= until}, key=lambda event: event.at)


def _is_environment(change: ChangeInShort) -> bool:
    return change.unit in _ENVIRONMENT_UNITS or bool(_ENVIRONMENT.search(change.property))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # a device may tell numbers as text
    except (TypeError, ValueError):
        return None


def _event(row: ChangeInShort) -> Event:
    before, after = _shown(row.before), _shown(row.after)
    what = f"{before} → {after}" if before is not None else f"→ {after}"
    subject = f"{row.device} {row.property}"
    return Event(row.at, "change", subject, what, row.device, f"/records/{row.record_id}", before, after)


def _shown(value: object) -> str | None:
    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)
