"""What happened to an instrument, as events that a trend shows and that steps are explained by."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from functools import cached_property
from itertools import pairwise
from typing import TypeVar

import msgspec

from server.ingest.evidence import raw_lines
from server.logbook import Maintenance, notes
from server.numbers import number
from server.quality.causes import Companion, Event, Suspect, companions, suspects
from server.quality.control_chart import Chart
from server.store.base import Reads
from server.store.rows import ChangeInShort, ChangeMark, Place

MOST_CHANGES = 2000
"""Entries of the change log looked at before a step: as far back as they reach, it is known how often a thing recurs."""
MOST_COMPARED = 60
"""Values of a chart, evenly over all of it, that readings of the environment are compared with: each is read from elsewhere."""

T = TypeVar("T")

_MOST_DESCRIPTIONS = 25
_MOST_AGENT_EVENTS = 25
_MOST_OF_ENVIRONMENT = 1000
_MOST_OF_DEVICES = 3
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


class _Clock(msgspec.Struct):
    wall_at: datetime


class _Described(msgspec.Struct):
    """What counts here of a description of the instrument; the whole of it takes a millisecond to read."""

    record_id: str
    captured: _Clock
    software: dict[str, str]


class _Told(msgspec.Struct):
    """What counts here of an event of the agent."""

    record_id: str
    captured: _Clock
    event: str
    message: str


def software(reads: Reads, instrument_id: str) -> list[Event]:
    """Return changes of versions between the last descriptions of the instrument."""
    told = _last(reads, instrument_id, "instrument", _MOST_DESCRIPTIONS, _Described)
    told.sort(key=lambda one: one.captured.wall_at)
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
    return [
        Event(one.captured.wall_at, "event", one.event, one.message, "", f"/records/{one.record_id}")
        for one in _last(reads, instrument_id, "agent_event", _MOST_AGENT_EVENTS, _Told)
    ]


def _last(reads: Reads, instrument_id: str, kind: str, limit: int, told_type: type[T]) -> list[T]:
    """Return the last records of a kind, without those that cannot be read any more."""
    found: list[T] = []
    for line in raw_lines(reads, reads.recent(instrument_id, kind, limit)):
        try:
            found.append(msgspec.json.decode(line, type=told_type))
        except msgspec.MsgspecError:  # filed under rules that have changed since
            continue
    return found


class Timeline:
    """The events of one instrument, read as far as somebody asks."""

    def __init__(self, reads: Reads, instrument_id: str) -> None:
        self._reads = reads
        self._instrument_id = instrument_id
        self.written = maintenance(reads, instrument_id)
        self.versions = software(reads, instrument_id)
        self._changes: list[_Stretch] = []
        self._whole: dict[int, ChangeInShort] = {}
        self._environment: dict[str, list[ChangeMark]] | None = None

    @cached_property
    def _agent(self) -> list[Event]:
        return agent_events(self._reads, self._instrument_id)

    def suspects_of(self, chart: Chart, step: int, light_path: dict[str, str]) -> list[Suspect]:
        """Return what may have made a chart step, the likeliest first."""
        runs_at = [sample.at for sample in chart.samples]
        rows = self._changes_before(runs_at[step])
        begin = 0
        if len(rows) == MOST_CHANGES:  # there are older ones that are not known: judge by the runs since
            known_from = rows[-1].at
            begin = min(step - 1, next(i for i, at in enumerate(runs_at) if at >= known_from))
        # What did not change since the run before is no suspect, however often it did earlier.
        lately = sorted((row for row in rows if row.at > runs_at[step - 1]), key=lambda row: row.at)
        subjects = {_subject(row) for row in lately}
        first = {_subject(row): row.position for row in reversed(lately)}
        last = {_subject(row): row.position for row in lately}
        told = self._in_short({*first.values(), *last.values()})
        changed = [_event(row, told.get(row.position)) for row in rows if _subject(row) in subjects]
        events = [*self.written, *self.versions, *self._agent, *changed]
        # Of what came after the step nothing is asked, so the runs after it must not speak for what is rare.
        known = [event for event in events if runs_at[begin] < event.at <= runs_at[step]]
        return suspects(known, runs_at[begin : step + 1], step - begin, light_path)

    def companions_of(self, chart: Chart) -> list[Companion]:
        """Return the readings of the environment that go along with a chart, the closest first."""
        some = chart.samples[:: -(len(chart.samples) // -MOST_COMPARED)]
        at = [sample.at for sample in some]
        held = {name: _held(marks, at) for name, marks in self._environments(chart.samples[-1].at).items()}
        told = self._in_short({mark.position for marks in held.values() for mark in marks})
        series = {name: _numbers(marks, told) for name, marks in held.items()}
        return companions(at, [sample.value for sample in some], series)

    def look_back(self, charts: Iterable[Chart]) -> None:
        """Read the change log for all steps of charts, the newest first, so that what several of them need is read once."""
        told = list(charts)
        times = {chart.samples[-1].at for chart in told if chart.steps or chart.drift}
        times |= {chart.samples[step.index].at for chart in told for step in chart.steps}
        for at in sorted(times, reverse=True):
            self._changes_before(at)

    def _changes_before(self, at: datetime) -> list[ChangeMark]:
        """Return the last `MOST_CHANGES` entries of the change log at a time, the newest first."""
        stretch = next((one for one in self._changes if one.covers(at)), None)
        if stretch is None:
            stretch = _Stretch(at)
            self._changes.append(stretch)
        return stretch.before(at, self._read)

    def _read(self, before: Place, limit: int) -> list[ChangeMark]:
        return self._reads.change_marks(self._instrument_id, before, limit)

    def _in_short(self, positions: Collection[int]) -> dict[int, ChangeInShort]:
        """Return changes with their values, which lie all over the store: only those that are told of are read, and once."""
        missing = sorted(position for position in positions if position not in self._whole)
        self._whole |= self._reads.changes_in_short(self._instrument_id, missing)
        return {position: self._whole[position] for position in positions if position in self._whole}

    def _environments(self, until: datetime) -> dict[str, list[ChangeMark]]:
        """Return when what tells of the environment changed, by device and property, in order of time."""
        if self._environment is None:
            newest = {_subject(mark): mark.position for mark in reversed(self._changes_before(until))}
            told = self._in_short(newest.values())
            environment = {
                name: told[at].device for name, at in newest.items() if _is_environment(told.get(at))
            }
            self._environment = {}
            for device in sorted(set(environment.values()))[:_MOST_OF_DEVICES]:
                found = self._reads.change_marks(
                    self._instrument_id, limit=_MOST_OF_ENVIRONMENT, device=device
                )
                for mark in reversed(found):
                    if (name := _subject(mark)) in environment:
                        self._environment.setdefault(name, []).append(mark)
        return self._environment


class _Stretch:
    """The change log from a time backwards, without a gap, as far as it was read."""

    def __init__(self, until: datetime) -> None:
        self._until = until
        self._rows: list[ChangeMark] = []
        self._is_all = False

    def covers(self, at: datetime) -> bool:
        return at <= self._until and (self._is_all or self._rows[-1].at <= at)

    def before(self, at: datetime, read: Callable[[Place, int], list[ChangeMark]]) -> list[ChangeMark]:
        """Return the last `MOST_CHANGES` at a time, reading what is missing."""
        start = bisect_left(self._rows, -at.timestamp(), key=lambda row: -row.at.timestamp())
        n_missing = start + MOST_CHANGES - len(self._rows)
        if n_missing > 0 and not self._is_all:
            last = self._rows[-1] if self._rows else None
            more = read(Place(last.at, last.position) if last else Place(self._until, 2**62), n_missing)
            self._rows += more
            self._is_all = len(more) < n_missing
        return self._rows[start : start + MOST_CHANGES]


def _held(marks: Sequence[ChangeMark], times: Sequence[datetime]) -> list[ChangeMark]:
    """Return the changes whose values held at some times, both in order of time."""
    changed_at = [mark.at for mark in marks]
    places = {bisect_right(changed_at, moment) - 1 for moment in times}
    return [marks[place] for place in sorted(places) if place >= 0]


def _numbers(marks: Iterable[ChangeMark], told: Mapping[int, ChangeInShort]) -> list[tuple[datetime, float]]:
    values = ((mark.at, _number(told[mark.position].after)) for mark in marks if mark.position in told)
    return [(at, value) for at, value in values if value is not None]


def marks(written: Sequence[Event], found: Iterable[Event], until: datetime) -> list[Event]:
    """Return the events to draw, each once, in order of time."""
    return sorted({event for event in [*written, *found] if event.at <= until}, key=lambda event: event.at)


def _is_environment(change: ChangeInShort | None) -> bool:
    if change is None:
        return False
    return change.unit in _ENVIRONMENT_UNITS or bool(_ENVIRONMENT.search(change.property))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # a device may tell numbers as text
    except (TypeError, ValueError):
        return None


def _subject(change: ChangeMark) -> str:
    return f"{change.device} {change.property}"


def _event(mark: ChangeMark, told: ChangeInShort | None) -> Event:
    """Return a change as an event; without its values it only counts."""
    if told is None:
        return Event(mark.at, "change", _subject(mark), "", mark.device)
    before, after = _shown(told.before), _shown(told.after)
    what = f"{before} → {after}" if before is not None else f"→ {after}"
    href = f"/records/{told.record_id}"
    return Event(mark.at, "change", _subject(mark), what, mark.device, href, before, after)


def _shown(value: object) -> str | None:
    return None if value is None else number(value)
