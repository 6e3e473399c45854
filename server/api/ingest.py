"""Batches: from the socket to the disk and back.

By far most requests are batches, so `IngestFirst` stands before the framework and answers them itself: all the ways there
cost several times what a batch does. The loop reads each, an opening thread checks it and takes it apart (the loop itself
when it is small), the writer commits it with its neighbours and tells the loop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.records.wire import AGENT_HEADER, INGEST_PATH, IngestReply, Refusal
from server.access.limits import refusal_of_size, too_slow
from server.answers import refusal_answer
from server.api.agents import all_admitted, authenticated, kept_headers, read_body, signed_path
from server.collector import Collector
from server.dependencies import WholeCollector, address_of
from server.errors import OutdatedError, RefusedError, StoreError, unavailable
from server.headers import SecurityHeaders
from server.ingest import LoopAnswer, open_batch
from server.ingest.signature import is_signed_by
from server.store.rows import Agent, Appended, Batch

SMALL_BYTES = 4 << 10
"""What a remembered agent sends is opened at once, on the loop, up to this size: another thread would cost more than it takes."""

_AGENT = AGENT_HEADER.lower()
_REFUSALS = {status: {"model": Refusal} for status in (400, 401, 403, 409, 413, 429, 503)}

_log = logging.getLogger(__name__)

router = APIRouter(tags=["agents"], responses=_REFUSALS)


class _Sent(NamedTuple):
    """A batch as it came."""

    scope: Scope
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@router.post(INGEST_PATH, response_model_exclude_none=True)
async def ingest(request: Request, collector: WholeCollector) -> IngestReply:
    """Take a batch. The answer is given after the commit: everything up to `acked` is durable."""
    sent = await _read(collector, request.scope, request.receive)
    try:
        appended = await _appended(collector, sent)
    except RefusedError as refused:
        await run_in_threadpool(_note_refusal, collector, sent, refused)
        raise
    return IngestReply(
        acked=appended.acked,
        n_added=appended.n_added,
        flagged=appended.flagged,
        time=collector.now(),
        max_body_bytes=collector.settings.limits.max_body_bytes,
    )


class IngestFirst:
    """ASGI application that answers batches by `ingest` and passes everything else on."""

    def __init__(self, app: ASGIApp, collector: Collector) -> None:
        self.app = app
        self._collector = collector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != INGEST_PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        try:
            reply = await ingest(Request(scope, receive), self._collector)
        except ClientDisconnect:  # nobody hears an answer
            return
        except RefusedError as refused:
            response: Response = refusal_answer(refused)
        except StoreError as error:
            _log.error("%s", error)
            response = refusal_answer(unavailable())
        else:
            response = Response(reply.model_dump_json(exclude_none=True), media_type="application/json")
        await SecurityHeaders(response)(scope, receive, send)


async def _read(collector: Collector, scope: Scope, receive: Receive) -> _Sent:
    limits = collector.settings.limits
    if (refused := refusal_of_size(scope, limits.max_upload_bytes)) is not None:
        raise refused
    try:
        async with asyncio.timeout(limits.request_timeout_s):
            body = await read_body(receive, limits.max_body_bytes)
    except TimeoutError as error:
        raise too_slow() from error
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return _Sent(scope, signed_path(scope), headers, body)


async def _appended(collector: Collector, sent: _Sent) -> Appended:
    """Return what the commit did; once more from the start when the agent has changed since it was remembered."""
    answer = LoopAnswer()
    agent = _remembered(collector, sent) if len(sent.body) <= SMALL_BYTES else None
    if agent is not None:
        collector.writer.submit_for(answer, _opened(collector, sent, agent))
    else:
        opening = collector.opening.submit(_open, collector, sent, answer)
        opening.add_done_callback(answer.take_error)
    try:
        appended: Appended = await answer.future
    except OutdatedError:
        collector.admitted.forget(sent.headers[_AGENT])
        return await _appended(collector, sent)
    return appended


def _open(collector: Collector, sent: _Sent, answer: LoopAnswer) -> None:
    """Check a batch, take it apart and hand it to the writer; on an opening thread, for the store may have to be asked."""
    agent = _remembered(collector, sent)
    if agent is None:
        collector.admitted.add_all(lambda: all_admitted(collector), collector.now())
        agent = _remembered(collector, sent)
    if agent is None:
        agent = authenticated(collector, Request(sent.scope), sent.body)
        collector.admitted.add(agent)
    collector.writer.submit_for(answer, _opened(collector, sent, agent))


def _remembered(collector: Collector, sent: _Sent) -> Agent | None:
    """Return the agent that signed the request if it was let in before, as it was then."""
    agent = collector.admitted.get(sent.headers.get(_AGENT, ""))
    told = ("POST", sent.path, sent.headers, sent.body)
    return agent if agent is not None and is_signed_by(agent.public_key, *told) else None


def _opened(collector: Collector, sent: _Sent, agent: Agent) -> Batch:
    collector.agent_limits.check(agent.agent_id, len(sent.body))
    return open_batch(
        agent.agent_id,
        sent.path,
        kept_headers(sent.headers),
        sent.body,
        collector.now(),
        maker=agent,
        limit_bytes=collector.settings.limits.max_expanded_bytes,
        verified=agent,
    )


def _note_refusal(collector: Collector, sent: _Sent, refused: RefusedError) -> None:
    """Audit a refusal that staff should see; a gap or a full disk is everyday business, and a flood is cut off."""
    address = address_of(Request(sent.scope))
    is_notable = refused.refusal.error in ("unknown_agent", "bad_signature", "agent_revoked", "fork")
    if is_notable and collector.attempts.failed(address, "ingest"):
        who = sent.headers.get(_AGENT, "nobody")[:64]
        collector.note(who, "ingest", refused.refusal.error, address=address, refused=True)
