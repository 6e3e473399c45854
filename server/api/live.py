"""``/v1/live``: what arrives, as it arrives, by server-sent events.

An event is the entry of one record (what ``/v1/records`` lists), its id the position; a browser that was cut off goes on after
the last it saw (``Last-Event-ID``). When there is much, events tell only the newest of each kind and instrument. Who listens is asked
anew at every look: whoever may no longer see hears no more, and of what they may see as it then is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from server.access.roles import Permission
from server.api import models
from server.collector import Collector
from server.dependencies import TheCollector, allowed, collector_of, signed_in
from server.errors import RefusedError

LOOK_S = 1.0
SAY_S = 15.0
"""A comment at least that often, so that proxies keep the connection."""

MOST_LISTENERS = 200
PAGE = 500

router = APIRouter(prefix="/v1", tags=["query"], dependencies=[Depends(allowed(Permission.VIEW))])


@router.get("/live", response_class=StreamingResponse)
async def live(
    request: Request,
    collector: TheCollector,
    instrument: Annotated[str | None, Query(description="Only this instrument.")] = None,
    last_event_id: Annotated[str | None, Header(description="Position of the last event seen.")] = None,
) -> StreamingResponse:
    """Records as they arrive, as server-sent events."""
    listeners = request.app.state.listeners
    if listeners.n >= MOST_LISTENERS:
        raise RefusedError(
            503, "too_many_listeners", "Too many listen already; ask again later.", retry_after_s=60
        )
    after = (
        int(last_event_id) if (last_event_id or "").isdecimal() and len(last_event_id or "") < 19 else None
    )
    events = _events(collector, request, instrument, after)
    return StreamingResponse(listeners.counted(events), media_type="text/event-stream")


class Listeners:
    """Counts who listens."""

    def __init__(self) -> None:
        self.n = 0

    async def counted(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Give the events, counted as one listener while they last."""
        self.n += 1
        try:
            async for event in events:
                yield event
        finally:
            self.n -= 1


async def _events(
    collector: Collector, request: Request, instrument: str | None, after: int | None
) -> AsyncIterator[bytes]:
    position = await run_sync(_newest, collector) if after is None else after
    yield b": listening\n\n"
    quiet_s = 0.0
    while not await request.is_disconnected():
        try:
            entries, position = await run_sync(_arrived, request, instrument, position)
        except RefusedError:
            return
        for entry in entries:
            told = json.dumps(entry.model_dump(mode="json"), separators=(",", ":"))
            yield f"id: {entry.position}\nevent: record\ndata: {told}\n\n".encode()
        quiet_s = 0.0 if entries else quiet_s + LOOK_S
        if quiet_s >= SAY_S:
            quiet_s = 0.0
            yield b": still here\n\n"
        await anyio.sleep(LOOK_S)


def _newest(collector: Collector) -> int:
    with collector.store.reading() as reads:
        return reads.last_position()


def _arrived(request: Request, instrument: str | None, after: int) -> tuple[list[models.RecordEntry], int]:
    """Return the newest entry of each kind and instrument that arrived after a position, and where to go on.

    Raises
    ------
    RefusedError
        Who asked may no longer see it.
    """
    person = signed_in(request)
    person.must(Permission.VIEW)
    collector = collector_of(request).seen_in(person.scope)
    newest: dict[tuple[str, str], models.RecordEntry] = {}
    with collector.store.reading() as reads:
        rows = reads.records(instrument, None, after, PAGE)
    for row in rows:
        newest[row.instrument_id, row.kind] = models.RecordEntry.model_validate(row)
    position = rows[-1].position if rows else after
    return sorted(newest.values(), key=lambda entry: entry.position), position
