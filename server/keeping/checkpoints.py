"""Signed heads of a tree over every batch, so that what was once shown to somebody can never be changed unnoticed.

The tree is that of RFC 6962 (section 2.1), with one leaf a batch in the order they were taken; a checkpoint is a signed note
as C2SP writes it (c2sp.org/tlog-checkpoint, c2sp.org/signed-note). Its one extension line tells where the audit log stood:
``audit <position of the last entry> <its chain value>``. Whoever keeps a checkpoint can later have it
verified against the store or a backup, without this collector's help.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.private_keys import private_key_at
from server.store import Reads
from server.store.rows import BatchLink, Checkpoint, StoredBatch

KEY_FILE = "checkpoint.key"
_ED25519 = b"\x01"
_AT_ONCE = 500
_AUDIT_LINE = re.compile(r"audit (\d+) ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class AuditHead:
    """Where the audit log stood: the position of its last entry, and the chain value after it."""

    position: int
    chain: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a checkpoint says: how many batches, the root of the tree over them, and the head of the audit log."""

    n_batches: int
    root: str
    audit: AuditHead | None = None


class Tree:
    """The right edge of a Merkle tree: the roots of its whole subtrees, the largest first."""

    def __init__(self, n_leaves: int = 0, edge: str = "") -> None:
        self.n_leaves = n_leaves
        self._edge = [bytes.fromhex(one) for one in edge.split()]

    def add(self, leaf: bytes) -> None:
        """Add one leaf at the right."""
        node, n = hashlib.sha256(b"\0" + leaf).digest(), self.n_leaves
        while n & 1:
            node = _node(self._edge.pop(), node)
            n >>= 1
        self._edge.append(node)
        self.n_leaves += 1

    @property
    def root(self) -> bytes:
        """Hash of the whole tree."""
        if not self._edge:
            return hashlib.sha256().digest()
        *rest, root = self._edge
        for node in reversed(rest):
            root = _node(node, root)
        return root

    @property
    def edge(self) -> str:
        """The edge as text, from which a tree can be continued."""
        return " ".join(node.hex() for node in self._edge)


def leaf_of(batch: StoredBatch | BatchLink) -> bytes:
    """Return what the tree holds of a batch: whose it is, which records are new in it, and the chain over them."""
    first = batch.first_seq + batch.n_known
    return f"{batch.agent_id} {batch.spool_id} {first} {batch.last_seq} {batch.prev} {batch.chain}".encode()


class Signer:
    """Signs checkpoints.

    Parameters
    ----------
    origin : str
        Name of the log; must not change once checkpoints were given out.
    key : Ed25519PrivateKey
        Of this log alone.
    """

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        self.origin = origin.replace("+", " ").strip()
        self._key = key

    @property
    def verifier(self) -> str:
        """What others verify with: ``name+id+key``, to be handed out with the checkpoints."""
        public = self._key.public_key().public_bytes_raw()
        return f"{self.origin}+{_key_id(self.origin, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"

    def sign(self, tree: Tree, audit: AuditHead | None = None) -> str:
        """Return the signed note of a tree's head and the audit log's."""
        text = f"{self.origin}\n{tree.n_leaves}\n{base64.b64encode(tree.root).decode()}\n"
        if audit is not None:
            text += f"audit {audit.position} {audit.chain}\n"
        public = self._key.public_key().public_bytes_raw()
        signature = _key_id(self.origin, public) + self._key.sign(text.encode())
        return f"{text}\n— {self.origin} {base64.b64encode(signature).decode()}\n"


def head_in(note: str) -> Head | None:
    """Return what a note says, None when it is no checkpoint. Extension lines of others are passed over, as C2SP asks."""
    _origin, *told = note.partition("\n\n")[0].split("\n")
    try:
        n_batches, root = int(told[0]), base64.b64decode(told[1], validate=True).hex()
    except (IndexError, ValueError, binascii.Error):
        return None
    audits = [AuditHead(int(one[1]), one[2]) for one in map(_AUDIT_LINE.fullmatch, told[2:]) if one]
    return Head(n_batches, root, audits[0] if audits else None)


def is_signed(note: str, verifier: str) -> bool:
    """Return whether a note carries a good signature of a verifier."""
    origin, _, rest = verifier.partition("+")
    public = base64.b64decode(rest.partition("+")[2])[1:]
    text, _, signatures = note.rpartition("\n\n")
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix("— ").rpartition(" ")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            continue
        if name != origin or raw[:4] != _key_id(origin, public):
            continue
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{text}\n".encode())
        except InvalidSignature:
            return False
        return True
    return False


def signer_in(data: Path, origin: str) -> Signer:
    """Return the signer whose key is in a data folder; the key is made when there is none."""
    key = private_key_at(data / KEY_FILE, "Restore it from the backup of the data folder.")
    return Signer(origin, key)


def grown(reads: Reads, tree: Tree | None = None, rest: Callable[[], object] = lambda: None) -> Tree:
    """Return the tree over all batches there are, continued from `tree` or else from the last checkpoint; `rest` is called now
    and then."""
    if tree is None:
        last = next(iter(reads.checkpoints(limit=1)), None)
        tree = Tree(last.n_batches, last.edge) if last else Tree()
    while links := reads.batch_links(tree.n_leaves, _AT_ONCE):
        for link in links:
            tree.add(leaf_of(link))
        rest()
    return tree


def next_checkpoint(
    reads: Reads, signer: Signer, now: datetime, tree: Tree | None = None
) -> Checkpoint | None:
    """Return the checkpoint over all batches there are, which `tree` may hold already; None when none came since the last."""
    last = next(iter(reads.checkpoints(limit=1)), None)
    tree = grown(reads, tree)
    if tree.n_leaves == (last.n_batches if last else 0):
        return None
    return Checkpoint(tree.n_leaves, tree.root.hex(), tree.edge, signer.sign(tree, _audit_head(reads)), now)


def _audit_head(reads: Reads) -> AuditHead | None:
    last = next(iter(reads.audit(limit=1)), None)
    return AuditHead(last.position, last.chain) if last else None


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]
