"""Who a collector is: a random id that its store carries, and a key in its data folder with which it signs what it forwards.

For every agent whose records a policy changes, a key of its own is derived from that key (HKDF, RFC 5869): each is an agent at
the upstream, bound to one instrument like any other, and nobody but this site can sign with it.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agent.records.wire import agent_id_of
from server.collector import Collector
from server.private_keys import private_key_at
from server.store.base import Reads, Writes

KEY_FILE = "forward.key"
DOCUMENT = "collector_id"
_PURPOSE = b"scopestamp forwarding v1 "


class Keys:
    """The key of a site, and those derived from it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.key = key
        self._derived: dict[str, Ed25519PrivateKey] = {}

    @property
    def agent_id(self) -> str:
        """Fingerprint of the site's key."""
        return agent_id_of(self.key.public_key().public_bytes_raw())

    def in_stead_of(self, agent_id: str) -> Ed25519PrivateKey:
        """Return the key that signs for an agent whose own signature cannot hold any more."""
        if agent_id not in self._derived:
            self._derived[agent_id] = Ed25519PrivateKey.from_private_bytes(self._secret_for(agent_id))
        return self._derived[agent_id]

    @property
    def names(self) -> bytes:
        """Secret that makes names of what is withheld."""
        return self._secret_for("names")

    def _secret_for(self, purpose: str) -> bytes:
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=_PURPOSE + purpose.encode())
        return derived.derive(self.key.private_bytes_raw())


def keys_in(data: Path) -> Keys:
    """Return the keys of a data folder; they are made when there are none."""
    way_out = "Restore it from a backup, or remove it and join the upstream anew."
    return Keys(private_key_at(data / KEY_FILE, way_out))


def collector_id_of(collector: Collector) -> str:
    """Return the id that this collector's store carries; minted when it is asked for first."""
    with collector.store.reading() as reads:
        known = reads.document(DOCUMENT, "own")
    return known.body if known else str(collector.writer.do(lambda writes: _minted(writes, collector)))


def known_collector_id(reads: Reads) -> str | None:
    """Return the id if one was minted."""
    known = reads.document(DOCUMENT, "own")
    return known.body if known else None


def _minted(writes: Writes, collector: Collector) -> str:
    known = writes.document(DOCUMENT, "own")
    if known is None:
        known = writes.put_document(DOCUMENT, "own", f"col-{uuid4().hex}", collector.now(), "forwarding")
    return known.body
