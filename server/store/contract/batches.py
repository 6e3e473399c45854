"""What a store is asked and told of what agents sent: spools, batches, and the checkpoints over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from server.store import rows


class ReadsBatches(ABC):
    """Questions about what agents sent: spools, batches, and the checkpoints over them."""

    @abstractmethod
    def spool(self, agent_id: str, spool_id: str) -> rows.Spool | None: ...
    @abstractmethod
    def spools(self) -> list[rows.Spool]: ...
    @abstractmethod
    def chain_at(self, agent_id: str, spool_id: str, seq: int) -> str | None:
        """Chain value after `seq`, or None where none is known (never received, inside a skipped range, or given up)."""

    @abstractmethod
    def batch(self, batch_id: int) -> rows.StoredBatch | None: ...
    @abstractmethod
    def batches_of(self, among: Sequence[rows.RecordRow | rows.QuarantineRow]) -> dict[int, rows.StoredBatch]:
        """Number to batch of those that rows came in: one question, however many there are."""

    @abstractmethod
    def batches(self, after: int = 0, limit: int = 100) -> list[rows.StoredBatch]:
        """Batches in the order they were taken, numbered from 1 without gaps."""

    @abstractmethod
    def batch_links(self, after: int = 0, limit: int = 100) -> list[rows.BatchLink]:
        """The same batches without what is large in them."""

    @abstractmethod
    def checkpoints(self, limit: int | None = None) -> list[rows.Checkpoint]:
        """Signed heads of the tree over all batches, the newest first."""


class WritesBatches(ABC):
    """Changes of what agents sent: spools, batches, and the checkpoints over them."""

    @abstractmethod
    def append(self, batch: rows.Batch) -> rows.Appended:
        """Add one batch, as `Store.write` does with many.

        What is new of a verified batch is added, and the spool's mark and chain move with it.

        A batch at or below the mark adds nothing. A record whose `record_id` is already filed is kept with its batch
        but not filed again. Flagged lines are kept and listed in quarantine.

        Raises
        ------
        RefusedError
            409 ``gap`` or ``fork``, as `server.store.joining.join` decides.
        """

    @abstractmethod
    def add_checkpoint(self, checkpoint: rows.Checkpoint) -> None: ...
    @abstractmethod
    def hold(self) -> None:
        """Let nobody else append or prune until the job is committed, also on other collectors of the same store."""
