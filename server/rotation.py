"""Keys of agents over time: a new one vouched for by the old, and which was in force when.

The agent's row holds the key in force. Earlier ones stay in a document of the agent, with the request that replaced each, so
that batches signed with them can be verified for ever.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict

from agent.records.wire import RotateRequest, rotation_bytes
from server.enrolment import decoded_key
from server.errors import RefusedError
from server.store.base import Job, Reads, Writes
from server.store.rows import Agent

DOCUMENT = "agent_keys"
OVERLAP = timedelta(days=7)
"""How long the old key is accepted beside the new one, for replies that were lost."""


class OldKey(BaseModel):
    """A key that was replaced."""

    model_config = ConfigDict(frozen=True)

    public_key: str
    until: datetime
    proof: str
    """The new key's signature, which was sent signed with this one."""


class Keys(BaseModel):
    """The earlier keys of an agent, the oldest first."""

    model_config = ConfigDict(frozen=True)

    instrument_id: str
    old: tuple[OldKey, ...] = ()


def keys_for_evidence(reads: Reads, agent: Agent) -> list[bytes]:
    """Return every key the agent ever had, the one in force first."""
    return [agent.public_key, *(decoded_key(one.public_key) for one in reversed(_keys_of(reads, agent).old))]


def keys_accepted(reads: Reads, agent: Agent, now: datetime) -> list[bytes]:
    """Return the keys a request may be signed with now."""
    old = (one for one in _keys_of(reads, agent).old if now < one.until)
    return [agent.public_key, *(decoded_key(one.public_key) for one in old)]


def rotate_job(agent_id: str, request: RotateRequest, now: datetime) -> Job:
    """Return the job that replaces an agent's key; its value is until when the old one is accepted.

    Raises
    ------
    RefusedError
        400 when the proof is not the new key's; 403 when the agent is revoked; 409 when the key was once in force before.
    """
    key = decoded_key(request.public_key)
    _check_proof(agent_id, request, key)

    def rotate(writes: Writes) -> datetime:
        agent = writes.agent(agent_id)
        if agent is None or agent.revoked_at is not None:
            raise RefusedError(403, "agent_revoked", "This agent was revoked; enrol it anew.")
        keys = _keys_of(writes, agent)
        if agent.public_key == key:
            return keys.old[-1].until if keys.old else now
        if key in keys_for_evidence(writes, agent):
            raise RefusedError(409, "old_key", "This key was replaced before; make a new one.")
        replaced = OldKey(
            public_key=base64.b64encode(agent.public_key).decode(), until=now + OVERLAP, proof=request.proof
        )
        kept = keys.model_copy(update={"old": (*keys.old, replaced)})
        writes.put_document(DOCUMENT, agent_id, kept.model_dump_json(), now, agent_id)
        writes.replace_key(agent_id, key)
        return replaced.until

    return rotate


def _keys_of(reads: Reads, agent: Agent) -> Keys:
    document = reads.document(DOCUMENT, agent.agent_id)
    return Keys.model_validate_json(document.body) if document else Keys(instrument_id=agent.instrument_id)


def _check_proof(agent_id: str, request: RotateRequest, key: bytes) -> None:
    try:
        proof = base64.b64decode(request.proof, validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(proof, rotation_bytes(agent_id, request.public_key))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise RefusedError(
            400, "bad_proof", "proof must be the new key's signature that it is to be this agent's."
        ) from error
