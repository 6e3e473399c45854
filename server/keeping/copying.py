"""Moving a store to another engine, row by row, and proving that nothing was lost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server.errors import SettingsError, StoreError
from server.store import Failed, Reads, Store
from server.store.tables import TABLES, Table

_ROWS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Copied:
    """What of one table was copied: both sides were counted and hashed."""

    table: str
    n_rows: int
    sha256: str


def copy_store(source: Store, target: Store) -> Iterator[Copied]:
    """Copy one moment of a store into an empty one, yielding each table when both sides were compared.

    The source may be in use; the target must not.

    Raises
    ------
    SettingsError
        The target is not empty.
    StoreError
        The two sides differ.
    """
    with target.reading() as reads:
        _must_be_empty(reads)
    with source.snapshot() as there:
        for table in TABLES:
            for rows in _pages(there, table):
                _load(target, table, rows)
            with target.reading() as here:
                yield _compared(digest(there, table), digest(here, table))


def digest(reads: Reads, table: Table) -> Copied:
    """Return how many rows a table has, and the hash of all of them in order."""
    sha256, n_rows = hashlib.sha256(), 0
    for rows in _pages(reads, table):
        n_rows += len(rows)
        for row in rows:
            sha256.update(repr(row).encode())
    return Copied(table.name, n_rows, sha256.hexdigest())


def _pages(reads: Reads, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    after = None
    while rows := reads.dump(table, after, _ROWS_AT_ONCE):
        yield rows
        after = rows[-1][: len(table.key)]


def _load(target: Store, table: Table, rows: list[tuple[Any, ...]]) -> None:
    (outcome,) = target.write([lambda writes: writes.load(table, rows)])
    if isinstance(outcome, Failed):
        raise outcome.error


def _compared(there: Copied, here: Copied) -> Copied:
    if there != here:
        raise StoreError(
            f"Table {there.table} differs after the copy: {there.n_rows} rows there, {here.n_rows} here. Does a collector "
            "write to the target? Empty it and copy again."
        )
    return here


def _must_be_empty(reads: Reads) -> None:
    there = [table.name for table in TABLES if table.name != "counters" and reads.dump(table, limit=1)]
    if there:
        raise SettingsError(f"The target already holds {', '.join(there)}; copy into an empty store.")
