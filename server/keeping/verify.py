"""Verifying a store or a backup of it: every chain, every signature, every checkpoint, without asking anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent.records.wire import CHAIN_START, PREV_HEADER, SKIPPED_FROM_HEADER, chain_skip
from server.errors import RefusedError
from server.forwarding.protocol import VIA
from server.ingest.evidence import is_signature_good
from server.keeping.checkpoints import Head, Tree, head_in, is_signed, leaf_of
from server.store import Reads
from server.store.audit_chain import audit_chain
from server.store.chains import chain_over, lines_of
from server.store.rows import StoredBatch
from server.store.tables import TABLES

_AT_ONCE = 200
MOST_PROBLEMS = 100
_HEX = re.compile("[0-9a-f]{64}")


@dataclass(slots=True)
class Verdict:
    """What was verified, and what is wrong: sentences for a person, at most `MOST_PROBLEMS`."""

    n_batches: int = 0
    n_records: int = 0
    n_given_up: int = 0
    n_checkpoints: int = 0
    n_audit_entries: int = 0
    problems: list[str] = field(default_factory=list)

    def complain(self, problem: str) -> None:
        """Note a problem."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def verify(reads: Reads, verifier: str | None = None, kept: Sequence[str] = ()) -> Verdict:
    """Verify everything.

    Parameters
    ----------
    reads : Reads
        Of the store.
    verifier : str, optional
        Key of the checkpoints (`server.keeping.checkpoints.Signer.verifier`); without one only what they say is compared.
    kept : sequence of str
        Checkpoints that were kept elsewhere: they tell even when the store's own were removed with what they speak of.
    """
    verdict, tree = Verdict(), Tree()
    stands: dict[tuple[str, str], tuple[int, str]] = {}
    heads = _heads(reads, verifier, kept, verdict)
    expected: dict[int, list[Head]] = {}
    for head in heads:
        expected.setdefault(head.n_batches, []).append(head)
    for batch in _all_batches(reads):
        if batch.batch_id != tree.n_leaves + 1:
            verdict.complain(f"Batch {tree.n_leaves + 1} is missing; {batch.batch_id} comes next.")
            tree.n_leaves = batch.batch_id - 1
        _check_batch(reads, batch, stands, verdict)
        tree.add(leaf_of(batch))
        for head in expected.pop(tree.n_leaves, ()):
            verdict.n_checkpoints += 1
            if head.root != tree.root.hex():
                verdict.complain(f"The checkpoint over {_batches(head)} has another root than they have now.")
    for n_batches in expected:
        verdict.complain(f"A checkpoint speaks of {n_batches} batches; there are {tree.n_leaves}.")
    _check_spools(reads, stands, verdict)
    _check_audit(reads, heads, verdict)
    return verdict


def _heads(reads: Reads, verifier: str | None, kept: Sequence[str], verdict: Verdict) -> list[Head]:
    """Return what the checkpoints say, in order; complain of those that are not signed or not what was signed."""
    heads = []
    for checkpoint in reversed(reads.checkpoints()):
        head, about = head_in(checkpoint.note), f"The checkpoint over {checkpoint.n_batches} batches"
        if verifier is not None and not is_signed(checkpoint.note, verifier):
            verdict.complain(f"{about} is not signed with this key.")
        if head is None or (head.n_batches, head.root) != (checkpoint.n_batches, checkpoint.root):
            verdict.complain(f"{about} has another root or number than was signed.")
        heads += [head] if head else []
    for note in kept:
        head = head_in(note)
        if head is None or (verifier is not None and not is_signed(note, verifier)):
            verdict.complain("A checkpoint kept elsewhere is none, or not signed with this key.")
        heads += [head] if head else []
    return sorted(heads, key=lambda head: head.n_batches)


def _batches(head: Head) -> str:
    return "1 batch" if head.n_batches == 1 else f"{head.n_batches} batches"


def _all_batches(reads: Reads) -> Iterator[StoredBatch]:
    after = 0
    while batches := reads.batches(after, _AT_ONCE):
        yield from batches
        after = batches[-1].batch_id


