"""What collectors below talk to: joining, where their log stands, and taking it. The protocol is told in `server.forwarding.protocol`."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from agent.records.wire import (
    AGENT_HEADER,
    CHAIN_START,
    PREV_HEADER,
    Refusal,
    agent_id_of,
)
from server.access.enrolment import decoded_key
from server.api.agents import read_body, signed_path
from server.collector import Collector
from server.dependencies import TheAddress, WholeCollector
from server.errors import RefusedError
from server.forwarding.downstream import Downstream, Log, downstream_of, join_job, log_of
from server.forwarding.forwarder import above_of
from server.forwarding.identity import collector_id_of
from server.forwarding.protocol import (
    FORWARD_PATH,
    JOIN_PATH,
    LOG_HEADER,
    REVOKED_PATH,
    ForwardReply,
    JoinRequest,
    RevokedRequest,
    Standing,
)
from server.forwarding.revoked import heed_job
from server.forwarding.taking import BODIES, Opened, Taken, check_via, opened, parcels_in, take_job
from server.ingest import check_signature
from server.told import told_in

_MAX_JOIN_BYTES = 16 << 10
_BASE64 = 2
"""A parcel's body is told in base64 within a compressed line: never more than twice as large."""


router = APIRouter(
    tags=["collectors"],
    responses={status: {"model": Refusal} for status in (400, 401, 403, 409, 413, 429, 503)},
)


@router.post(FORWARD_PATH, response_model=ForwardReply)
async def forward(request: Request, collector: WholeCollector) -> Response:
    """Take what a collector below passes on. The answer is given after the commit: all up to `acked` is durable."""
    body = await read_body(request.receive, _BASE64 * collector.settings.limits.max_body_bytes)
    loop = asyncio.get_running_loop()
    sender, parcels = await loop.run_in_executor(collector.opening, _open, collector, request, body)
    log_id, prev = request.headers.get(LOG_HEADER, "")[:64], request.headers.get(PREV_HEADER, CHAIN_START)
    job = take_job(sender, log_id, prev, parcels, collector.now())
    taken: Taken = await asyncio.wrap_future(collector.writer.submit(job))
    standing = await run_in_threadpool(_standing, collector, taken.log)
    reply = ForwardReply(**standing.model_dump(), n_added=taken.n_added, not_taken=taken.not_taken)
    return Response(reply.model_dump_json(), media_type="application/json")


@router.get(FORWARD_PATH)
def standing_of(request: Request, collector: WholeCollector) -> Standing:
    """Say where the log of the signing collector stands, and which collectors are above."""
    sender = _authenticated(collector, request, b"")
    with collector.store.reading_newest() as reads:
        log = log_of(reads, sender.agent_id)
    return _standing(collector, log)


@router.post(JOIN_PATH)
async def join(request: Request, collector: WholeCollector, address: TheAddress) -> Standing:
    """Let a collector in with a join code; signed with the key it brings."""
    body = await read_body(request.receive, _MAX_JOIN_BYTES)
    return await run_in_threadpool(_join, collector, request, body, address)


@router.post(REVOKED_PATH)
async def revoked(request: Request, collector: WholeCollector, address: TheAddress) -> Standing:
    """Take note of the agents that the signing collector has shut out; nothing that they sent before is refused."""
    body = await read_body(request.receive, collector.settings.limits.max_body_bytes)
    return await run_in_threadpool(_heed_revoked, collector, request, body, address)


def _heed_revoked(collector: Collector, request: Request, body: bytes, address: str) -> Standing:
    sender = _authenticated(collector, request, body)
    told = told_in(RevokedRequest, body)
    collector.writer.do(heed_job(sender, told.agents, collector.now(), address))
    with collector.store.reading_newest() as reads:
        return _standing(collector, log_of(reads, sender.agent_id))


def _open(collector: Collector, request: Request, body: bytes) -> tuple[Downstream, list[Opened]]:
    sender = _authenticated(collector, request, body)
    limits, now = collector.settings.limits, collector.now()
    encoding = request.headers.get("content-encoding", "identity")
    parcels = parcels_in(body, encoding, BODIES * _BASE64 * limits.max_body_bytes)
    check_via(parcels, collector_id_of(collector))
    found, left_bytes = [], BODIES * limits.max_expanded_bytes
    for parcel in parcels:
        found.append(opened(parcel, limits.max_expanded_bytes, now))
        left_bytes -= found[-1].n_bytes
        if left_bytes < 0:
            raise RefusedError(413, "too_large", "The batches together are too large; send fewer at a time.")
    return sender, found


def _authenticated(collector: Collector, request: Request, body: bytes) -> Downstream:
    with collector.store.reading_newest() as reads:
        sender = downstream_of(reads, request.headers.get(AGENT_HEADER, ""))
    if sender is None:
        raise RefusedError(
            401, "unknown_collector", f"{AGENT_HEADER} names no collector known here; let it join first."
        )
    key = decoded_key(sender.public_key)
    check_signature(key, request.method, signed_path(request.scope), request.headers, body)
    sender.must_be_allowed()
    return sender


def _standing(collector: Collector, log: Log) -> Standing:
    own_id = collector_id_of(collector)
    with collector.store.reading_newest() as reads:
        above = above_of(reads, collector.settings.upstream.url)
    return Standing(
        collector_id=own_id,
        name=collector.settings.collector.name,
        above=(own_id, *above),
        log_id=log.log_id,
        acked=log.acked,
        leaf=log.leaf,
        time=collector.now(),
        max_body_bytes=collector.settings.limits.max_body_bytes,
    )


def _join(collector: Collector, request: Request, body: bytes, address: str) -> Standing:
    collector.attempts.check(address)
    wanted = told_in(JoinRequest, body)
    key = decoded_key(wanted.public_key)
    check_signature(key, request.method, signed_path(request.scope), request.headers, body)
    standing = _standing(collector, Log())
    asking = Downstream(
        agent_id=agent_id_of(key),
        collector_id=wanted.collector_id,
        name=wanted.name,
        public_key=wanted.public_key,
        version=wanted.version,
        joined_at=collector.now(),
    )
    try:
        joined: Downstream = collector.writer.do(
            join_job(wanted.join_code, asking, standing.above, collector.now())
        )
    except RefusedError as refused:
        if collector.attempts.failed(address):
            collector.note(wanted.name[:64], "join", refused.refusal.error, address=address, refused=True)
        raise
    collector.note(joined.agent_id, "join", f"collector {joined.name}", address=address)
    with collector.store.reading_newest() as reads:
        return _standing(collector, log_of(reads, joined.agent_id))
