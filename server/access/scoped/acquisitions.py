"""What somebody may see of acquisitions."""

from __future__ import annotations

from collections.abc import Sequence

from server.access.scoped.basis import ScopedReads
from server.store import rows


class ScopedAcquisitions(ScopedReads):
    """Without what is out of scope."""

    def acquisition(self, acquisition_id: str) -> rows.AcquisitionRow | None:
        return self._mine(self._reads.acquisition(acquisition_id))

    def acquisitions(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        return self._reads.acquisitions(instrument_id, before, limit) if self._has(instrument_id) else []

    def find_acquisitions(
        self, wanted: rows.AcquisitionQuery, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        if wanted.instrument_id is not None and not self._has(wanted.instrument_id):
            return []

        def page(at: rows.Place | None, n: int) -> list[rows.AcquisitionRow]:
            return self._reads.find_acquisitions(wanted, at, n)

        return self._filled(page, _place_of, before, limit, self._is_mine)

    def datasets(self, among: Sequence[str]) -> dict[str, list[rows.Dataset]]:
        return self._reads.datasets([one for one in among if self.acquisition(one) is not None])

    def search_terms(self, sort: str, limit: int = 200) -> list[str]:
        return []  # terms are shared by all instruments: what others write would be suggested

    def ledgers(self, acquisition_id: str) -> list[rows.LedgerRow]:
        return self._reads.ledgers(acquisition_id) if self.acquisition(acquisition_id) else []


def _place_of(row: rows.AcquisitionRow) -> rows.Place:
    return rows.Place(row.began_at, row.position)
