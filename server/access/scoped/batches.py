"""What somebody may see of spools and batches."""

from __future__ import annotations

from collections.abc import Sequence

from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedBatches(ScopedReads):
    """Without what is out of scope."""

    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None:
        return self._reads.spool(agent_id, spool_id) if self._has_agent(agent_id) else None

    def spools(self) -> list[rows.Spool]:
        mine = {one.agent_id for one in self.agents()}
        return [one for one in self._reads.spools() if one.agent_id in mine]

    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        return self._reads.chain_at(agent_id, spool_id, seq) if self._has_agent(agent_id) else None

    def batch(self, batch_id: int) -> rows.StoredBatch | None:
        batch = self._reads.batch(batch_id)
        return batch if batch is not None and self._has_agent(batch.agent_id) else None

    def batches_of(self, among: Sequence[rows.RecordRow | rows.QuarantineRow]) -> dict[int, rows.StoredBatch]:
        mine = {agent_id for agent_id in {row.agent_id for row in among} if self._has_agent(agent_id)}
        return self._reads.batches_of([row for row in among if row.agent_id in mine])

    def batches(self, after: int = 0, limit: int = 100) -> list[rows.StoredBatch]:
        mine = {one.agent_id for one in self.agents()}
        return self._filled(
            self._reads.batches, lambda one: one.batch_id, after, limit, lambda one: one.agent_id in mine
        )

    def batch_links(self, after: int = 0, limit: int = 100) -> list[rows.BatchLink]:
        return []  # numbered without gaps, so that some of them would lead nowhere

    def checkpoints(self, limit: int | None = None) -> list[rows.Checkpoint]:
        return []
