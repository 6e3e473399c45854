"""Batches: from the socket to the disk and back.

By far most requests are batches, so `IngestFirst` finds them before any route is looked for. Each changes threads three times:
the loop reads it, an opening thread checks it and takes it apart, the writer commits it with its neighbours and tells the loop.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.records.wire import AGENT_HEADER, INGEST_PATH, IngestReply, Refusal
from server.api.agents import authenticated, kept_headers, read_body, signed_path
from server.collector import Collector
from server.dependencies import TheAddress, WholeCollector, address_of
from server.errors import OutdatedError, RefusedError, StoreError
from server.ingest import LoopAnswer, expand, file_lines, parse_headers
from server.ingest.signature import is_signed_by
from server.store.rows import Agent, Appended, Batch

AnswerTo = Callable[[Request, Exception], Response]
"""Makes the answer to a request that failed."""

_REFUSALS = {status: {"model": Refusal} for status in (400, 401, 403, 409, 413, 429, 503)}

router = APIRouter(tags=["agents"], responses=_REFUSALS)


@router.post(INGEST_PATH, response_model=IngestReply)
async def ingest(request: Request, collector: WholeCollector, address: TheAddress) -> Response:
    """Take a batch. The answer is given after the commit: everything up to `acked` is durable."""
    body = await read_body(request, collector.settings.limits.max_body_bytes)
    try:
        appended = await _appended(collector, request, body)
    except RefusedError as refused:
        await run_in_threadpool(_note_refusal, collector, request, address, refused)
        raise
    reply = IngestReply(
        acked=appended.acked,
        n_added=appended.n_added,
        flagged=appended.flagged,
        time=collector.now(),
        max_body_bytes=collector.settings.limits.max_body_bytes,
    )
    return Response(reply.model_dump_json(exclude_none=True), media_type="application/json")


class IngestFirst:
    """ASGI middleware that answers batches itself and passes everything else on: all the ways there cost as much as a batch."""

    def __init__(self, app: ASGIApp, collector: Collector, answer_to: AnswerTo) -> None:
        self.app = app
        self._collector = collector
        self._answer_to = answer_to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != INGEST_PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await ingest(request, self._collector, address_of(request))
        except (RefusedError, StoreError) as error:
            response = self._answer_to(request, error)
        await response(scope, receive, send)


async def _appended(collector: Collector, request: Request, body: bytes) -> Appended:
    """Return what the commit did; once more from the start when the agent has changed since it was remembered."""
    answer = LoopAnswer()
    collector.opening.submit(_open, collector, request, body, answer).add_done_callback(answer.take_error)
    try:
        appended: Appended = await answer.future
    except OutdatedError:
        collector.admitted.forget(request.headers[AGENT_HEADER])
        return await _appended(collector, request, body)
    return appended


def _open(collector: Collector, request: Request, body: bytes, answer: LoopAnswer) -> None:
    """Check a batch, take it apart and hand it to the writer; on an opening thread."""
    collector.writer.submit_for(answer, _opened(collector, request, body))


def _opened(collector: Collector, request: Request, body: bytes) -> Batch:
    agent = _verified(collector, request, body)
    collector.agent_limits.check(agent.agent_id, len(body))
    sent = dict(request.headers)
    headers = parse_headers(sent)
    limit_bytes = collector.settings.limits.max_expanded_bytes
    expanded = expand(body, sent.get("content-encoding", "identity"), limit_bytes)
    return Batch(
        agent_id=agent.agent_id,
        spool_id=headers.spool_id,
        first_seq=headers.first_seq,
        prev=headers.prev,
        skipped_from=headers.skipped_from,
        lines=file_lines(expanded, headers.first_seq, headers.n_records, headers.prev, agent),
        path=signed_path(request),
        headers=kept_headers(request),
        body=body,
        received_at=collector.now(),
        verified=agent,
    )


def _verified(collector: Collector, request: Request, body: bytes) -> Agent:
    """Return the agent that signed the request, as it was let in before or as the store knows it now."""
    agent = collector.admitted.get(request.headers.get(AGENT_HEADER, ""))
    told = (request.method, signed_path(request), request.headers, body)
    if agent is None or not is_signed_by(agent.public_key, *told):
        agent = authenticated(collector, request, body)
        collector.admitted.add(agent)
    return agent


def _note_refusal(collector: Collector, request: Request, address: str, refused: RefusedError) -> None:
    """Audit a refusal that staff should see; a gap or a full disk is everyday business, and a flood is cut off."""
    is_notable = refused.refusal.error in ("unknown_agent", "bad_signature", "agent_revoked", "fork")
    if is_notable and collector.attempts.failed(address, "ingest"):
        who = request.headers.get(AGENT_HEADER, "nobody")[:64]
        collector.note(who, "ingest", refused.refusal.error, address=address, refused=True)
