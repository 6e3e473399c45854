"""What a store is asked and told of what is given up, and whole tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from server.store import rows
from server.store.tables import Table


class ReadsCare(ABC):
    """Questions about what is given up, and whole tables."""

    @abstractmethod
    def last_received_before(self, moment: datetime) -> int:
        """Position of the last record received before a moment, 0 when there is none; found by halving, so that where the
        collector's clock was put back or forward meanwhile it is that of one near."""

    @abstractmethod
    def old_records(
        self, kind: str, before: datetime, after: int = 0, limit: int = 1000, until: int = ...
    ) -> list[rows.OldRecord]:
        """Records of a kind received before a time, in order of arrival, those with a `position` beyond `after` up to `until`."""

    @abstractmethod
    def dump(
        self, table: Table, after: Sequence[Any] | None = None, limit: int = 1000
    ) -> list[tuple[Any, ...]]:
        """Rows of a table by its key, those beyond the key `after`: times, ids as text, and otherwise plain values."""


class WritesCare(ABC):
    """Changes of what is given up, and whole tables."""

    @abstractmethod
    def prune(self, records: Sequence[rows.OldRecord]) -> int:
        """Give records up, and return how many that were.

        What they were filed under goes. In their batches each line is replaced by its hash, and the whole body is given up
        with its last line, so that chains, signatures and checkpoints can be verified as before. The newest record of
        each kind stays whatever is asked.
        """

    @abstractmethod
    def load(self, table: Table, values: Sequence[Sequence[Any]]) -> None:
        """Add rows that `Reads.dump` gave out, to a store that has nothing yet."""
