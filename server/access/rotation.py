"""Keys of agents over time: a new one vouched for by the old, and which was in force when.

The agent's row holds the key in force. Earlier ones stay in a document of the agent, with the signed request that replaced each, so
that batches signed with them can be verified for ever, and anybody can be shown that each key was vouched for by one before:
the first is the one that the agent's id is the fingerprint of.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.records.wire import AGENT_HEADER, ROTATE_PATH, RotateRequest, agent_id_of, rotation_bytes
from server.access.enrolment import decoded_key
from server.errors import RefusedError
from server.ingest.signature import is_signed_by
from server.store.base import Job, Reads, Writes
from server.store.rows import Agent

DOCUMENT = "agent_keys"
OVERLAP = timedelta(days=7)
"""How long the old key is accepted beside the new one, for replies that were lost."""


class Replacement(BaseModel):
    """The request that replaced a key, as it was signed with it."""

    model_config = ConfigDict(frozen=True)

    path: str
    headers: dict[str, str]
    body: str


class EarlierKey(BaseModel):
    """A key that was replaced, and by what."""

    model_config = ConfigDict(frozen=True)

    public_key: str
    replaced_by: Replacement


class OldKey(BaseModel):
    """A key that was replaced, and until when it is accepted beside the new one."""

    model_config = ConfigDict(frozen=True)

    public_key: str
    until: datetime
    replaced_by: Replacement | None = None


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


def rotate_job(agent_id: str, request: RotateRequest, sent: Replacement, now: datetime) -> Job:
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
        replaced = OldKey(public_key=_base64(agent.public_key), until=now + OVERLAP, replaced_by=sent)
        _keep(writes, agent_id, keys.model_copy(update={"old": (*keys.old, replaced)}), key, now)
        return replaced.until

    return rotate


def succession(reads: Reads, agent: Agent) -> tuple[EarlierKey, ...] | None:
    """Return the earlier keys with what replaced each, the oldest first; None when that was not kept of all."""
    old = _keys_of(reads, agent).old
    shown = [
        EarlierKey(public_key=one.public_key, replaced_by=one.replaced_by) for one in old if one.replaced_by
    ]
    return tuple(shown) if len(shown) == len(old) else None


def checked_keys(agent_id: str, earlier: Sequence[EarlierKey], public_key: bytes) -> list[bytes]:
    """Return all keys of an agent, the oldest first, each of which was vouched for by one before.

    Raises
    ------
    RefusedError
        400 or 401 when a key is none, or they do not lead from the agent's id to the last one.
    """
    keys = [*(decoded_key(one.public_key) for one in earlier), public_key]
    if agent_id_of(keys[0]) != agent_id:
        raise _not_vouched(agent_id)
    for n, one in enumerate(earlier, 1):
        _check_replacement(agent_id, one.replaced_by, keys[:n], keys[n])
    return keys


def learn_keys(
    writes: Writes, agent_id: str, earlier: Sequence[EarlierKey], keys: list[bytes], now: datetime
) -> None:
    """Keep keys that were shown (`checked_keys`) beside those known; the ones known are never fewer than before.

    Raises
    ------
    RefusedError
        401 when other keys are known.
    """
    agent = writes.agent(agent_id)
    assert agent is not None
    known = list(reversed(keys_for_evidence(writes, agent)))
    n_both = min(len(known), len(keys))
    if known[:n_both] != keys[:n_both]:
        raise RefusedError(401, "bad_signature", f"Other keys of agent {agent_id} are known here.")
    if len(keys) > len(known):
        old = [OldKey(public_key=one.public_key, until=now, replaced_by=one.replaced_by) for one in earlier]
        _keep(writes, agent_id, Keys(instrument_id=agent.instrument_id, old=tuple(old)), keys[-1], now)


def _keep(writes: Writes, agent_id: str, keys: Keys, in_force: bytes, now: datetime) -> None:
    writes.put_document(DOCUMENT, agent_id, keys.model_dump_json(), now, agent_id)
    writes.replace_key(agent_id, in_force)


def _check_replacement(agent_id: str, sent: Replacement, signers: list[bytes], key: bytes) -> None:
    told = {name.lower(): value for name, value in sent.headers.items()}
    is_signed = any(is_signed_by(one, "POST", sent.path, told, sent.body.encode()) for one in signers)
    if not is_signed or not sent.path.endswith(ROTATE_PATH) or told.get(AGENT_HEADER.lower()) != agent_id:
        raise _not_vouched(agent_id)
    try:
        request = RotateRequest.model_validate_json(sent.body)
    except ValidationError as error:
        raise _not_vouched(agent_id) from error
    if decoded_key(request.public_key) != key:
        raise _not_vouched(agent_id)
    _check_proof(agent_id, request, key)


def _keys_of(reads: Reads, agent: Agent) -> Keys:
    document = reads.document(DOCUMENT, agent.agent_id)
    return Keys.model_validate_json(document.body) if document else Keys(instrument_id=agent.instrument_id)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _not_vouched(agent_id: str) -> RefusedError:
    return RefusedError(
        401, "bad_signature", f"The keys shown do not lead from agent {agent_id} to the one that signs."
    )


def _check_proof(agent_id: str, request: RotateRequest, key: bytes) -> None:
    try:
        proof = base64.b64decode(request.proof, validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(proof, rotation_bytes(agent_id, request.public_key))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise RefusedError(
            400, "bad_proof", "proof must be the new key's signature that it is to be this agent's."
        ) from error
