"""A store as one person may see it: what is out of scope is not there.

Every page and every answer of the API reads through this when the person's scope is limited, so no route can forget to ask.
Lists are searched on until they are full, so paging works as it does for everybody. What belongs to no instrument (routes of
alerts, other people, the audit log) is hidden; what everybody may know (rules) is named in `server.access.scoped.desk`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from server.access.scope import Scope
from server.access.scoped.acquisitions import ScopedAcquisitions
from server.access.scoped.batches import ScopedBatches
from server.access.scoped.desk import ScopedDesk
from server.access.scoped.fleet import ScopedFleet
from server.access.scoped.people import ScopedPeople
from server.access.scoped.quality import ScopedQuality
from server.access.scoped.records import ScopedRecords
from server.access.scoped.use import ScopedUse
from server.errors import RefusedError
from server.store import rows
from server.store.base import Readable, Reads
from server.store.tables import Table


class StoreInScope(Readable):
    """Reads what is in scope; there is nothing to write or close with."""

    def __init__(self, store: Readable, scope: Scope) -> None:
        self._store = store
        self._scope = scope

    @contextmanager
    def reading(self) -> Iterator[Reads]:
        with self._store.reading() as reads:
            yield ReadsInScope(reads, self._scope)

    @contextmanager
    def reading_newest(self) -> Iterator[Reads]:
        with self._store.reading_newest() as reads:
            yield ReadsInScope(reads, self._scope)

    @contextmanager
    def snapshot(self) -> Iterator[Reads]:
        with self._store.snapshot() as reads:
            yield ReadsInScope(reads, self._scope)


class ReadsInScope(
    ScopedFleet,
    ScopedPeople,
    ScopedDesk,
    ScopedBatches,
    ScopedRecords,
    ScopedAcquisitions,
    ScopedQuality,
    ScopedUse,
):
    """Answers of `reads`, without what is out of `scope`."""

    def last_received_before(self, moment: datetime) -> int:
        return 0

    def old_records(
        self, kind: str, before: datetime, after: int = 0, limit: int = 1000, until: int = 0
    ) -> list[rows.OldRecord]:
        return []

    def dump(
        self, table: Table, after: Sequence[Any] | None = None, limit: int = 1000
    ) -> list[tuple[Any, ...]]:
        raise RefusedError(403, "not_allowed", "Whole tables are for those who may see everything.")


def check_whole(writes: Reads, scope: Scope, kind: str, key: str) -> None:
    """Refuse to change a document that also concerns what is out of scope, with 404 when all of it does."""
    document = writes.document(kind, key)
    if not scope.is_limited or document is None:
        return
    part = ReadsInScope(writes, scope).document(kind, key)
    if part is None:
        raise RefusedError(404, "not_found", f"There is no {kind.replace('_', ' ')} {key[:64]}.")
    if json.loads(part.body) != json.loads(document.body):
        raise RefusedError(
            403, "not_allowed", f"{key[:64]} also concerns instruments that are not yours; ask their staff."
        )
