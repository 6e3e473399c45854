"""What people and jobs put down: documents, entries, attachments, in the SQL that the engines share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from server.store import rows
from server.store.base import Reads, Writes
from server.store.connection import SqlRows, marks
from server.store.joining import check_replaces

_DOCUMENT = "SELECT kind, key, body, version, changed_at, changed_by FROM documents"
_ENTRY = "SELECT entry_id, kind, at, by, body, instrument_id, subject, position FROM entries"


class DeskReads(SqlRows, Reads):
    """Reads them."""

    def document(self, kind: str, key: str) -> rows.Document | None:
        return self._one(rows.Document, f"{_DOCUMENT} WHERE kind = ? AND key = ?", kind, key)

    def documents(self, kind: str) -> list[rows.Document]:
        return self._all(rows.Document, f"{_DOCUMENT} WHERE kind = ? ORDER BY key", kind)

    def entries(
        self,
        kinds: Sequence[str] = (),
        instrument_id: str | None = None,
        subject: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[rows.Entry]:
        wanted = {"instrument_id = ?": instrument_id, "subject = ?": subject, "position < ?": before}
        given = {clause: value for clause, value in wanted.items() if value is not None}
        clauses = [f"kind IN ({marks(kinds)})" if kinds else "TRUE", *given]
        sql = f"{_ENTRY} WHERE {' AND '.join(clauses)} ORDER BY position DESC LIMIT ?"
        return self._all(rows.Entry, sql, *kinds, *given.values(), limit)

    def attachment(self, sha256: str) -> rows.Attachment | None:
        sql = "SELECT sha256, media_type, content FROM attachments WHERE sha256 = ?"
        return self._one(rows.Attachment, sql, sha256)


class DeskWrites(DeskReads, Writes):
    """Changes them."""

    def put_document(
        self, kind: str, key: str, body: str, at: datetime, by: str, replaces: int | None = None
    ) -> rows.Document:
        while True:
            version = check_replaces(self.document(kind, key), replaces) + 1
            n_written = self._do(
                "INSERT INTO documents (kind, key, body, version, changed_at, changed_by) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body, version = excluded.version, "
                "changed_at = excluded.changed_at, changed_by = excluded.changed_by "
                "WHERE documents.version = excluded.version - 1",
                kind,
                key,
                body,
                version,
                at,
                by,
            )
            if n_written:  # else another collector changed it meanwhile
                return rows.Document(kind, key, body, version, at, by)

    def remove_document(self, kind: str, key: str) -> bool:
        return self._do("DELETE FROM documents WHERE kind = ? AND key = ?", kind, key) == 1

    def add_entry(self, entry: rows.Entry) -> int:
        self._do(
            "INSERT INTO entries (entry_id, kind, at, by, body, instrument_id, subject) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (entry_id) DO NOTHING",
            entry.entry_id,
            entry.kind,
            entry.at,
            entry.by,
            entry.body,
            entry.instrument_id,
            entry.subject,
        )
        return self._one(rows.Entry, f"{_ENTRY} WHERE entry_id = ?", entry.entry_id).position

    def add_attachment(self, attachment: rows.Attachment) -> None:
        self._do(
            "INSERT INTO attachments (sha256, media_type, content) VALUES (?, ?, ?) ON CONFLICT (sha256) DO NOTHING",
            attachment.sha256,
            attachment.media_type,
            attachment.content,
        )
