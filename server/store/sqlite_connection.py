"""One connection to a SQLite file, used from whichever thread has it at the time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any
from uuid import UUID

from server.store.connection import Connection, to_us

_ROWS_AT_ONCE = 500
"""Rows to a statement; SQLite takes 32 766 values."""


class SqliteConnection(Connection):
    """Statements on one SQLite connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def fetch(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, [self.bound(value) for value in values]).fetchall()

    def do(self, sql: str, *values: Any) -> int:
        return self._connection.execute(sql, [self.bound(value) for value in values]).rowcount

    def do_each(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, ([self.bound(value) for value in row] for row in rows))

    def add(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        self.add_new(table, columns, rows, on_conflict="")

    def add_new(
        self,
        table: str,
        columns: Sequence[str],
        rows: list[tuple[Any, ...]],
        on_conflict: str = "ON CONFLICT DO NOTHING",
    ) -> int:
        """Insert what is not there yet, and return how many that were."""
        sql = f"INSERT INTO {table} ({', '.join(columns)}) {{rows}} {on_conflict}"
        return sum(cursor.rowcount for cursor in self._on(sql, rows))

    def fetch_on(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Run a statement on rows that stand in it for ``{rows}``, bound already, and return what it yields."""
        return [found for cursor in self._on(sql, rows) for found in cursor.fetchall()]

    def _on(self, sql: str, rows: Sequence[Sequence[Any]]) -> Iterator[sqlite3.Cursor]:
        # Many rows to a statement: Python gives its lock up for each statement, and must wait to get it back.
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            listed = sql.replace("{rows}", _values(len(some), len(some[0])))
            yield self._connection.execute(listed, list(chain.from_iterable(some)))

    def bound(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return to_us(value)
        return value.bytes if isinstance(value, UUID) else value

    bound_time = staticmethod(to_us)

    def bound_id(self, record_id: UUID) -> bytes:
        return record_id.bytes


@lru_cache(maxsize=4096)
def _values(n_rows: int, n_columns: int) -> str:
    """Return the clause of so many rows of so many values.

    >>> _values(2, 3)
    'VALUES (?, ?, ?), (?, ?, ?)'
    """
    return "VALUES " + ", ".join([f"({', '.join('?' * n_columns)})"] * n_rows)
