"""What a store is asked and told of what people and jobs put down: documents, entries, attachments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from server.store import rows


class ReadsDesk(ABC):
    """Questions about what people and jobs put down: documents, entries, attachments."""

    @abstractmethod
    def document(self, kind: str, key: str) -> rows.Document | None: ...
    @abstractmethod
    def documents(self, kind: str) -> list[rows.Document]:
        """All documents of a kind by key."""

    @abstractmethod
    def entries(
        self,
        kinds: Sequence[str] = (),
        instrument_id: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[rows.Entry]:
        """Entries of some kinds (none: any) that match all that is given, those with a `position` below `before`, the last written first."""

    @abstractmethod
    def attachment(self, sha256: str) -> rows.Attachment | None: ...


class WritesDesk(ABC):
    """Changes of what people and jobs put down: documents, entries, attachments."""

    @abstractmethod
    def put_document(
        self, kind: str, key: str, body: str, at: datetime, by: str, replaces: int | None = None
    ) -> rows.Document:
        """Add or replace a document, and return it with its new version.

        Raises
        ------
        RefusedError
            409 ``changed_meanwhile`` when `replaces` is given and is not the version there is (0: none yet).
        """

    @abstractmethod
    def remove_document(self, kind: str, key: str) -> bool:
        """Remove it; return whether there was one."""

    @abstractmethod
    def add_entry(self, entry: rows.Entry) -> int:
        """Add it at the end, unless its `entry_id` is already there; return its position."""

    @abstractmethod
    def add_attachment(self, attachment: rows.Attachment) -> None:
        """Keep it, unless its hash is already there."""
