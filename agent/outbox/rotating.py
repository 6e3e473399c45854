"""A new key for the agent, vouched for by the old one."""

from __future__ import annotations

import base64
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.clock import Clock
from agent.outbox.collector import Collector
from agent.outbox.identity import Identity
from agent.records.wire import RotateReply, RotateRequest, rotation_bytes


def rotate_key(
    identity: Identity,
    url: str,
    *,
    clock: Clock,
    verify: Path | str | bool = True,
    transport: httpx.BaseTransport | None = None,
) -> RotateReply:
    """Replace the agent's key at its collector, then on its disk.

    A lost reply or a crash in between does no harm: the new key is on the disk before it is told, the old one is accepted for
    a while after, and doing it again asks for the same key. A running agent signs with the new key from its next request.

    Raises
    ------
    CollectorAwayError, CollectorRefusedError
        The collector cannot be reached, or declined; the old key is in force.
    IdentityError
        The key cannot be written or read.
    """
    following = identity.next_key()
    raw = following.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public_key = base64.b64encode(raw).decode()
    proof = base64.b64encode(following.sign(rotation_bytes(identity.agent_id, public_key))).decode()
    collector = Collector(url, identity, clock=clock, verify=verify, transport=transport)
    try:
        reply = collector.rotate(RotateRequest(public_key=public_key, proof=proof))
    finally:
        collector.close()
    identity.take_next_key()
    return reply
