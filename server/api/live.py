"""``/v1/live``: what arrives, as it arrives, by server-sent events.

An event is the entry of one record (what ``/v1/records`` lists), its id the position; a browser that was cut off goes on after
the last it saw (``Last-Event-ID``). When there is much, events tell only the newest of each kind and instrument. Who listens is asked
anew at every look: whoever may no longer see hears no more, and of what they may see as it then is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.access.roles import Permission
from server.api import models
from server.collector import Collector
from server.dependencies import TheCollector, ThePerson, collector_of, signed_in
from server.errors import RefusedError

LOOK_S = 1.0
SAY_S = 15.0
"""A comment at least that often, so that proxies keep the connection."""

MOST_LISTENERS = 200
PAGE = 500

router = APIRouter(prefix="/v1", tags=["query"])


@router.get("/live", response_class=StreamingResponse)
async def live(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    instrument: Annotated[str | None, Query(description="Only this instrument.")] = None,
    last_event_id: Annotated[str | None, Header(description="Position of the last event seen.")] = None,
) -> StreamingResponse:
    """Records as they arrive, as server-sent events."""
    after = (
        int(last_event_id) if (last_event_id or "").isdecimal() and len(last_event_id or "") < 19 else None
    )
    events = _events(collector, request, instrument, after)
    who = f"{'session' if person.form_token else 'token'} {person.name}"
    return _Stream(events, request.app.state.listeners, who, collector.settings.limits.live_streams_of_one)


class Listeners:
    """Counts who listens, on the one thread of the event loop."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextmanager
    def counted(self, who: str, most_of_one: int) -> Iterator[None]:
        """Count one stream more while this lasts.

        Raises
        ------
        RefusedError
            503 when too many listen, 429 when this person holds as many streams as one may.
        """
        if self._of.total() >= MOST_LISTENERS:
            raise RefusedError(
                503, "too_many_listeners", "Too many listen already; ask again later.", retry_after_s=60
            )
        if self._of[who] >= most_of_one:
            message = (
                f"You hold {most_of_one} streams of live events already, as many as one may; close one first."
            )
            raise RefusedError(429, "too_many_streams", message, retry_after_s=60)
        self._of[who] += 1
        try:
            yield
        finally:
            self._of -= Counter([who])


class _Stream(StreamingResponse):
    """Events to a listener, who is counted from the first byte to the last and refused before it."""

    def __init__(
        self, events: AsyncIterator[bytes], listeners: Listeners, who: str, most_of_one: int
    ) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._listeners, self._who, self._most_of_one = listeners, who, most_of_one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._listeners.counted(self._who, self._most_of_one):
            await super().__call__(scope, receive, send)


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
        looked_up_to = reads.last_position()  # asked first: what comes meanwhile is found by the next look
        rows = reads.records(instrument, None, after, PAGE)
    for row in rows:
        newest[row.instrument_id, row.kind] = models.RecordEntry.model_validate(row)
    position = rows[-1].position if rows else max(looked_up_to, after)
    return sorted(newest.values(), key=lambda entry: entry.position), position
