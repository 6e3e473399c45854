"""Spools, batches and the checkpoints over them, in the SQL that the engines share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent.records.wire import CHAIN_START
from server.store import rows
from server.store.base import Reads
from server.store.chains import chain_within
from server.store.connection import SqlRows, marks, row_of
from server.store.finding import LAST

_SPOOL = "SELECT agent_id, spool_id, mark, chain, n_skipped, first_received_at, last_received_at FROM spools"
_BATCH = """
    SELECT batch_id, agent_id, spool_id, first_seq, last_seq - first_seq + 1, n_known, prev, b.chain, path, headers, body,
           body_sha256, received_at
    FROM batches b JOIN spools USING (spool_key)"""

_LINK = """
    SELECT agent_id, spool_id, first_seq, last_seq, n_known, prev, b.chain FROM batches b JOIN spools USING (spool_key)"""


class BatchReads(SqlRows, Reads):
    """The part of the reads that looks there."""

    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None:
        return self._one(rows.Spool, f"{_SPOOL} WHERE agent_id = ? AND spool_id = ?", agent_id, spool_id)

    def spools(self) -> list[rows.Spool]:
        return self._all(rows.Spool, f"{_SPOOL} ORDER BY last_received_at DESC")

    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        spool = self.spool(agent_id, spool_id)
        if seq == 0 or spool is None or seq > spool.mark:
            return CHAIN_START if seq == 0 else None
        if seq == spool.mark:
            return spool.chain
        sql = "SELECT k.chain FROM skips k JOIN spools USING (spool_key) WHERE agent_id = ? AND spool_id = ? AND last_seq = ?"
        found = self._connection.one(sql, agent_id, spool_id, seq)
        return found[0] if found else self._chain_inside(agent_id, spool_id, seq)

    def _chain_inside(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        sql = f"{_BATCH} WHERE agent_id = ? AND spool_id = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1"
        found = self._connection.one(sql, agent_id, spool_id, seq)
        return chain_within(_batch(found), seq) if found else None

    def batch(self, batch_id: int) -> rows.StoredBatch | None:
        found = self._connection.one(f"{_BATCH} WHERE batch_id = ?", batch_id)
        return _batch(found) if found else None

    def batches_of(self, among: Sequence[rows.RecordRow | rows.QuarantineRow]) -> dict[int, rows.StoredBatch]:
        ids = {row.batch_id for row in among}
        sql = f"{_BATCH} WHERE batch_id IN ({marks(ids)})"
        found = self._connection.fetch(sql, *sorted(ids)) if among else []
        return {batch.batch_id: batch for batch in map(_batch, found)}

    def batches(self, after: int = 0, limit: int = 100) -> list[rows.StoredBatch]:
        sql = f"{_BATCH} WHERE batch_id > ? ORDER BY batch_id LIMIT ?"
        return [_batch(found) for found in self._connection.fetch(sql, after, limit)]

    def batch_links(self, after: int = 0, limit: int = 100) -> list[rows.BatchLink]:
        sql = f"{_LINK} WHERE batch_id > ? ORDER BY batch_id LIMIT ?"
        return [rows.BatchLink(*found) for found in self._connection.fetch(sql, after, limit)]

    def checkpoints(self, limit: int | None = None) -> list[rows.Checkpoint]:
        sql = "SELECT n_batches, root, edge, note, made_at FROM checkpoints ORDER BY n_batches DESC LIMIT ?"
        return self._all(rows.Checkpoint, sql, LAST if limit is None else limit)


def _batch(found: Sequence[Any]) -> rows.StoredBatch:
    return row_of(rows.StoredBatch, (*found[:9], json.loads(found[9]), *found[10:]))
