"""What agents talk to beside `server.api.ingest`: cursor, enrolment, keys. The protocol is told in `agent.records.wire`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from agent.records.wire import (
    AGENT_HEADER,
    CHAIN_START,
    CURSOR_PATH,
    ENROL_PATH,
    ROTATE_PATH,
    CursorReply,
    EnrolReply,
    EnrolRequest,
    Refusal,
    RotateReply,
    RotateRequest,
    agent_id_of,
)
from server.access.enrolment import (
    check_approved,
    check_instrument_id,
    decoded_key,
    enrol_job,
    public_key_of,
    waiting,
)
from server.access.rotation import Replacement, keys_accepted, rotate_job
from server.collector import Collector
from server.dependencies import TheAddress, WholeCollector
from server.errors import RefusedError
from server.forwarding.downstream import is_only_forwarded, only_forwarded
from server.ingest import check_signature
from server.ingest.headers import SPOOL_ID
from server.ingest.signature import is_signed_by
from server.store.rows import Agent
from server.told import told_in

KEPT_HEADERS = ("scopestamp-", "content-encoding", "content-type")
MAX_ENROL_BYTES = 16 << 10
_DRAINED_LIMITS = 8
_REFUSALS = {status: {"model": Refusal} for status in (400, 401, 403, 409, 413, 429, 503)}

router = APIRouter(tags=["agents"], responses=_REFUSALS)


@router.get(CURSOR_PATH)
def cursor(
    request: Request, collector: WholeCollector, spool: Annotated[str, Query(pattern=f"^{SPOOL_ID.pattern}$")]
) -> CursorReply:
    """Say where a spool of the signing agent stands."""
    agent = _signing(collector, request, b"")
    with collector.store.reading_newest() as reads:
        known = reads.spool(agent.agent_id, spool)
    return CursorReply(
        acked=known.mark if known else 0, chain=known.chain if known else CHAIN_START, time=collector.now()
    )


@router.post(ENROL_PATH)
async def enrol(request: Request, collector: WholeCollector, address: TheAddress) -> EnrolReply:
    """Enrol an agent with a join code; signed with the key it brings."""
    body = await read_body(request.receive, MAX_ENROL_BYTES)
    agent = await run_in_threadpool(_enrol, collector, request, body, address)
    return EnrolReply(
        agent_id=agent.agent_id,
        instrument_id=agent.instrument_id,
        collector=collector.settings.collector.name,
        time=collector.now(),
    )


@router.post(ROTATE_PATH)
async def rotate(request: Request, collector: WholeCollector, address: TheAddress) -> RotateReply:
    """Replace the signing agent's key by another that it also has."""
    body = await read_body(request.receive, MAX_ENROL_BYTES)
    return await run_in_threadpool(_rotate, collector, request, body, address)


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """Return the body as transmitted. What is too large is read on for a while, so that the client hears the answer.

    Raises
    ------
    RefusedError
        413 ``too_large``.
    ClientDisconnect
        The client went before the end.
    """
    chunks: list[bytes] = []
    n_bytes, has_more = 0, True
    while has_more and n_bytes <= limit_bytes * _DRAINED_LIMITS:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        has_more = message.get("more_body", False)
        n_bytes += len(chunk)
        if n_bytes <= limit_bytes:
            chunks.append(chunk)
    if n_bytes > limit_bytes:
        raise RefusedError(
            413, "too_large", f"A request has at most {limit_bytes} bytes. Send fewer records at a time."
        )
    return b"".join(chunks)


def signed_path(scope: Scope) -> str:
    """Return path and query of a request as the client signed them."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def authenticated(collector: Collector, request: Request, body: bytes) -> Agent:
    """Return the signing agent, which must have enrolled here: of one that comes by a collector below, only that one knows whether
    its key is still good."""
    agent = _signing(collector, request, body)
    with collector.store.reading_newest() as reads:
        if is_only_forwarded(reads, agent.agent_id):
            raise RefusedError(
                401,
                "unknown_agent",
                "This agent's records come by another collector; enrol it here to send directly.",
            )
    return agent


def all_admitted(collector: Collector) -> list[Agent]:
    """Return every agent that `authenticated` lets in when it signs with its present key."""
    with collector.store.reading_newest() as reads:
        others = only_forwarded(reads)
        if not collector.settings.enrolment.auto_approve:
            others |= waiting(reads)
        return [one for one in reads.agents() if one.revoked_at is None and one.agent_id not in others]


def _signing(collector: Collector, request: Request, body: bytes) -> Agent:
    with collector.store.reading_newest() as reads:
        agent = reads.agent(request.headers.get(AGENT_HEADER, ""))
    if agent is None:
        raise RefusedError(401, "unknown_agent", f"{AGENT_HEADER} names no agent known here; enrol it first.")
    _check_key(collector, agent, request, body)
    if agent.revoked_at is not None:
        raise RefusedError(403, "agent_revoked", "This agent was revoked by an administrator; enrol it anew.")
    if not collector.settings.enrolment.auto_approve:
        with collector.store.reading_newest() as reads:
            check_approved(reads, agent.agent_id)
    return agent


def _check_key(collector: Collector, agent: Agent, request: Request, body: bytes) -> None:
    """Refuse what was signed with no key of the agent; one that was just replaced is accepted for a while."""
    told = (request.method, signed_path(request.scope), request.headers, body)
    if is_signed_by(agent.public_key, *told):
        return
    with collector.store.reading_newest() as reads:
        others = keys_accepted(reads, agent, collector.now())[1:]
    if not any(is_signed_by(key, *told) for key in others):
        check_signature(agent.public_key, *told)


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return of the headers of a signed request those that are kept with it as evidence."""
    return {name: value for name, value in headers.items() if name.startswith(KEPT_HEADERS)}


def _rotate(collector: Collector, request: Request, body: bytes, address: str) -> RotateReply:
    collector.attempts.check(address)
    try:
        agent = authenticated(collector, request, body)
        wanted = told_in(RotateRequest, body)
        sent = Replacement(
            path=signed_path(request.scope), headers=kept_headers(request.headers), body=body.decode()
        )
        until = collector.writer.do(rotate_job(agent.agent_id, wanted, sent, collector.now()))
    except RefusedError as refused:
        if collector.attempts.failed(address):
            who = request.headers.get(AGENT_HEADER, "nobody")[:64]
            collector.note(who, "key rotated", refused.refusal.error, address=address, refused=True)
        raise
    detail = f"new key {agent_id_of(decoded_key(wanted.public_key))}"
    collector.note(agent.agent_id, "key rotated", detail, address=address)
    return RotateReply(agent_id=agent.agent_id, old_until=until, time=collector.now())


def _enrol(collector: Collector, request: Request, body: bytes, address: str) -> Agent:
    collector.attempts.check(address)
    wanted = told_in(EnrolRequest, body)
    check_instrument_id(wanted.instrument_id)
    public_key = public_key_of(wanted)
    check_signature(public_key, request.method, signed_path(request.scope), request.headers, body)
    is_waiting = not collector.settings.enrolment.auto_approve
    try:
        agent: Agent = collector.writer.do(enrol_job(wanted, public_key, collector.now(), is_waiting))
    except RefusedError as refused:
        if collector.attempts.failed(address):
            collector.note(
                wanted.hostname[:64], "enrol", refused.refusal.error, address=address, refused=True
            )
        raise
    collector.note(agent.agent_id, "enrol", f"instrument {agent.instrument_id}", address=address)
    return agent
