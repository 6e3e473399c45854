"""What a store is asked and told of records, the newest of each kind, the change log, and lines that were not understood."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime

from server.store import rows


class ReadsRecords(ABC):
    """Questions about records, the newest of each kind, the change log, and lines that were not understood."""

    @abstractmethod
    def record(self, record_id: str) -> rows.RecordRow | None: ...
    @abstractmethod
    def records_named(self, among: Sequence[str]) -> dict[str, rows.RecordRow]:
        """Record id to where it is filed, without those that are not: one question, however many there are."""

    @abstractmethod
    def records(
        self, instrument_id: str | None = None, kind: str | None = None, after: int = 0, limit: int = 100
    ) -> list[rows.RecordRow]:
        """Records in order of arrival, those with a `position` beyond `after`: a tail that never misses one."""

    @abstractmethod
    def last_position(self) -> int:
        """Position of the last record to arrive, 0 when there is none: where a tail begins that wants only what is new."""

    @abstractmethod
    def recent(
        self, instrument_id: str, kind: str, limit: int = 20, before: int | None = None
    ) -> list[rows.RecordRow]:
        """The last records of one kind to arrive, those with a `position` below `before` when it is given."""

    @abstractmethod
    def latest(self, instrument_id: str) -> dict[str, rows.LatestRecord]:
        """Kind to the newest record of it.

        Newest: within one ``boot_id`` by monotonic time; otherwise by wall time, where a time in the future counts as
        the time of receipt, so that a wrong clock cannot hold its place for ever.
        """

    @abstractmethod
    def instruments_with(self, kind: str, since: datetime) -> set[str]:
        """Instruments whose newest record of a kind was received then or later: one question, however many there are."""

    @abstractmethod
    def last_of_kind(self, kind: str) -> dict[str, int]:
        """Instrument to the position of its last record of a kind to arrive: one question, however many there are."""

    @abstractmethod
    def changes(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeRow]: ...
    @abstractmethod
    def change_marks(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeMark]:
        """The same as `changes`, for going through thousands: an index alone answers."""

    @abstractmethod
    def changes_in_short(self, instrument_id: str, positions: Sequence[int]) -> dict[int, rows.ChangeInShort]:
        """Position to change of some of an instrument."""

    @abstractmethod
    def quarantine(self, before: int | None = None, limit: int = 50) -> list[rows.QuarantineRow]: ...
    @abstractmethod
    def quarantined(self, position: int) -> rows.QuarantineRow | None: ...
    @abstractmethod
    def n_quarantined(self) -> int: ...
