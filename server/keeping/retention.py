"""Giving up what nobody will ask for: by kind and age, after the settings. QC and acquisitions are never touched.

Old heartbeats and snapshots are first thinned to one an hour, the first of each hour; later they may go altogether. What was
given up leaves its hash behind, so the store can be verified as before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from server.settings import RetentionSettings
from server.store import Job, Reads, Store
from server.store.rows import OldRecord

KIND = "retention"
"""Kind of the documents in which each rule keeps how far it has come."""
_AT_ONCE = 500
_BY = "retention"


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to a kind of record beyond an age."""

    kind: str
    after_days: int
    keeps_hourly: bool

    @property
    def name(self) -> str:
        """Under which it keeps its place."""
        return f"{'thin' if self.keeps_hourly else 'drop'} {self.kind}"


def rules_of(settings: RetentionSettings) -> list[Rule]:
    """Return the rules that are set; 0 days is never."""
    rules = [
        Rule("heartbeat", settings.thin_heartbeats_after_days, True),
        Rule("heartbeat", settings.drop_heartbeats_after_days, False),
        Rule("state_snapshot", settings.thin_snapshots_after_days, True),
        Rule("state_snapshot", settings.drop_snapshots_after_days, False),
        Rule("state_change", settings.drop_changes_after_days, False),
        Rule("agent_event", settings.drop_events_after_days, False),
    ]
    return [rule for rule in rules if rule.after_days > 0]


def count(store: Store, settings: RetentionSettings, now: datetime) -> dict[str, int]:
    """Return how many records each rule would give up now."""
    counts = {}
    with store.reading() as reads:
        for rule in rules_of(settings):
            pass_ = _Pass(rule, _place(reads, rule))
            counts[rule.name] = 0
            while chosen := pass_.next(reads, now):
                counts[rule.name] += len(chosen.records)
    return counts


def apply(
    store: Store,
    settings: RetentionSettings,
    now: datetime,
    do: Callable[[Job], Any],
    goes_on: Callable[[], bool] = lambda: True,
) -> dict[str, int]:
    """Give records up in small transactions, between which others write.

    Parameters
    ----------
    store : Store
        Where they are.
    settings : RetentionSettings
        Which.
    now : datetime
        What ages are counted from.
    do : callable
        Does a job in a transaction.
    goes_on : callable, optional
        Asked before each transaction; once it says no, the rest is left for another time, which goes on from there.

    Returns
    -------
    dict
        How many were given up, by rule.
    """
    counts = {}
    for rule in rules_of(settings):
        with store.reading() as reads:
            pass_ = _Pass(rule, _place(reads, rule))
        counts[rule.name] = 0
        while goes_on():
            with store.reading() as reads:
                chosen = pass_.next(reads, now)
            if chosen is None:
                break
            counts[rule.name] += do(_giving_up(rule, chosen, now))
    return counts


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Records to give up, and the place behind them: the last position looked at, and the hours already kept."""

    records: list[OldRecord]
    position: int
    hours: dict[str, str]


class _Pass:
    """Goes through the old records of a kind, from where the last pass ended."""

    def __init__(self, rule: Rule, place: dict[str, Any]) -> None:
        self._rule = rule
        self._position: int = place.get("position", 0)
        self._hours: dict[str, str] = place.get("hours", {})
        self._until: int | None = None

    def next(self, reads: Reads, now: datetime) -> _Chosen | None:
        """Return the next ones to give up, None at the end."""
        before = now - timedelta(days=self._rule.after_days)
        if (
            self._until is None
        ):  # beyond it nothing is old: without it the last question would read the whole store
            self._until = reads.last_received_before(before)
        found = reads.old_records(self._rule.kind, before, self._position, _AT_ONCE, self._until)
        if not found:
            return None
        self._position = found[-1].position
        chosen = [
            record for record in found if not (self._rule.keeps_hourly and self._is_first_of_hour(record))
        ]
        return _Chosen(chosen, self._position, dict(self._hours))

    def _is_first_of_hour(self, record: OldRecord) -> bool:
        hour = f"{record.captured_at:%Y-%m-%dT%H}"
        is_first = self._hours.get(record.instrument_id) != hour
        self._hours[record.instrument_id] = hour
        return is_first


def _place(reads: Reads, rule: Rule) -> dict[str, Any]:
    document = reads.document(KIND, rule.name)
    place: dict[str, Any] = json.loads(document.body) if document else {}
    return place


def _giving_up(rule: Rule, chosen: _Chosen, now: datetime) -> Job:
    def job(writes: Any) -> int:
        n_given_up: int = writes.prune(chosen.records)
        place = {"position": chosen.position, "hours": chosen.hours}
        writes.put_document(KIND, rule.name, json.dumps(place), now, _BY)
        return n_given_up

    return job
