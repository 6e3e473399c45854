"""The upper side: from a request of a collector below to batches, all of it in one transaction with how far it has come."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import ValidationError

from agent.records.wire import AGENT_HEADER
from server.access.enrolment import decoded_key
from server.access.rotation import checked_keys, learn_keys
from server.errors import RefusedError
from server.expand import expand
from server.forwarding.downstream import (
    Downstream,
    Log,
    bringer_of,
    keep_agent,
    keep_bringer,
    keep_log,
    log_of,
)
from server.forwarding.protocol import VIA, Introduction, NotTaken, Parcel
from server.ingest import check_signature, open_batch
from server.ingest.signature import is_signed_by
from server.sites import path_of
from server.store.base import Job, Writes
from server.store.chains import split_lines
from server.store.rows import Agent, Batch, Instrument
from server.told import malformed

BODIES = 8
"""Expanded batches that one request may hold, in units of the largest one."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A parcel taken apart and verified: its batch, or why it cannot be taken."""

    parcel: Parcel
    batch: Batch | None = None
    agent: Agent | None = None
    keys: list[bytes] = field(default_factory=list)
    """Of the agent, the oldest first."""
    refused: RefusedError | None = None

    @property
    def n_bytes(self) -> int:
        """Size of its lines."""
        return self.batch.n_bytes if self.batch else 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request added."""

    log: Log
    n_added: int
    not_taken: tuple[NotTaken, ...]


def parcels_in(body: bytes, encoding: str, limit_bytes: int) -> list[Parcel]:
    """Return the parcels of a request, or refuse with 400 or 413."""
    lines = split_lines(expand(body, encoding, limit_bytes))
    try:
        parcels = [Parcel.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise malformed(error, "parcel") from error
    numbers = [parcel.number for parcel in parcels]
    if not numbers or numbers != sorted(set(numbers)):
        raise RefusedError(
            400, "malformed_request", "Expected parcels in the order of their numbers, at least one."
        )
    return parcels


def check_via(parcels: list[Parcel], own_id: str) -> None:
    """Refuse with 409 ``loop`` what has passed this collector already."""
    if any(own_id in parcel.via for parcel in parcels):
        raise RefusedError(
            409, "loop", "These records have passed this collector before; the collectors forward in a ring."
        )


def opened(parcel: Parcel, limit_bytes: int, now: datetime) -> Opened:
    """Return a parcel with its signature verified and its lines filed."""
    if parcel.by is None:
        return Opened(parcel)
    try:
        return _opened(parcel, parcel.by, limit_bytes, now)
    except RefusedError as refused:
        return Opened(parcel, refused=refused)


def take_job(sender: Downstream, log_id: str, prev: str, parcels: list[Opened], now: datetime) -> Job:
    """Return the job that takes a request; its value is `Taken`.

    Raises
    ------
    RefusedError
        409 ``log_fork`` when the log continues something else than what stands here.
    """

    def take(writes: Writes) -> Taken:
        log = log_of(writes, sender.agent_id)
        log = log if log.log_id == log_id else Log(log_id=log_id, n_not_taken=log.n_not_taken)
        new = [one for one in parcels if one.parcel.number > log.acked]
        if new and (len(new) != len(parcels) or prev != log.leaf):
            raise RefusedError(
                409, "log_fork", f"The log stands at {log.acked} with another leaf here; ask where it stands."
            )
        n_added, not_taken = 0, []
        for one in new:
            try:
                n_added += _take(writes, sender, one, now)
            except RefusedError as refused:
                told = refused.refusal
                not_taken.append(NotTaken(number=one.parcel.number, error=told.error, message=told.message))
        last = parcels[-1].parcel
        if new:
            log = log.model_copy(
                update={
                    "acked": last.number,
                    "leaf": last.leaf,
                    "n_not_taken": log.n_not_taken + len(not_taken),
                    "heard_at": now,
                }
            )
            keep_log(writes, sender.agent_id, log, now)
        return Taken(log, n_added, tuple(not_taken))

    return take


def _opened(parcel: Parcel, by: Introduction, limit_bytes: int, now: datetime) -> Opened:
    public_key, body = decoded_key(by.public_key), _from_base64(parcel.body)
    sent = {name.lower(): value for name, value in parcel.headers.items()}
    agent_id = sent.get(AGENT_HEADER.lower(), "")
    keys = checked_keys(agent_id, by.earlier, public_key)
    if not any(is_signed_by(key, "POST", parcel.path, sent, body) for key in keys):
        check_signature(public_key, "POST", parcel.path, sent, body)
    agent = Agent(agent_id, keys[0], by.instrument_id, by.hostname, by.platform, by.version, now)
    maker = replace(agent, agent_id=by.stands_for or agent.agent_id)
    batch = open_batch(
        agent_id,
        parcel.path,
        {**sent, VIA: " ".join(parcel.via)},
        body,
        min(parcel.received_at or now, now),
        maker=maker,
        limit_bytes=limit_bytes,
        is_forwarded=True,
    )
    return Opened(parcel, batch, agent, keys)


def _take(writes: Writes, sender: Downstream, one: Opened, now: datetime) -> int:
    if one.refused is not None:
        raise one.refused
    if one.batch is None or one.agent is None or one.parcel.by is None:
        return 0
    _introduce(writes, sender, one.agent, one.parcel.by, now)
    learn_keys(writes, one.agent.agent_id, one.parcel.by.earlier, one.keys, now)
    return writes.append(one.batch).n_added


def _introduce(writes: Writes, sender: Downstream, agent: Agent, by: Introduction, now: datetime) -> None:
    """Let the agent of a parcel in, unless it or its instrument belongs to somebody else."""
    known = writes.agent(agent.agent_id)
    if known is not None and known.revoked_at is not None:
        raise RefusedError(403, "agent_revoked", f"Agent {agent.agent_id} was revoked here.")
    if known is not None and known.instrument_id != agent.instrument_id:
        raise RefusedError(
            409, "instrument_taken", f"Agent {agent.agent_id} is enrolled for another instrument."
        )
    there, bringer = writes.instrument(agent.instrument_id), bringer_of(writes, agent.instrument_id)
    if there is not None and bringer != sender.agent_id:
        if known is None:
            raise RefusedError(
                409, "instrument_taken", f"Instrument {agent.instrument_id} is known here from elsewhere."
            )
        return  # enrolled here itself: its own name and place hold
    site = path_of(sender.name, by.site)
    if there is None or (there.name, there.site) != (by.instrument_name, site):
        writes.put_instrument(Instrument(agent.instrument_id, by.instrument_name, site, now))
        keep_bringer(writes, agent.instrument_id, sender.agent_id, now)
    if known is None:
        writes.put_agent(agent)
        keep_agent(writes, agent.agent_id, sender.agent_id, by.stands_for, now)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, "malformed_request", "A parcel holds what is not base64.") from error
