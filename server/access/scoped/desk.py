"""What somebody may see of what people put down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from server.access.scoped.basis import ScopedReads
from server.sites import is_within
from server.store import rows

_AT_ONCE = 500
_FOR_ALL = frozenset({"alert_rule"})
"""Kinds of documents that say nothing of an instrument."""


class ScopedDesk(ScopedReads):
    """Without what is out of scope."""

    def document(self, kind: str, key: str) -> rows.Document | None:
        document = self._reads.document(kind, key)
        return self._part(document) if document else None

    def documents(self, kind: str) -> list[rows.Document]:
        parts = (self._part(one) for one in self._reads.documents(kind))
        return [part for part in parts if part is not None]

    def _part(self, document: rows.Document) -> rows.Document | None:
        """Return what of a document is in scope: one that names instruments names only those of the scope."""
        if document.kind in _FOR_ALL:
            return document
        if document.kind == "instrument_facts":
            return document if self._has(document.key) else None
        told = json.loads(document.body)
        if document.kind == "instrument_group":
            kept: Any = [one for one in told if self._has(one)]
            return replace(document, body=json.dumps(kept)) if kept else None
        if document.kind == "qc_schedule":
            return self._part_of_schedule(document, told)
        if document.kind == "alert_silence":
            return self._part_of_silence(document, told)
        return document if isinstance(told, dict) and self._has(told.get("instrument_id")) else None

    def _part_of_silence(self, document: rows.Document, told: dict[str, Any]) -> rows.Document | None:
        names, sites = told.get("instruments", ()), told.get("sites", ())
        covered = [
            one
            for one in self.instruments()
            if (not names or one.instrument_id in names) and (not sites or is_within(one.site, sites))
        ]
        told["instruments"] = [one for one in names if self._has(one)]
        told["sites"] = [one for one in sites if any(is_within(mine.site, [one]) for mine in covered)]
        return replace(document, body=json.dumps(told)) if covered else None

    def _part_of_schedule(self, document: rows.Document, told: dict[str, Any]) -> rows.Document | None:
        groups = {one.key for one in self.documents("instrument_group")}
        told["instruments"] = [one for one in told.get("instruments", ()) if self._has(one)]
        told["groups"] = [one for one in told.get("groups", ()) if one in groups]
        is_mine = told["instruments"] or told["groups"]
        return replace(document, body=json.dumps(told)) if is_mine else None

    def entries(
        self,
        kinds: Sequence[str] = (),
        instrument_id: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[rows.Entry]:
        def page(at: int | None, n: int) -> list[rows.Entry]:
            return self._reads.entries(kinds, instrument_id, subject, at, n)

        return self._filled(page, lambda one: one.position, before, limit, self._is_mine)

    def attachment(self, sha256: str) -> rows.Attachment | None:
        attachment = self._reads.attachment(sha256)
        if attachment is None or not any(self._is_attached(one, sha256) for one in self._ids):
            return None
        return attachment

    def _is_attached(self, instrument_id: str, sha256: str) -> bool:
        before: int | None = None
        while page := self._reads.entries((), instrument_id, None, before, _AT_ONCE):
            if any(f'"{sha256}"' in one.body for one in page):
                return True
            before = page[-1].position
        return False
