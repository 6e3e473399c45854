"""One connection to PostgreSQL, used from whichever thread has it at the time.

The driver, asyncpg, is asynchronous; each connection has an event loop of its own that runs only while a statement does.
It was chosen for its licence (Apache-2.0) and because it copies rows in binary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from server.store.connection import Connection

_new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop as _new_event_loop  # a collector then needs a tenth less CPU
except ImportError:  # there is none for Windows
    from asyncio import new_event_loop as _new_event_loop

_CONNECT_S = 10.0
_STATEMENT_S = 120.0


class PostgresConnection(Connection):
    """Statements on one connection.

    Parameters
    ----------
    dsn : str
        Address as ``postgresql://user:password@host/database``.
    is_reading : bool
        True for a connection that may not change anything.
    statement_s : float, optional
        How long a statement may take; None for as long as it does.
    """

    def __init__(
        self, dsn: str, *, is_reading: bool = False, statement_s: float | None = _STATEMENT_S
    ) -> None:
        settings = {
            "application_name": "scopestamp",
            "default_transaction_read_only": "on" if is_reading else "off",
        }
        self.partitions: dict[str, tuple[int, int]] = {}
        """Partitions that were seen here, with their bounds: see `server.store.partitions`."""
        self.kinds: dict[str, int] = {}
        """Keys of kinds of records that were seen here."""
        self._due: list[str] = []
        self._loop = _new_event_loop()
        try:
            self._driver = self._wait(
                asyncpg.connect(
                    dsn,
                    timeout=_CONNECT_S,
                    command_timeout=statement_s,
                    server_settings=settings,
                    statement_cache_size=500,
                )
            )
        except BaseException:
            self._loop.close()
            raise

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        task = self._loop.create_task(work)
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:  # the server is told to stop, and the driver to expect no answer
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
            raise

    def soon(self, sql: str) -> None:
        """Run a statement before the next one, with others that wait: one journey for all that need no values."""
        self._due.append(sql)

    def _send_due(self) -> None:
        if self._due:
            due, self._due = "; ".join(self._due), []
            self._wait(self._driver.execute(due))

    def fetch(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        self._send_due()
        found = self._wait(self._driver.fetch(_numbered(sql), *map(self.bound, values)))
        return [tuple(row) for row in found]

    def do(self, sql: str, *values: Any) -> int:
        if values:
            self._send_due()
            return _n_touched(self._wait(self._driver.execute(_numbered(sql), *map(self.bound, values))))
        due, self._due = "; ".join([*self._due, sql]), []
        return _n_touched(self._wait(self._driver.execute(due)))

    def do_each(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        values = [tuple(map(self.bound, row)) for row in rows]
        if values:
            self._send_due()
            self._wait(self._driver.executemany(_numbered(sql), values))

    def add(self, table: str, columns: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._send_due()
            self._wait(self._driver.copy_records_to_table(table, records=rows, columns=columns))

    def add_packed(self, table: str, columns: Sequence[str], rows: bytearray) -> None:
        """Insert rows that are in the format of binary COPY already."""
        self._send_due()
        self._wait(self._driver.copy_to_table(table, source=rows, columns=columns, format="binary"))

    def bound(self, value: Any) -> Any:
        # PostgreSQL's text cannot hold NUL; a device may well send one in a label.
        return value.replace("\0", "\ufffd") if isinstance(value, str) else value

    def bound_time(self, moment: datetime) -> datetime:
        return moment

    def bound_id(self, record_id: UUID) -> UUID:
        return record_id

    @property
    def is_lost(self) -> bool:
        """Whether the server is gone, so that only a new connection can help."""
        return bool(self._driver.is_closed())

    def close(self) -> None:
        """Give the connection back; waits a moment for the server's goodbye."""
        try:
            self._wait(self._driver.close(timeout=_CONNECT_S))
        except (OSError, TimeoutError, asyncpg.PostgresError):
            self._driver.terminate()
        finally:
            self._loop.close()


@lru_cache(maxsize=1000)
def _numbered(sql: str) -> str:
    """Return a statement with ``$1``, ``$2`` … for its question marks.

    >>> _numbered("SELECT ? < ?")
    'SELECT $1 < $2'
    """
    head, *rest = sql.split("?")
    return head + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))


def _n_touched(status: str) -> int:
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
