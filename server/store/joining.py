"""Where a batch joins what is already stored: the rule of marks, chains, overlaps and skips, the same for every store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.records.wire import chain_skip
from server.errors import RefusedError
from server.store.rows import Batch, Document


@dataclass(frozen=True, slots=True)
class Join:
    """How a batch joins: how many of its lines are already stored, and which range before it was given up."""

    n_known: int
    skip: tuple[int, int] | None = None


def join(batch: Batch, mark: int, chain_at: Callable[[int], str | None]) -> Join:
    """Return how `batch` joins a spool that stands at `mark`.

    What is missing before a forwarded batch was withheld by a site's policy; the chain value that the agent signed with the
    batch (`batch.prev`) starts anew there.

    Parameters
    ----------
    batch : Batch
        With the chain value after each line already computed from ``batch.prev``.
    mark : int
        Everything up to it is stored.
    chain_at : callable
        Sequence number to the chain value after it, None where none is known.

    Raises
    ------
    RefusedError
        409 ``gap`` when records are missing in between; 409 ``fork`` when the chains disagree.
    """
    if batch.first_seq <= mark:
        return _overlap(batch, mark, chain_at)
    if batch.first_seq == mark + 1 and batch.prev == chain_at(mark):
        return Join(n_known=0)
    if batch.is_forwarded and batch.first_seq > mark + 1:
        return Join(n_known=0, skip=(mark + 1, batch.first_seq - 1))
    if batch.skipped_from is not None and batch.skipped_from <= mark + 1:
        return _skip(batch, batch.skipped_from, chain_at)
    if batch.first_seq > mark + 1:
        raise _gap(batch, mark)
    raise _fork(batch, mark)


def _overlap(batch: Batch, mark: int, chain_at: Callable[[int], str | None]) -> Join:
    last_known = min(mark, batch.last_seq)
    n_known = last_known - batch.first_seq + 1
    # One comparison vouches for all of it: a chain value depends on every record before it.
    if batch.lines[n_known - 1].chain != chain_at(last_known):
        raise _fork(batch, last_known)
    return Join(n_known)


def _skip(batch: Batch, skipped_from: int, chain_at: Callable[[int], str | None]) -> Join:
    before = chain_at(skipped_from - 1)
    if before is None or chain_skip(before, skipped_from, batch.first_seq - 1) != batch.prev:
        raise _fork(batch, skipped_from - 1)
    return Join(n_known=0, skip=(skipped_from, batch.first_seq - 1))


def _gap(batch: Batch, mark: int) -> RefusedError:
    return RefusedError(
        409,
        "gap",
        f"Expected the batch to start at {mark + 1}; it starts at {batch.first_seq}. Send again from {mark + 1}, or say "
        "with Scopestamp-Skipped-From that the records between can never be sent.",
        expected=mark + 1,
    )


def _fork(batch: Batch, seq: int) -> RefusedError:
    return RefusedError(
        409,
        "fork",
        f"Spool {batch.spool_id} has another history here: the chain values at {seq} differ. Another copy of this "
        "computer's disk has sent, or the spool was altered. Start a new spool; nothing stored was changed.",
    )


def check_replaces(there: Document | None, replaces: int | None) -> int:
    """Return the version of the document there is (0: none), or refuse with 409 when `replaces` is another one."""
    version = 0 if there is None else there.version
    if replaces is not None and replaces != version:
        by = f" by {there.changed_by}" if there else ""
        raise RefusedError(
            409,
            "changed_meanwhile",
            f"Expected version {replaces}; it is {version} now, changed{by}. Load it again and repeat the change.",
        )
    return version
