"""Acquisitions: what each record adds to them, what they are found by, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AcquisitionFacts:
    """What one record adds to what is known of an acquisition; None is 'does not say'."""

    acquisition_id: UUID
    started_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = None
    n_expected: int | None = None
    n_seen: int | None = None
    n_dropped: int | None = None
    n_files: int | None = None
    n_stamped: int | None = None
    n_problems: int | None = None
    size_bytes: int | None = None
    first_frame: int | None = None
    n_frames: int | None = None

    def numbers(self) -> list[int]:
        """Return every number in it."""
        values = [getattr(self, name) for name in self.__slots__]
        return [value for value in values if isinstance(value, int)]


class Dataset(NamedTuple):
    """What an acquisition wrote: where, and its hash before and after the stamp."""

    path: str
    sha256: str | None = None
    stamped_sha256: str | None = None


class SearchFacts(NamedTuple):
    """What acquisitions are to be found by; terms are pairs of a sort and a text in lower case."""

    acquisition_ids: tuple[UUID, ...]
    terms: tuple[tuple[str, str], ...] = ()
    datasets: tuple[Dataset, ...] = ()


@dataclass(frozen=True, slots=True)
class AcquisitionRow:
    """An acquisition, joined from all records that speak of it."""

    position: int
    acquisition_id: str
    instrument_id: str
    began_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    n_expected: int | None
    n_seen: int | None
    n_dropped: int | None
    n_in_ledger: int
    n_files: int | None
    n_stamped: int | None
    n_problems: int | None
    started_record_id: str | None
    finished_record_id: str | None
    stamp_record_id: str | None
    size_bytes: int | None = None
    """Of everything it wrote, as its end told."""


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One ledger record of an acquisition: which frames it stamps."""

    record_id: str
    first_frame: int
    n_frames: int


@dataclass(frozen=True, slots=True)
class AcquisitionQuery:
    """What an acquisition must have; what is empty does not matter.

    `words` begin words of its file names, `terms` are exact (sort, text), `sha256` begins a hash.
    """

    instrument_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: tuple[str, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()
    sha256: str = ""
