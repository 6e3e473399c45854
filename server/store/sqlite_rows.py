"""Statements to typed rows and back, on one connection that nobody else uses at the same time."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any


def to_text(moment: datetime | None) -> str | None:
    """Return a time as text that sorts."""
    return None if moment is None else moment.isoformat(timespec="microseconds")


def to_row(row_type: type, values: tuple[Any, ...]) -> Any:
    """Return a row of its type, with columns called ``…_at`` turned back into times."""
    names = row_type.__dataclass_fields__
    return row_type(
        *(
            datetime.fromisoformat(value)
            if value is not None and (name == "at" or name.endswith("_at"))
            else value
            for name, value in zip(names, values, strict=True)
        )
    )


class SqliteRows:
    """Runs statements and returns their rows typed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _one(self, row_type: type, sql: str, *values: Any) -> Any:
        found = self._connection.execute(sql, values).fetchone()
        return None if found is None else to_row(row_type, found)

    def _all(self, row_type: type, sql: str, *values: Any) -> list[Any]:
        return [to_row(row_type, found) for found in self._connection.execute(sql, values)]

    def _do(self, sql: str, *values: Any) -> int:
        """Run one statement and return how many rows it touched; times go in as text."""
        bound = [to_text(value) if isinstance(value, datetime) else value for value in values]
        return self._connection.execute(sql, bound).rowcount
