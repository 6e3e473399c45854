"""What a store is asked and told of acquisitions, and how they are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from server.store import rows


class ReadsAcquisitions(ABC):
    """Questions about acquisitions, and how they are found."""

    @abstractmethod
    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None: ...
    @abstractmethod
    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]: ...
    @abstractmethod
    def find_acquisitions(
        self, wanted: rows.AcquisitionQuery, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        """Acquisitions of any instrument that have all that is wanted."""

    @abstractmethod
    def datasets(self, among: Sequence[str]) -> dict[str, list[rows.Dataset]]:
        """Acquisition to what it wrote, by path."""

    @abstractmethod
    def search_terms(self, sort: str, limit: int = 200) -> list[str]:
        """Terms of a sort that acquisitions can be looked for by, in their order."""

    @abstractmethod
    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        """Ledger records of an acquisition by first frame."""
