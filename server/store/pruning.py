"""Giving records up without breaking what proves the others: see `Writes.prune`."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence

import zstandard

from server.store import rows
from server.store.chains import GIVEN_UP, line_sha256, lines_of
from server.store.connection import to_uuid
from server.store.reads import SqlReads
from server.store.using_days import spoil

_LEVEL = 9
"""Written once and kept for years."""


class SqlPruning(SqlReads):
    """The part of the writes that gives records up."""

    def prune(self, records: Sequence[rows.OldRecord]) -> int:
        self._connection.do("UPDATE counters SET batch_id = batch_id")  # nobody else writes meanwhile
        newest: set[str] = set()
        for instrument_id in {one.instrument_id for one in records}:
            newest.update(latest.record_id for latest in self.latest(instrument_id).values())
        given_up = [one for one in records if one.record_id not in newest]
        self._forget(given_up)
        lines: dict[int, set[int]] = defaultdict(set)
        for one in given_up:
            lines[one.batch_id].add(one.line)
        for batch_id, numbers in lines.items():
            self._empty(batch_id, numbers)
        return len(given_up)

    def _forget(self, given_up: Sequence[rows.OldRecord]) -> None:
        """Remove what the records are filed under."""
        ids = [(to_uuid(one.record_id),) for one in given_up]
        self._connection.do_each("DELETE FROM changes WHERE record_id = ?", ids)
        # Hours stay in the sums, whose hours they were does not.
        whose = "SELECT instrument_key, began_at, ended_at FROM usage_sessions WHERE record_id = ?"
        spoil(self._connection, [tuple(row) for one in ids for row in self._connection.fetch(whose, *one)])  # type: ignore[misc]
        self._connection.do_each(
            "UPDATE usage_sessions SET person = NULL, person_how = 'omitted' WHERE record_id = ?", ids
        )
        self._connection.do_each("DELETE FROM records WHERE record_id = ?", ids)

    def _empty(self, batch_id: int, numbers: set[int]) -> None:
        batch = self.batch(batch_id)
        kept = lines_of(batch) if batch else None
        if batch is None or batch.body is None or kept is None:
            return
        emptied = [
            GIVEN_UP + line_sha256(line).hex().encode() if number in numbers else line
            for number, line in enumerate(kept)
        ]
        body = None if all(line.startswith(GIVEN_UP) for line in emptied) else _packed(emptied)
        self._connection.do(
            "UPDATE batches SET body = ?, body_sha256 = ?, headers = ? WHERE batch_id = ?",
            body,
            batch.body_sha256 or hashlib.sha256(batch.body).hexdigest(),
            json.dumps({**batch.headers, "content-encoding": "zstd"}, separators=(",", ":")),
            batch_id,
        )


def _packed(lines: list[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(line + b"\n" for line in lines))
