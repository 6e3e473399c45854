"""Fills a store with the history of the fleet, by the code through which any agent's batches go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial

from server.demo_fleet.history import History
from server.demo_fleet.lines import VERSION
from server.demo_fleet.planned import PLANNED_WEEKS, write_schedules
from server.demo_fleet.script import Fault, Span, fleet
from server.demo_fleet.spool import Spool
from server.errors import CollectorError, SettingsError, StoreError
from server.store import Failed, Job, Store
from server.store.base import Writes
from server.store.rows import Agent, Batch, Instrument

DOCUMENT = "demo_fleet"
_WEEKS_AT_ONCE = 13
_BATCHES_AT_ONCE = 100
_SPOOL = "history"


@dataclass(slots=True)
class Filled:
    """What was filled in, and the truth about it."""

    n_instruments: int
    n_weeks: int
    seed: int
    ends_at: datetime
    n_records: int = 0
    faults: list[Fault] = field(default_factory=list)

    def told(self) -> dict[str, object]:
        """Return it as JSON tells it."""
        return {
            "instruments": self.n_instruments,
            "weeks": self.n_weeks,
            "seed": self.seed,
            "ends_at": self.ends_at.isoformat(),
            "records": self.n_records,
            "faults": [{**asdict(one), "at": one.at.isoformat()} for one in self.faults],
        }


def fill(
    store: Store,
    n_instruments: int,
    years: float,
    seed: int,
    now: datetime,
    tell: Callable[[int, int], None] = lambda done, of: None,
) -> Filled:
    """Fill an empty store.

    Parameters
    ----------
    store : Store
        With no instrument in it; nobody else writes to it meanwhile.
    n_instruments, years, seed : int, float, int
        How large; the same numbers and the same `now` give the same bytes.
    now : datetime
        When history ends.
    tell : callable
        Called with how many steps are done, of how many.

    Raises
    ------
    SettingsError
        The store holds instruments already.
    """
    with store.reading() as reads:
        if reads.instruments():
            raise SettingsError(
                "The data folder holds instruments already; choose an empty one for the demo fleet."
            )
    span = Span(now, max(1, round(years * 365.25 / 7)))
    histories = [History(one, span) for one in fleet(n_instruments, span, seed)]
    faults = [one.instrument.fault for one in histories if one.instrument.fault is not None]
    filled = Filled(n_instruments, span.n_weeks, seed, now, faults=faults)
    scopes = [one.instrument for one in histories]
    agents = [_let_in(store, history, span) for history in histories]
    planned_from = span.week(max(0, span.n_weeks - PLANNED_WEEKS))
    commit(store, [lambda writes: write_schedules(writes, scopes, planned_from)])
    spools = [Spool(history.lines, _SPOOL) for history in histories]
    for first in range(0, span.n_weeks, _WEEKS_AT_ONCE):
        last = min(first + _WEEKS_AT_ONCE, span.n_weeks)
        batches = (
            batch
            for history, agent, spool in zip(histories, agents, spools, strict=True)
            for batch in _batches(history, agent, spool, span, first, last)
        )
        for group in _grouped(batches):
            filled.n_records += sum(len(batch.lines) for batch in group)
            commit(store, group)
        tell(last, span.n_weeks)
    commit(store, [lambda writes: _keep(writes, filled)])
    commit(store, [partial(history.planned.confirms, now=now) for history in histories])
    return filled


def commit(store: Store, jobs: list[Job]) -> None:
    """Run jobs, each of which must succeed."""
    for outcome in store.write(jobs):
        if isinstance(outcome, Failed):
            raise (
                outcome.error if isinstance(outcome.error, CollectorError) else StoreError(str(outcome.error))
            )


def agent_of(history: History, enrolled_at: datetime) -> Agent:
    """Return the agent of an instrument."""
    one, lines = history.instrument, history.lines
    host = f"scope-pc-{one.number + 1}"
    return Agent(
        lines.agent_id, lines.public_key, one.instrument_id, host, "Windows 11", VERSION, enrolled_at
    )


def _let_in(store: Store, history: History, span: Span) -> Agent:
    one, agent = history.instrument, agent_of(history, span.week(0))
    row = Instrument(one.instrument_id, one.name, one.site, span.week(0))

    def let_in(writes: Writes) -> None:
        writes.put_instrument(row)
        writes.put_agent(agent)
        for entry in history.logbook():
            writes.add_entry(entry)

    commit(store, [let_in])
    return agent


def _batches(
    history: History, agent: Agent, spool: Spool, span: Span, first: int, last: int
) -> Iterator[Batch]:
    lines = history.weeks(first, last)
    at = min(span.week(last), span.ends_at)
    silent_from = history.is_silent_from
    if silent_from is not None:
        at = min(at, silent_from)
    for begin in range(0, len(lines), 250):
        yield spool.batch(lines[begin : begin + 250], agent, at)


def _grouped(batches: Iterator[Batch]) -> Iterator[list[Job]]:
    group: list[Job] = []
    for batch in batches:
        group.append(batch)
        if len(group) == _BATCHES_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def filled_in(store: Store) -> Filled | None:
    """Return what this store was filled with, None when nothing was."""
    with store.reading() as reads:
        found = reads.document(DOCUMENT, "fleet")
    if found is None:
        return None
    told = json.loads(found.body)
    span = Span(datetime.fromisoformat(told["ends_at"]), told["weeks"])
    scopes = fleet(told["instruments"], span, told["seed"])
    faults = [one.fault for one in scopes if one.fault is not None]
    return Filled(len(scopes), span.n_weeks, told["seed"], span.ends_at, told["records"], faults)


def _keep(writes: Writes, filled: Filled) -> None:
    writes.put_document(DOCUMENT, "fleet", json.dumps(filled.told()), filled.ends_at, "demo fleet")
