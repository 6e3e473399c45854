"""The fleet: every instrument at a glance; sorted, filtered and counted, however many there are.

What sorting needs of all instruments is asked in a few words (`Reads.fleet_marks`); only those on the page are looked at
closely.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from server.alerts.book import DOCUMENT as ALERT
from server.alerts.rules import Rule, overdue_after_days, rules_of
from server.health import Health, Presence, health_in, presence_of
from server.order import natural
from server.quality.schedules import groups
from server.sites import is_within, places_of
from server.store.base import Reads
from server.store.rows import QC_RANKS, FleetMark, QcSeriesRow

FACTS = "instrument_facts"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_RUNS_AT_MOST = timedelta(days=2)
"""An acquisition that never told of its end does not run for ever."""


class Facts(BaseModel):
    """What staff say of an instrument where its description does not, or says it badly."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = Field(
        default="", max_length=120, description="Make and model; empty: as the agent tells it."
    )


class _Firing(msgspec.Struct, frozen=True):
    instrument_id: str
    severity: str
    state: str


class Identity(NamedTuple):
    """Which instrument it is, and which others are like it."""

    instrument_id: str
    name: str
    model: str
    groups: tuple[str, ...]


class Glance(NamedTuple):
    """One instrument in a few words."""

    mark: FleetMark
    model: str
    groups: tuple[str, ...]
    presence: Presence
    is_in_use: bool
    n_alerts: int
    has_critical: bool

    @property
    def qc(self) -> str:
        """The worst verdict of its newest runs, ``none`` without a run."""
        return QC_RANKS[self.mark.qc_rank]

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look at it today."""
        return bool(self.n_alerts) or self.presence is Presence.SILENT or self.qc == "fail"

    @property
    def trouble(self) -> int:
        """How soon somebody should look at it."""
        critical, fails = 16 * self.has_critical, 8 * (self.qc == "fail")
        silent, warns = 2 * (self.presence is Presence.SILENT), 1 * (self.qc == "warn")
        return critical + fails + 4 * bool(self.n_alerts) + silent + warns


@dataclass(frozen=True, slots=True)
class Row:
    """One instrument as the page shows it."""

    glance: Glance
    health: Health
    series: tuple[QcSeriesRow, ...]
    """The worst first, the newest of each routine and light path."""
    overdue: frozenset[str]
    """Those of the series whose newest run is so old that its verdict says little."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which instruments; what is empty does not matter."""

    text: str = ""
    site: str = ""
    group: str = ""
    model: str = ""
    status: str = ""

    def takes(self, glance: Glance) -> bool:
        """Return whether an instrument is one of them, whatever its status."""
        mark, wanted = glance.mark, self.text.casefold()
        return (
            (not self.site or is_within(mark.site, (self.site,)))
            and (not self.group or self.group in glance.groups)
            and (not self.model or glance.model == self.model)
            and (
                not wanted
                or wanted in f"{mark.name}\n{mark.instrument_id}\n{mark.site}\n{glance.model}".casefold()
            )
        )


