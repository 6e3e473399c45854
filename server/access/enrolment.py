"""How an agent becomes known: a join code, used once, binds its key to an instrument."""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import datetime, timedelta

from agent.records.wire import EnrolRequest, agent_id_of
from server.access.secrets import hash_of_join_code
from server.errors import RefusedError
from server.forwarding.downstream import forget_forwarded
from server.store.base import Job, Reads, Writes
from server.store.rows import Agent, Instrument, JoinCode

WAITING = "agent_waiting"
"""Document of an agent that is enrolled and not yet approved."""
INSTRUMENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")


def join_code_row(
    code: str, name: str, site: str, instrument_id: str | None, made_by: str, now: datetime, hours: float
) -> JoinCode:
    """Return what is kept of a new join code."""
    if instrument_id:
        check_instrument_id(instrument_id)
    return JoinCode(
        code_sha256=hash_of_join_code(code),
        instrument_name=name,
        site=site,
        instrument_id=instrument_id or None,
        made_by=made_by,
        made_at=now,
        expires_at=now + timedelta(hours=hours),
    )


def public_key_of(request: EnrolRequest) -> bytes:
    """Return the raw key that the request brings."""
    return decoded_key(request.public_key)


def decoded_key(public_key: str) -> bytes:
    """Return a raw Ed25519 key told in base64, or refuse with 400."""
    try:
        key = base64.b64decode(public_key, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise RefusedError(400, "bad_public_key", "public_key must be a raw Ed25519 key, 32 bytes in base64.")
    return key


def check_instrument_id(instrument_id: str) -> None:
    """Refuse an id that could not stand in a path of ours."""
    if not INSTRUMENT_ID.fullmatch(instrument_id):
        raise RefusedError(
            400,
            "malformed_request",
            "instrument_id must be 1 to 100 letters, digits, dots, dashes or underscores and begin with a letter or digit.",
        )


def enrol_job(request: EnrolRequest, public_key: bytes, now: datetime, is_waiting: bool = False) -> Job:
    """Return the job that enrols the agent; its value is the agent's row.

    The same code with the same key is answered alike however often it is sent, because a reply may be lost.
    """

    def enrol(writes: Writes) -> Agent:
        agent_id = agent_id_of(public_key)
        code = writes.join_code(hash_of_join_code(request.join_code))
        if code is None:
            raise _bad_code("There is no such join code; check the spelling.")
        known = writes.agent(agent_id)
        if known is not None and known.revoked_at is not None:
            raise RefusedError(
                403, "agent_revoked", "This agent's key was revoked; make a new key on its computer."
            )
        if code.used_by == agent_id and known is not None:
            return known
        _check_code(code, request, now)
        _check_owner(writes, code, request, agent_id)
        if is_waiting and known is None:
            told = json.dumps({"instrument_id": request.instrument_id})
            writes.put_document(WAITING, agent_id, told, now, request.hostname)
        return _bind(writes, code, request, public_key, now)

    return enrol


def check_approved(reads: Reads, agent_id: str) -> None:
    """Refuse with 503 an agent that nobody has approved yet: it keeps its records and asks again."""
    if reads.document(WAITING, agent_id) is not None:
        raise RefusedError(
            503,
            "awaiting_approval",
            f"An administrator has yet to compare the fingerprint {agent_id} and approve this agent.",
            retry_after_s=60,
        )


def waiting(reads: Reads) -> set[str]:
    """Return the ids of all agents that nobody has approved yet."""
    return {document.key for document in reads.documents(WAITING)}


def _check_code(code: JoinCode, request: EnrolRequest, now: datetime) -> None:
    if code.used_by is not None:
        raise _bad_code("This join code has been used; ask for a new one.")
    if code.expires_at <= now:
        raise _bad_code("This join code has expired; ask for a new one.")
    if code.instrument_id is not None and code.instrument_id != request.instrument_id:
        raise _bad_code(
            f"This join code is for instrument {code.instrument_id}; the agent speaks of {request.instrument_id[:64]}."
        )


def _check_owner(writes: Writes, code: JoinCode, request: EnrolRequest, agent_id: str) -> None:
    if code.instrument_id is not None:  # staff named the instrument on purpose: a replaced computer
        return
    owners = {agent.agent_id for agent in writes.agents() if agent.instrument_id == request.instrument_id}
    if owners - {agent_id}:
        raise RefusedError(
            409,
            "instrument_taken",
            f"Instrument {request.instrument_id[:64]} already has an agent. If this computer replaces it, ask for a join "
            f"code made with --instrument-id {request.instrument_id[:64]}.",
        )


def _bind(writes: Writes, code: JoinCode, request: EnrolRequest, public_key: bytes, now: datetime) -> Agent:
    agent = Agent(
        agent_id=agent_id_of(public_key),
        public_key=public_key,
        instrument_id=request.instrument_id,
        hostname=request.hostname,
        platform=request.platform,
        version=request.version,
        enrolled_at=now,
    )
    writes.put_instrument(Instrument(request.instrument_id, code.instrument_name, code.site, now))
    writes.put_agent(agent)
    forget_forwarded(writes, agent.agent_id)
    writes.use_join_code(code.code_sha256, agent.agent_id, now)
    return agent


def _bad_code(message: str) -> RefusedError:
    return RefusedError(403, "bad_join_code", message)