def _check_batch(
    reads: Reads, batch: StoredBatch, stands: dict[tuple[str, str], tuple[int, str]], verdict: Verdict
) -> None:
    name, where = (batch.agent_id, batch.spool_id), f"Batch {batch.batch_id}"
    mark, chain = stands.get(name, (0, CHAIN_START))
    verdict.n_batches += 1
    verdict.n_records += batch.n_lines - batch.n_known
    if not is_signature_good(reads, batch):
        verdict.complain(f"{where}: the signature of {batch.agent_id} does not fit.")
    if batch.headers.get(PREV_HEADER.lower(), batch.prev) != batch.prev:
        verdict.complain(f"{where}: the chain value before it is not the one that was signed.")
    _check_lines(batch, chain, verdict)
    if batch.n_known == 0 and not _continues(reads, batch, mark, chain):
        verdict.complain(f"{where}: it does not continue spool {batch.spool_id}, which stood at {mark}.")
    stands[name] = (batch.last_seq, batch.chain)


def _check_lines(batch: StoredBatch, chain: str, verdict: Verdict) -> None:
    try:
        lines = lines_of(batch)
    except RefusedError as error:
        verdict.complain(f"Batch {batch.batch_id}: {error}")
        return
    if lines is None:
        verdict.n_given_up += batch.n_lines
        return
    verdict.n_given_up += sum(line.startswith(b"#") for line in lines) if batch.body_sha256 else 0
    chains = [batch.prev, *chain_over(batch.prev, lines)]
    if len(lines) != batch.n_lines or chains[-1] != batch.chain:
        verdict.complain(f"Batch {batch.batch_id}: its lines are not those that were received.")
    elif batch.n_known and chains[batch.n_known] != chain:
        verdict.complain(f"Batch {batch.batch_id}: it overlaps with other records than those before it.")


def _continues(reads: Reads, batch: StoredBatch, mark: int, chain: str) -> bool:
    if batch.first_seq == mark + 1 and batch.prev == chain:
        return True
    if VIA in batch.headers and batch.first_seq > mark + 1:  # a site below withholds what came between
        return True
    skipped_from = batch.headers.get(SKIPPED_FROM_HEADER.lower())
    if skipped_from is None or not skipped_from.isdigit():
        return False
    first = int(skipped_from)
    before = chain if first == mark + 1 else reads.chain_at(batch.agent_id, batch.spool_id, first - 1)
    return before is not None and chain_skip(before, first, batch.first_seq - 1) == batch.prev


def _check_audit(reads: Reads, heads: list[Head], verdict: Verdict) -> None:
    """Compute the chain of the audit log anew, and compare it with where the checkpoints say it stood."""
    table = next(one for one in TABLES if one.name == "audit")
    stood = {head.audit.position for head in heads if head.audit}
    chains: dict[int, str] = {}
    chain, after = CHAIN_START, None
    while entries := reads.dump(table, after, _AT_ONCE):
        for position, *told, kept in entries:
            chain = audit_chain(chain, *told)
            if chain != kept:
                verdict.complain(
                    f"Audit entry {position} was changed, or entries before it were removed or added."
                )
                chain = kept if _HEX.fullmatch(kept) else chain  # what follows is judged by itself
            if position in stood:
                chains[position] = chain
            verdict.n_audit_entries += 1
        after = (entries[-1][0],)
    _check_audit_heads(heads, chains, verdict)


def _check_audit_heads(heads: list[Head], chains: dict[int, str], verdict: Verdict) -> None:
    """Complain of the first checkpoint that the audit log contradicts: those after it tell nothing more."""
    for head in heads:
        if head.audit is None or chains.get(head.audit.position) == head.audit.chain:
            continue
        how = "was written anew" if head.audit.position in chains else "was cut off"
        verdict.complain(
            f"The audit log {how}: the checkpoint over {_batches(head)} saw its entry {head.audit.position}, "
            f"chain {head.audit.chain[:16]}…"
        )
        return


def _check_spools(reads: Reads, stands: dict[tuple[str, str], tuple[int, str]], verdict: Verdict) -> None:
    for spool in reads.spools():
        if stands.pop((spool.agent_id, spool.spool_id), (0, CHAIN_START)) != (spool.mark, spool.chain):
            verdict.complain(
                f"Spool {spool.spool_id} of {spool.agent_id} does not stand where its last batch ends."
            )
    for agent_id, spool_id in stands:
        verdict.complain(f"Spool {spool_id} of {agent_id} is missing.")
