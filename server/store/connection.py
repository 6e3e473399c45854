"""What the SQL of a store runs on: one connection of one engine.

Statements are written once, with ``?`` for values, in the SQL that the engines share. Values are plain Python: aware times,
`UUID`, int, float, str, bytes, None; each engine binds them as its columns want them, and `row_of` turns them back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class Connection(ABC):
    """Runs statements; nobody else uses it at the same time."""

    @abstractmethod
    def fetch(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows a statement yields."""

    @abstractmethod
    def do(self, sql: str, *values: Any) -> int:
        """Run a statement and return how many rows it touched."""

    @abstractmethod
    def do_each(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""

    @abstractmethod
    def add(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        """Insert many rows by the fastest way there is; the values are `bound` already."""

    @abstractmethod
    def bound(self, value: Any) -> Any:
        """Return a value as this engine's columns hold it."""

    @abstractmethod
    def bound_time(self, moment: datetime) -> Any:
        """Return a time as this engine's columns hold it: `bound` for where a thousand are bound at once."""

    @abstractmethod
    def bound_id(self, record_id: UUID) -> Any:
        """Return an id as this engine's columns hold it."""

    def one(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        """Return the first row, None without one."""
        found = self.fetch(sql, *values)
        return found[0] if found else None


def to_us(moment: datetime) -> int:
    """Return an aware time as microseconds since 1970.

    >>> to_us(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_us(microseconds: int) -> datetime:
    """Return the time of `to_us`."""
    return _EPOCH + microseconds * _US


def to_uuid(text: str) -> UUID | None:
    """Return the id in a text, None when it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def row_of(row_type: type, values: Sequence[Any]) -> Any:
    """Return a row of its type: columns called ``…_at`` as times, ids as text."""
    row = list(values)
    for number, name in _translated(row_type):
        row[number] = plain(name, row[number])
    return row_type(*row)


@lru_cache
def _translated(row_type: type) -> tuple[tuple[int, str], ...]:
    """Return number and name of the columns that `plain` may change: few, and rows are read by the thousand."""
    names = row_type.__dataclass_fields__  # type: ignore[attr-defined]  # every row is a dataclass
    return tuple(
        (number, name) for number, name in enumerate(names) if name == "at" or name.endswith(("_at", "_id"))
    )


def plain(name: str, value: Any) -> Any:
    """Return a value of an engine as a row holds it, judged by the name of its column."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int) and (name == "at" or name.endswith("_at")):
        return from_us(value)
    if isinstance(value, bytes) and name.endswith("_id"):
        text = value.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return value


def times_of(values: Iterable[Any]) -> list[Any]:
    """Return times of an engine as rows hold them: `plain` for where thousands are read at once."""
    return [_EPOCH + value * _US if isinstance(value, int) else value for value in values]


def marks(values: Collection[Any]) -> str:
    """Return a question mark for each value."""
    return ", ".join("?" * len(values))


class SqlRows:
    """Runs statements on a connection and returns their rows typed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _one(self, row_type: type, sql: str, *values: Any) -> Any:
        found = self._connection.one(sql, *values)
        return None if found is None else row_of(row_type, found)

    def _all(self, row_type: type, sql: str, *values: Any) -> list[Any]:
        return [row_of(row_type, found) for found in self._connection.fetch(sql, *values)]

    def _do(self, sql: str, *values: Any) -> int:
        return self._connection.do(sql, *values)
