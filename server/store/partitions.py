"""Partitions of the two tables of PostgreSQL that grow without end.

Batches lie in partitions of `BATCHES_EACH` by their number, which is the order of receipt. Records lie in partitions by their
id: agents mint ids that begin with the time (UUID version 7, RFC 9562 section 5.7), so that a partition is a month, whose index
of ids grows at its end and alone keeps every record once. Other ids, and those of months nobody can speak of yet, lie together in
`records_other`, until their month comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from server.store.postgresql_connection import PostgresConnection

BATCHES_EACH = 10_000_000
_BATCHES_AHEAD = 100_000
"""More than one transaction adds."""
FIRST_MONTH = datetime(2020, 1, 1, tzinfo=UTC)
"""A clock that tells less was never set."""
_MS_BIT, _VERSION_BIT = 80, 76


def make_for_batches(connection: PostgresConnection, after: int) -> None:
    """Make the partitions for batches that come after that number, unless they are there."""
    for number in sorted({(after + 1) // BATCHES_EACH, (after + _BATCHES_AHEAD) // BATCHES_EACH}):
        _make(connection, "batches", f"{number:07d}", number * BATCHES_EACH, (number + 1) * BATCHES_EACH)


def make_for_records(connection: PostgresConnection, record_ids: Iterable[UUID], until: datetime) -> None:
    """Make the partitions for records with these ids, as far as they speak of a time up to the month after `until`."""
    numbers = [one.int for one in record_ids]
    if not numbers or _is_known(connection, min(numbers), max(numbers)):
        return
    last = _month_after(_month_after(until))
    for month in sorted({month for number in numbers if (month := _month_of(number)) is not None}):
        if FIRST_MONTH <= month < last:
            begin, end = first_id(month), first_id(_month_after(month))
            _make(connection, "records", f"{month:%Y_%m}", begin.int, end.int)


def first_id(moment: datetime) -> UUID:
    """Return the lowest id that begins with a time.

    >>> first_id(datetime(2026, 5, 1, tzinfo=UTC))
    UUID('019de0d5-c800-0000-0000-000000000000')
    """
    return UUID(int=round(moment.timestamp() * 1000) << _MS_BIT)


def _month_of(number: int) -> datetime | None:
    """Return the month that an id speaks of, None when it begins with no time."""
    if (number >> _VERSION_BIT) & 0xF != 7:
        return None
    try:
        moment = datetime.fromtimestamp((number >> _MS_BIT) / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # beyond the calendar
        return None
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def _month_after(moment: datetime) -> datetime:
    moment = moment.astimezone(UTC)
    return datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)


def _is_known(connection: PostgresConnection, first: int, last: int) -> bool:
    return any(begin <= first and last < end for begin, end in connection.partitions.values())


def _make(connection: PostgresConnection, table: str, suffix: str, begin: int, end: int) -> None:
    """Make a partition, unless it is there, and move what waited for it; whoever calls this holds the row of `counters`.

    It is made beside the table and attached, which holds up nobody who reads the table.
    """
    name = f"{table}_{suffix}"
    if name in connection.partitions:
        return
    if connection.fetch("SELECT to_regclass(?) IS NOT NULL", name)[0][0]:
        connection.partitions[name] = (begin, end)  # made by a transaction that has ended, or is ours
        return
    connection.do(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    first, last = (str(UUID(int=one)) if table == "records" else str(one) for one in (begin, end))
    if table == "records":
        connection.do(
            f"WITH due AS (DELETE FROM records_other WHERE record_id >= '{first}' AND record_id < '{last}' RETURNING *) "
            f"INSERT INTO {name} SELECT * FROM due"
        )
    connection.do(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{last}')")
