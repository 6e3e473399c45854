"""From a stored batch to what goes up of it: itself, or what the policy leaves of it, signed in its agent's stead."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.records.wire import (
    AGENT_HEADER,
    COUNT_HEADER,
    FIRST_SEQ_HEADER,
    INGEST_PATH,
    PREV_HEADER,
    SIGNATURE_HEADER,
    SPOOL_HEADER,
    TIME_HEADER,
    agent_id_of,
    chain_next,
    signing_bytes,
)
from server.access.rotation import EarlierKey, succession
from server.errors import StoreError
from server.forwarding.downstream import maker_of
from server.forwarding.identity import Keys
from server.forwarding.policy import Policy
from server.forwarding.protocol import PROXY_SPOOL, VIA, Introduction, Parcel
from server.keeping.checkpoints import leaf_of
from server.store.base import Reads
from server.store.chains import lines_of
from server.store.rows import Agent, StoredBatch

_LEVEL = 3


@dataclass(frozen=True, slots=True)
class End:
    """Where a spool ends: number of its last record, and the chain value there."""

    mark: int
    chain: str


EndOf = Callable[[Ed25519PrivateKey], End]
"""Asks the upstream where the spool of a derived key ends."""


class Packer:
    """Makes parcels of the batches of one log.

    Parameters
    ----------
    keys : Keys
        Of the site.
    policy : Policy
        What may go up.
    collector_id : str
        This collector, as it stands in `via`.
    upstream_id : str
        The one above: what has passed it is not sent there again.
    end_of : callable
        Where the upstream's spool for a derived key ends; asked once for each.
    """

    def __init__(
        self, keys: Keys, policy: Policy, collector_id: str, upstream_id: str, end_of: EndOf
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._collector_id = collector_id
        self._upstream_id = upstream_id
        self._end_of = end_of
        self._ends: dict[str, End] = {}

    def parcel(self, reads: Reads, batch: StoredBatch, now: datetime) -> Parcel:
        """Return what goes up of a batch; without a body when nothing does."""
        via = passed_by(batch)
        nothing = Parcel(number=batch.batch_id, leaf=leaf_sha256(batch))
        lines = lines_of(batch)
        if lines is None or self._upstream_id in via or self._collector_id in via:
            return nothing
        left = self._policy.apply(
            lines[batch.n_known :]
        )  # the first lines came, and went up, before this batch
        if not left:
            return nothing
        agent = reads.agent(batch.agent_id)
        if agent is None:
            raise StoreError(f"Agent {batch.agent_id} is missing from the store; restore the last backup.")
        earlier = succession(reads, agent)
        if left == lines and batch.body_sha256 is None and earlier is not None:
            signed = self._as_it_is(reads, agent, earlier, batch)
        else:
            signed = self._signed(reads, agent, left, now)
        via = (*via, self._collector_id)
        return nothing.model_copy(update={**signed, "via": via, "received_at": batch.received_at})

    def _as_it_is(
        self, reads: Reads, agent: Agent, earlier: tuple[EarlierKey, ...], batch: StoredBatch
    ) -> dict[str, object]:
        return {
            "by": self._introduced(reads, agent, None).model_copy(update={"earlier": earlier}),
            "headers": {name: value for name, value in batch.headers.items() if name != VIA},
            "path": batch.path,
            "body": _base64(batch.body or b""),
        }

    def _signed(self, reads: Reads, agent: Agent, lines: list[bytes], now: datetime) -> dict[str, object]:
        key = self._keys.in_stead_of(agent.agent_id)
        public_key = key.public_key().public_bytes_raw()
        agent_id = agent_id_of(public_key)
        end = self._ends.get(agent_id) or self._end_of(key)
        body = zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(line + b"\n" for line in lines))
        headers = {
            AGENT_HEADER: agent_id,
            SPOOL_HEADER: PROXY_SPOOL,
            FIRST_SEQ_HEADER: str(end.mark + 1),
            COUNT_HEADER: str(len(lines)),
            PREV_HEADER: end.chain,
            TIME_HEADER: now.isoformat(),
        }
        headers[SIGNATURE_HEADER] = _base64(key.sign(signing_bytes("POST", INGEST_PATH, headers, body)))
        chain = end.chain
        for line in lines:
            chain = chain_next(chain, line)
        self._ends[agent_id] = End(end.mark + len(lines), chain)
        return {
            "by": self._introduced(reads, agent, public_key),
            "headers": {
                **{name.lower(): value for name, value in headers.items()},
                "content-encoding": "zstd",
            },
            "path": INGEST_PATH,
            "body": _base64(body),
        }

    def _introduced(self, reads: Reads, agent: Agent, in_its_stead: bytes | None) -> Introduction:
        instrument = reads.instrument(agent.instrument_id)
        has_host = not self._policy.withholds_people
        made_by = maker_of(reads, agent.agent_id)
        return Introduction(
            public_key=_base64(in_its_stead or agent.public_key),
            instrument_id=agent.instrument_id,
            instrument_name=instrument.name if instrument else agent.instrument_id,
            site=instrument.site if instrument else "",
            hostname=agent.hostname if has_host else "",
            platform=agent.platform,
            version=agent.version,
            stands_for=made_by if in_its_stead or made_by != agent.agent_id else None,
        )


def passed_by(batch: StoredBatch) -> tuple[str, ...]:
    """Return the collectors that a batch has passed before it came here."""
    return tuple(batch.headers.get(VIA, "").split())


def leaf_sha256(batch: StoredBatch) -> str:
    """Return the hash of what the tree holds of a batch."""
    return hashlib.sha256(leaf_of(batch)).hexdigest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
