"""Questions to PostgreSQL that are put in other words than to other engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.store.connection import to_uuid
from server.store.packing import USUAL_VERSION
from server.store.reads import SqlReads
from server.store.rows import RecordRow


class PostgresReads(SqlReads):
    """Reads where an index finds positions by the hundreds they are in, which is what it holds."""

    version_of_record = f"coalesce(r.schema_version, '{USUAL_VERSION}')"

    def _beyond(self, sign: str, position: int) -> tuple[str, list[Any]]:
        return f"r.position >> 7 {sign}= ?::bigint >> 7 AND r.position {sign} ?", [position, position]

    def _by_position(self, way: str = "ASC") -> str:
        return f"r.position >> 7 {way}, r.position {way}"

    def records_named(self, among: Sequence[str]) -> dict[str, RecordRow]:
        wanted = [one for one in map(to_uuid, among) if one is not None]
        found = self._records("r.record_id = ANY(?)", wanted) if wanted else []
        return {row.record_id: row for row in found}
