"""Appending batches: bytes, marks, and what each record adds to the tables.

Batches that were waiting together are appended together: decided one by one against the marks (which is all that can be
refused), then written table by table. The row of `counters` is taken first. Whoever holds it is the only one who appends,
in this process or another, until the commit: numbers come without gaps and in the order of commit.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import msgspec

from agent.records.wire import CHAIN_START
from server.errors import OutdatedError, RefusedError
from server.store import rows
from server.store.base import Done, Failed, Outcome
from server.store.filed import FiledRecords, Part
from server.store.joining import Join, join
from server.store.reads import SqlReads

BATCH_COLUMNS = (
    "batch_id", "spool_key", "instrument_key", "first_seq", "last_seq", "n_known", "prev", "chain", "path", "headers",
    "received_at", "body",
)  # fmt: skip
_QUARANTINE_COLUMNS = ("batch_id", "line", "seq", "reason", "message", "kind", "name", "received_at")


SpoolName = tuple[str, str]
"""Agent and spool."""
SpoolStands = tuple[int, int, str, int]
"""Key, mark, chain value, numbers skipped."""
SpoolStand = tuple[int, int, str, int, datetime]
"""The same, and when that was."""


Heard = tuple[str, datetime]
"""Agent, and when it was heard."""


class Numbers(NamedTuple):
    """The last numbers given out."""

    batch_id: int
    position: int


class Sender(NamedTuple):
    """How an agent stands now."""

    instrument_key: int
    instrument_id: str
    public_key: bytes
    revoked_at: Any

    def is_still(self, agent: rows.Agent) -> bool:
        """Return whether the agent may send, with the same key and of the same instrument."""
        own = (self.instrument_id, self.public_key)
        return self.revoked_at is None and own == (agent.instrument_id, agent.public_key)


class Held(NamedTuple):
    """What appending begins with."""

    numbers: Numbers
    spools: dict[SpoolName, SpoolStands]
    """Those that there are."""
    senders: dict[str, Sender]
    """By the ids of agents."""


class Noted(NamedTuple):
    """What appending leaves behind, beside records."""

    numbers: Numbers
    batches: list[tuple[Any, ...]]
    """Rows to add, in the order of `BATCH_COLUMNS`."""
    spools: list[SpoolStand]
    heard: list[Heard]


@dataclass(slots=True)
class _Standing:
    """Where a spool stands while a group of batches is appended to it."""

    spool_key: int
    """0 until the spool is there."""
    mark: int
    chain: str
    n_skipped: int
    at: datetime | None = None
    pending: list[rows.Batch] = field(default_factory=list)
    skips: dict[int, str] = field(default_factory=dict)

    def chain_at(self, seq: int) -> str | None:
        """Return the chain value after `seq` as far as this group knows it."""
        if seq == self.mark:
            return self.chain
        for batch in self.pending:
            if batch.first_seq <= seq <= batch.last_seq:
                return batch.lines[seq - batch.first_seq].chain
        return self.skips.get(seq)


class _Taken(NamedTuple):
    """A batch that will be added, with its number."""

    batch_id: int
    batch: rows.Batch
    joined: Join
    spool: _Standing


class _Skip(NamedTuple):
    """A range of a spool that never comes, and the batch after it."""

    spool: _Standing
    first_seq: int
    last_seq: int
    batch: rows.Batch


@dataclass(slots=True)
class _Group:
    """What a group of batches will add."""

    numbers: Numbers
    standings: dict[SpoolName, _Standing]
    senders: dict[str, Sender]
    position: int
    """The last that was given out, also to what was taken here."""
    batches: list[_Taken] = field(default_factory=list)
    skips: list[_Skip] = field(default_factory=list)
    filed: list[Part] = field(default_factory=list)
    flagged: list[tuple[Any, ...]] = field(default_factory=list)
    heard: dict[str, datetime] = field(default_factory=dict)


class SqlAppends(SqlReads):
    """The part of the writes that takes batches; every method runs inside the writer's transaction."""

    filed_records: ClassVar[type[FiledRecords]]

    def append_all(self, batches: Sequence[rows.Batch]) -> list[Outcome]:
        """Append batches in order; each outcome is an `rows.Appended` or the refusal."""
        numbers, spools, senders = self.hold_all({(batch.agent_id, batch.spool_id) for batch in batches})
        standings = {name: _Standing(*found) for name, found in spools.items()}
        group = _Group(numbers, standings, senders, numbers.position)
        outcomes = [self._decided(batch, group) for batch in batches]
        self._add(group)
        return outcomes

    @abstractmethod
    def hold_all(self, names: Collection[SpoolName]) -> Held:
        """Hold the row of `counters` until the commit; return what is in it, and how these spools and their agents stand."""

    # Deciding

    def _decided(self, batch: rows.Batch, group: _Group) -> Outcome:
        if batch.verified is not None and not group.senders[batch.agent_id].is_still(batch.verified):
            return Failed(OutdatedError(f"Agent {batch.agent_id} has another key, or was revoked or moved."))
        spool = self._standing(batch, group)
        try:
            joined = join(batch, spool.mark, lambda seq: self._chain(batch, spool, seq))
        except RefusedError as refused:
            return Failed(refused)
        group.heard[batch.agent_id] = batch.received_at
        flagged = tuple([line.flag for line in batch.lines if line.flag is not None])
        if joined.n_known == len(batch.lines):
            return Done(rows.Appended(spool.mark, 0, flagged))
        self._take(batch, joined, spool, group)
        return Done(rows.Appended(batch.last_seq, len(batch.lines) - joined.n_known, flagged))

    def _standing(self, batch: rows.Batch, group: _Group) -> _Standing:
        name = (batch.agent_id, batch.spool_id)
        if name not in group.standings:
            group.standings[name] = _Standing(0, 0, CHAIN_START, 0)
        return group.standings[name]

    def _chain(self, batch: rows.Batch, spool: _Standing, seq: int) -> str | None:
        return spool.chain_at(seq) or self.chain_at(batch.agent_id, batch.spool_id, seq)

    def _take(self, batch: rows.Batch, joined: Join, spool: _Standing, group: _Group) -> None:
        if joined.skip is not None:
            first, last = joined.skip
            group.skips.append(_Skip(spool, first, last, batch))
            spool.n_skipped += last - spool.mark
            spool.skips[last] = batch.prev
        last_line = batch.lines[-1]
        batch_id = group.numbers.batch_id + len(group.batches) + 1
        group.batches.append(_Taken(batch_id, batch, joined, spool))
        new = batch.lines[joined.n_known :]
        filed = [line for line in new if line.filed is not None]
        if len(filed) < len(new):
            group.flagged += [
                self._flag_values(batch_id, batch, line) for line in new if line.flag is not None
            ]
        first, group.position = group.position + 1, group.position + len(filed)
        group.filed.append(Part(batch_id, batch, filed, range(first, group.position + 1)))
        spool.pending.append(batch)
        spool.mark, spool.chain, spool.at = last_line.seq, last_line.chain, batch.received_at

    def _flag_values(self, batch_id: int, batch: rows.Batch, line: rows.Line) -> tuple[Any, ...]:
        assert line.flag is not None
        number, bound = line.seq - batch.first_seq, self._connection.bound
        told = (line.flag.reason, bound(line.flag.message), bound(line.kind), bound(line.record_id))
        return batch_id, number, line.seq, *told, bound(batch.received_at)

    # Writing

    def _add(self, group: _Group) -> None:
        connection = self._connection
        self._add_spools(group)
        connection.add("quarantine", _QUARANTINE_COLUMNS, group.flagged)
        connection.do_each(
            "INSERT INTO skips (spool_key, last_seq, first_seq, chain, noted_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (one.spool.spool_key, one.last_seq, one.first_seq, one.batch.prev, one.batch.received_at)
                for one in group.skips
            ],
        )
        self.note_all(
            Noted(
                numbers=Numbers(group.numbers.batch_id + len(group.batches), group.position),
                batches=[self._batch_values(*one, group.senders) for one in group.batches],
                spools=[
                    (one.spool_key, one.mark, one.chain, one.n_skipped, one.at)
                    for one in group.standings.values()
                    if one.at is not None
                ],
                heard=list(group.heard.items()),
            )
        )
        instruments = {sender.instrument_id: sender.instrument_key for sender in group.senders.values()}
        self.filed_records(connection, instruments).add(group.filed)

    def _add_spools(self, group: _Group) -> None:
        """Add the spools that are new, and say in the group which key each has."""
        new = {
            name: spool.pending[0].received_at
            for name, spool in group.standings.items()
            if spool.pending and not spool.spool_key
        }
        for name, key in self.new_spools(new).items() if new else ():
            group.standings[name].spool_key = key

    @abstractmethod
    def new_spools(self, began: Mapping[SpoolName, datetime]) -> dict[SpoolName, int]:
        """Add spools that began then, and return their keys."""

    @abstractmethod
    def note_all(self, noted: Noted) -> None:
        """Write down what appending leaves behind."""

    def _batch_values(
        self, batch_id: int, batch: rows.Batch, joined: Join, spool: _Standing, senders: dict[str, Sender]
    ) -> tuple[Any, ...]:
        return (
            batch_id,
            spool.spool_key,
            senders[batch.agent_id].instrument_key,
            batch.first_seq,
            batch.last_seq,
            joined.n_known,
            batch.prev,
            batch.lines[-1].chain,
            batch.path,
            msgspec.json.encode(batch.headers).decode(),
            self._connection.bound(batch.received_at),
            batch.body,
        )