STATUSES: dict[str, Callable[[Glance], bool]] = {
    "attention": lambda one: one.needs_attention,
    "alert": lambda one: one.n_alerts > 0,
    "silent": lambda one: one.presence is Presence.SILENT,
    "never": lambda one: one.presence is Presence.NEVER,
    "qc_fail": lambda one: one.qc == "fail",
    "qc_warn": lambda one: one.qc == "warn",
    "qc_pass": lambda one: one.qc == "pass",
    "qc_none": lambda one: one.qc == "none",
    "in_use": lambda one: one.is_in_use,
}
SORTS: dict[str, Callable[[Glance], tuple]] = {
    "trouble": lambda one: (-one.trouble, *_name(one)),
    "name": lambda one: _name(one),
    "site": lambda one: (one.mark.site.casefold(), *_name(one)),
    "model": lambda one: (not one.model, one.model.casefold(), *_name(one)),
    "qc": lambda one: (-one.mark.qc_rank, *_name(one)),
    "last_qc": lambda one: (one.mark.qc_at or _NEVER, *_name(one)),
    "heard": lambda one: (one.mark.heard_at or _NEVER, *_name(one)),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the fleet, and what can be said of the whole of it."""

    rows: tuple[Row, ...]
    n_all: int
    n_found: int
    counts: Mapping[str, int]
    sites: tuple[str, ...]
    groups: tuple[str, ...]
    models: tuple[str, ...]
    after: str | None


def identities(reads: Reads) -> list[Identity]:
    """Return which instruments there are, by name."""
    facts, members = _facts(reads), _groups_of(reads)
    return [
        Identity(
            one.instrument_id,
            one.name,
            (said.model if (said := facts.get(one.instrument_id)) else "") or one.model,
            tuple(members.get(one.instrument_id, ())),
        )
        for one in reads.instruments()
    ]


def glances(reads: Reads, now: datetime, silent_after: timedelta) -> list[Glance]:
    """Return all instruments by name."""
    facts, members = _facts(reads), _groups_of(reads)
    firing = _firing(reads)
    return [
        _glance(
            mark,
            facts.get(mark.instrument_id),
            members.get(mark.instrument_id, ()),
            firing,
            now,
            silent_after,
        )
        for mark in reads.fleet_marks()
    ]


def page_of(
    reads: Reads,
    wanted: Filter,
    now: datetime,
    silent_after: timedelta,
    sort: str = "trouble",
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Return the instruments that are wanted and stand behind `after` (an instrument's id) in that order.

    Statuses are counted over all instruments that the filter takes apart from its status.
    """
    everything = glances(reads, now, silent_after)
    taken = [one for one in everything if wanted.takes(one)]
    counts = {name: sum(map(holds, taken)) for name, holds in STATUSES.items()}
    holds = STATUSES.get(wanted.status)
    found = [one for one in taken if holds(one)] if holds else taken
    key = SORTS.get(sort, SORTS["trouble"])
    found.sort(key=key)
    start = 0
    if (last := next((one for one in everything if one.mark.instrument_id == after), None)) is not None:
        start = bisect_right(found, key(last), key=key)  # whether or not the filter still takes it
    shown = found[start : start + limit]
    return Page(
        rows=tuple(_rows(reads, shown, now, silent_after)),
        n_all=len(everything),
        n_found=len(found),
        counts=counts,
        sites=_names(place for site in {one.mark.site for one in everything} for place in places_of(site)),
        groups=_names(group for one in everything for group in one.groups),
        models=_names(one.model for one in everything),
        after=shown[-1].mark.instrument_id if start + limit < len(found) else None,
    )


def model_of(reads: Reads, instrument_id: str, told: str) -> str:
    """Return the model of an instrument: what staff say, else what its description tells."""
    document = reads.document(FACTS, instrument_id)
    return (Facts.model_validate_json(document.body).model if document else "") or told


def _facts(reads: Reads) -> dict[str, Facts]:
    return {one.key: Facts.model_validate_json(one.body) for one in reads.documents(FACTS)}


def _groups_of(reads: Reads) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for group, ids in groups(reads).items():
        for instrument_id in ids:
            members.setdefault(instrument_id, []).append(group)
    return members


def _glance(
    mark: FleetMark,
    facts: Facts | None,
    in_groups: Iterable[str],
    firing: Mapping[str, Counter[str]],
    now: datetime,
    silent_after: timedelta,
) -> Glance:
    presence = presence_of(mark.heard_at, now, silent_after)
    alerts = firing.get(mark.instrument_id)
    return Glance(
        mark=mark,
        model=(facts.model if facts else "") or mark.model,
        groups=tuple(in_groups),
        presence=presence,
        is_in_use=presence is Presence.REPORTING
        and mark.running_at is not None
        and now - mark.running_at < _RUNS_AT_MOST,
        n_alerts=alerts.total() if alerts else 0,
        has_critical=bool(alerts and alerts["critical"]),
    )


def _firing(reads: Reads) -> dict[str, Counter[str]]:
    """Return how many alerts of each severity fire, by instrument; ten thousand of them must not cost a second."""
    found: dict[str, Counter[str]] = {}
    for document in reads.documents(ALERT):
        one = msgspec.json.decode(document.body, type=_Firing)
        if one.state == "firing":
            found.setdefault(one.instrument_id, Counter())[one.severity] += 1
    return found


def _rows(reads: Reads, shown: list[Glance], now: datetime, silent_after: timedelta) -> list[Row]:
    ids = [one.mark.instrument_id for one in shown]
    near = {row.instrument.instrument_id: row for row in reads.fleet(ids)}
    rules = rules_of(reads)
    series: dict[str, list[QcSeriesRow]] = {}
    for one in reads.qc_standing(ids):
        series.setdefault(one.instrument_id, []).append(one)
    return [
        Row(
            glance,
            health_in(near[glance.mark.instrument_id], now, silent_after),
            tuple(sorted(series.get(glance.mark.instrument_id, ()), key=lambda one: -_rank(one.status))),
            _overdue(series.get(glance.mark.instrument_id, ()), rules, glance.mark.site, now),
        )
        for glance in shown
    ]


def _overdue(
    series: Iterable[QcSeriesRow], rules: Sequence[Rule], site: str, now: datetime
) -> frozenset[str]:
    found = set()
    for one in series:
        days = overdue_after_days(rules, one.instrument_id, site, one.routine)
        if days is not None and now - one.captured_at > timedelta(days=days):
            found.add(one.series_key)
    return frozenset(found)


def _rank(status: str) -> int:
    return QC_RANKS.index(status) if status in QC_RANKS else 0


def _name(one: Glance) -> tuple[tuple[str | int, ...], str]:
    return natural(one.mark.name), one.mark.instrument_id


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))
