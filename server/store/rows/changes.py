"""The change log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from agent.records import Change


class FiledChange(NamedTuple):
    """One change of a change record, as it goes into the change log."""

    device: str
    property: str
    last_at: datetime
    change: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One entry of the flattened change log."""

    position: int
    record_id: str
    instrument_id: str
    acquisition_id: str | None
    change: Change


class ChangeMark(NamedTuple):
    """A change in a few words, to count thousands by; of the property's name as much as the index of the log holds."""

    # A named tuple: thousands are gone through for one page.
    position: int
    device: str
    property: str
    at: datetime


class ChangeInShort(NamedTuple):
    """A change as what happened afterwards is explained by; values are None where they could not be read."""

    position: int
    record_id: str
    device: str
    property: str
    at: datetime
    before: object
    after: object
    unit: str | None
