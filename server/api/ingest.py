"""Batches: from the socket to the disk and back.

By far most requests are batches, so `IngestFirst` finds them before any route is looked for. The loop reads each, an opening
thread checks it and takes it apart (the loop itself when it is small), the writer commits it with its neighbours and tells the
loop.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.records.wire import AGENT_HEADER, INGEST_PATH, IngestReply, Refusal
from server.api.agents import all_admitted, authenticated, kept_headers, read_body, signed_path
from server.collector import Collector
from server.dependencies import TheAddress, WholeCollector, address_of
from server.errors import OutdatedError, RefusedError, StoreError
from server.ingest import LoopAnswer, expand, file_lines, parse_headers
from server.ingest.signature import is_signed_by
from server.store.rows import Agent, Appended, Batch

AnswerTo = Callable[[Request, Exception], Response]
"""Makes the answer to a request that failed."""

SMALL_BYTES = 4 << 10
"""What a remembered agent sends is opened at once, on the loop, up to this size: another thread would cost more than it takes."""

_AGENT = AGENT_HEADER.lower()
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
    sent = dict(request.headers.items())
    agent = _remembered(collector, request, sent, body) if len(body) <= SMALL_BYTES else None
    if agent is not None:
        collector.writer.submit_for(answer, _opened(collector, request, sent, body, agent))
    else:
        opening = collector.opening.submit(_open, collector, request, sent, body, answer)
        opening.add_done_callback(answer.take_error)
    try:
        appended: Appended = await answer.future
    except OutdatedError:
        collector.admitted.forget(request.headers[AGENT_HEADER])
        return await _appended(collector, request, body)
    return appended


def _open(
    collector: Collector, request: Request, sent: dict[str, str], body: bytes, answer: LoopAnswer
) -> None:
    """Check a batch, take it apart and hand it to the writer; on an opening thread, for the store may have to be asked."""
    agent = _remembered(collector, request, sent, body)
    if agent is None:
        collector.admitted.add_all(lambda: all_admitted(collector), collector.now())
        agent = _remembered(collector, request, sent, body)
    if agent is None:
        agent = authenticated(collector, request, body)
        collector.admitted.add(agent)
    collector.writer.submit_for(answer, _opened(collector, request, sent, body, agent))


def _remembered(collector: Collector, request: Request, sent: dict[str, str], body: bytes) -> Agent | None:
    """Return the agent that signed the request if it was let in before, as it was then."""
    agent = collector.admitted.get(sent.get(_AGENT, ""))
    told = (request.method, signed_path(request), sent, body)
    return agent if agent is not None and is_signed_by(agent.public_key, *told) else None


def _opened(collector: Collector, request: Request, sent: dict[str, str], body: bytes, agent: Agent) -> Batch:
    collector.agent_limits.check(agent.agent_id, len(body))
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
        headers=kept_headers(sent),
        body=body,
        received_at=collector.now(),
        verified=agent,
    )


def _note_refusal(collector: Collector, request: Request, address: str, refused: RefusedError) -> None:
    """Audit a refusal that staff should see; a gap or a full disk is everyday business, and a flood is cut off."""
    is_notable = refused.refusal.error in ("unknown_agent", "bad_signature", "agent_revoked", "fork")
    if is_notable and collector.attempts.failed(address, "ingest"):
        who = request.headers.get(AGENT_HEADER, "nobody")[:64]
        collector.note(who, "ingest", refused.refusal.error, address=address, refused=True)
