"""What agents send: batches with their chains, as they come and as they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from agent.records.wire import Flagged
from server.store.rows.fleet import Agent
from server.store.rows.records import Filed


@dataclass(frozen=True, slots=True)
class Spool:
    """How far one spool of one agent has come."""

    agent_id: str
    spool_id: str
    mark: int
    chain: str
    n_skipped: int
    first_received_at: datetime
    last_received_at: datetime


class Line(Struct, frozen=True, gc=False):
    """One line of a batch: its bytes, the chain value after it, and either where it is filed or why it is not."""

    seq: int
    raw: bytes
    chain: str
    filed: Filed | None = None
    flag: Flagged | None = None
    kind: str | None = None
    record_id: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A verified batch, ready to be appended."""

    agent_id: str
    spool_id: str
    first_seq: int
    prev: str
    skipped_from: int | None
    lines: tuple[Line, ...]
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    received_at: datetime
    is_forwarded: bool = False
    """A lower site sent it on; batches before it that the site's policy withholds never come."""
    verified: Agent | None = None
    """Against which agent its signature was verified; it is only taken while the agent stands so. None: that is settled."""

    @property
    def last_seq(self) -> int:
        """Sequence number of the last line."""
        return self.first_seq + len(self.lines) - 1

    @property
    def n_bytes(self) -> int:
        """Size of its lines as they came."""
        return sum([len(line.raw) for line in self.lines])


@dataclass(frozen=True, slots=True)
class Appended:
    """What appending a batch did."""

    acked: int
    n_added: int
    flagged: tuple[Flagged, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as it was received, with all that is needed to check its signature again.

    `prev` and `chain` are the chain values before its first and after its last line; the first `n_known` lines were
    stored before it came. What retention has pruned says so with `body_sha256`, the hash of the body as it was
    received: the body then has a line ``#<sha256 of the line>`` for every line given up, and is None when all are.
    """

    batch_id: int
    agent_id: str
    spool_id: str
    first_seq: int
    n_lines: int
    n_known: int
    prev: str
    chain: str
    path: str
    headers: dict[str, str]
    body: bytes | None = field(repr=False)
    body_sha256: str | None
    received_at: datetime

    @property
    def last_seq(self) -> int:
        """Sequence number of the last line."""
        return self.first_seq + self.n_lines - 1


class BatchLink(NamedTuple):
    """Of a batch what the tree of checkpoints holds: whose it is, which records are new in it, and the chain over them."""

    # A named tuple, without the body: a checkpoint may be over a million of them.
    agent_id: str
    spool_id: str
    first_seq: int
    last_seq: int
    n_known: int
    prev: str
    chain: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed head of the tree over the first `n_batches` batches, and the right edge from which the next is computed."""

    n_batches: int
    root: str
    edge: str
    note: str
    made_at: datetime
