"""Writing to SQLite: whole groups in few statements, because for each Python's lock is given up and waited for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.records.wire import CHAIN_START
from server.store.appending import BATCH_COLUMNS, Held, Noted, Numbers, Sender, SpoolName
from server.store.filed import KEEP_NEWER, RECORD_COLUMNS, FiledRecords, Part, Ranked
from server.store.sqlite_connection import SqliteConnection
from server.store.writes import SqlWrites


class SqliteFiledRecords(FiledRecords):
    """Filing where one index keeps every record once."""

    def add_records(self, parts: Sequence[Part]) -> Sequence[Part]:
        connection, values = _sqlite(self._connection), self.record_values(parts)
        if connection.add_new("records", RECORD_COLUMNS, values) == len(values):
            return parts
        first = values[0][0]
        new = {row[0] for row in connection.fetch("SELECT position FROM records WHERE position >= ?", first)}
        return [part.only(new) for part in parts]

    def keep_newer(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        bound = self._connection.bound
        values = [[bound(value) for value in row] for row in self.latest_values(ranked)]
        kept = set(_sqlite(self._connection).fetch_on(KEEP_NEWER, values))
        return [one for one in ranked if one[:2] in kept]


class SqliteWrites(SqlWrites):
    """Writes to SQLite."""

    filed_records = SqliteFiledRecords

    def hold_all(self, names: Collection[SpoolName]) -> Held:
        connection = _sqlite(self._connection)
        (numbers,) = connection.fetch("UPDATE counters SET batch_id = batch_id RETURNING batch_id, position")
        spools = connection.fetch_on(
            """SELECT agent_id, spool_id, spool_key, mark, chain, n_skipped
            FROM ({rows}) AS w JOIN spools ON agent_id = w.column1 AND spool_id = w.column2""",
            list(names),
        )
        agents = connection.fetch_on(
            """SELECT agent_id, instrument_key, instrument_id, public_key, revoked_at
            FROM ({rows}) AS w JOIN agents ON agent_id = w.column1 JOIN instruments USING (instrument_id)""",
            list({(agent_id,) for agent_id, _ in names}),
        )
        senders = {row[0]: Sender(*row[1:]) for row in agents}
        return Held(Numbers(*numbers), {row[:2]: row[2:] for row in spools}, senders)

    def new_spools(self, began: Mapping[SpoolName, datetime]) -> dict[SpoolName, int]:
        bound = self._connection.bound
        found = _sqlite(self._connection).fetch_on(
            """INSERT INTO spools (agent_id, spool_id, mark, chain, first_received_at, last_received_at) {rows}
            RETURNING agent_id, spool_id, spool_key""",
            [(*name, 0, CHAIN_START, bound(at), bound(at)) for name, at in began.items()],
        )
        return {(agent_id, spool_id): key for agent_id, spool_id, key in found}

    def note_all(self, noted: Noted) -> None:
        connection, bound = _sqlite(self._connection), self._connection.bound
        connection.do("UPDATE counters SET batch_id = ?, position = ?", *noted.numbers)
        connection.add("batches", BATCH_COLUMNS, noted.batches)
        connection.fetch_on(
            """UPDATE spools SET mark = w.column2, chain = w.column3, n_skipped = w.column4, last_received_at = w.column5
            FROM ({rows}) AS w WHERE spool_key = w.column1""",
            [(*stand, bound(at)) for *stand, at in noted.spools],
        )
        connection.fetch_on(
            "UPDATE agents SET heard_at = w.column2 FROM ({rows}) AS w WHERE agent_id = w.column1",
            [(agent_id, bound(at)) for agent_id, at in noted.heard],
        )


def _sqlite(connection: Any) -> SqliteConnection:
    assert isinstance(connection, SqliteConnection)
    return connection
