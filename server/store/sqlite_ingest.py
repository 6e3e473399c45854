"""Appending batches to the SQLite store: bytes, marks, and what each record adds to the tables."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from agent.records.wire import CHAIN_START
from server.store import rows
from server.store.joining import join
from server.store.sqlite_reads import SqliteReads
from server.store.sqlite_rows import to_text


class SqliteIngest(SqliteReads):
    """The part of the writes that takes batches; every method runs inside the writer's transaction."""

    def append(self, batch: rows.Batch) -> rows.Appended:
        spool = self.spool(batch.agent_id, batch.spool_id)
        mark = 0 if spool is None else spool.mark
        self._do("UPDATE agents SET heard_at = ? WHERE agent_id = ?", batch.received_at, batch.agent_id)
        joined = join(batch, mark, lambda seq: self.chain_at(batch.agent_id, batch.spool_id, seq))
        new = batch.lines[joined.n_known :]
        if not new:
            return rows.Appended(acked=mark, n_added=0)
        key = self._spool_key(batch)
        if joined.skip is not None:
            self._note_skip(key, joined.skip, mark, batch)
        self._add_lines(key, batch, new)
        for line in new:
            self._file(key, line, batch.received_at)
        self._move_mark(key, new[-1], batch.received_at)
        return rows.Appended(acked=batch.last_seq, n_added=len(new))

    def _spool_key(self, batch: rows.Batch) -> int:
        self._do(
            "INSERT INTO spools (agent_id, spool_id, mark, chain, first_received_at, last_received_at) "
            "VALUES (?, ?, 0, ?, ?, ?) ON CONFLICT DO NOTHING",
            batch.agent_id,
            batch.spool_id,
            CHAIN_START,
            batch.received_at,
            batch.received_at,
        )
        sql = "SELECT spool_key FROM spools WHERE agent_id = ? AND spool_id = ?"
        return self._connection.execute(sql, (batch.agent_id, batch.spool_id)).fetchone()[0]

    def _note_skip(self, key: int, skip: tuple[int, int], mark: int, batch: rows.Batch) -> None:
        first, last = skip
        self._do(
            "INSERT INTO skips (spool_key, last_seq, first_seq, chain, noted_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            key,
            last,
            first,
            batch.prev,
            batch.received_at,
        )
        self._do("UPDATE spools SET n_skipped = n_skipped + ? WHERE spool_key = ?", last - mark, key)

    def _add_lines(self, key: int, batch: rows.Batch, new: tuple[rows.Line, ...]) -> None:
        cursor = self._connection.execute(
            "INSERT INTO batches (spool_key, first_seq, n_lines, path, headers, body, received_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                batch.first_seq,
                len(batch.lines),
                batch.path,
                json.dumps(batch.headers),
                batch.body,
                to_text(batch.received_at),
            ),
        )
        self._connection.executemany(
            "INSERT INTO lines (spool_key, seq, batch_id, line, chain) VALUES (?, ?, ?, ?, ?)",
            [
                (key, line.seq, cursor.lastrowid, line.seq - batch.first_seq, bytes.fromhex(line.chain))
                for line in new
            ],
        )

    def _move_mark(self, key: int, last: rows.Line, at: datetime) -> None:
        self._do(
            "UPDATE spools SET mark = ?, chain = ?, last_received_at = ? WHERE spool_key = ?",
            last.seq,
            last.chain,
            at,
            key,
        )

    def _file(self, key: int, line: rows.Line, received_at: datetime) -> None:
        if line.flag is not None:
            self._do(
                "INSERT INTO quarantine (spool_key, seq, reason, message, kind, record_id, received_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                key,
                line.seq,
                line.flag.reason,
                line.flag.message,
                line.kind,
                line.record_id,
                received_at,
            )
        elif line.filed is not None and self._index(key, line.seq, line.filed, received_at):
            self._keep_latest(line.filed, line.raw, received_at)
            self._log_changes(line.filed)
            self._update_acquisition(line.filed)

    def _index(self, key: int, seq: int, filed: rows.Filed, received_at: datetime) -> bool:
        """Return whether the record is new to us: the same record may reach us through two spools."""
        n_new = self._do(
            "INSERT INTO records (record_id, kind, schema_version, instrument_id, acquisition_id, captured_at, "
            "received_at, spool_key, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (record_id) DO NOTHING",
            filed.record_id,
            filed.kind,
            filed.schema_version,
            filed.instrument_id,
            filed.acquisition_id,
            filed.captured_at,
            received_at,
            key,
            seq,
        )
        return n_new == 1

    def _keep_latest(self, filed: rows.Filed, raw: bytes, received_at: datetime) -> None:
        self._do(
            """
            INSERT INTO latest (instrument_id, kind, record_id, captured_at, counts_at, boot_id, monotonic_ns,
                                received_at, raw)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (instrument_id, kind) DO UPDATE SET
                record_id = excluded.record_id, captured_at = excluded.captured_at, counts_at = excluded.counts_at,
                boot_id = excluded.boot_id, monotonic_ns = excluded.monotonic_ns,
                received_at = excluded.received_at, raw = excluded.raw
            WHERE CASE WHEN excluded.boot_id = boot_id THEN excluded.monotonic_ns >= monotonic_ns
                       ELSE excluded.counts_at >= counts_at END""",
            filed.instrument_id,
            filed.kind,
            filed.record_id,
            filed.captured_at,
            min(filed.captured_at, received_at),
            filed.boot_id,
            filed.monotonic_ns,
            received_at,
            raw,
        )

    def _log_changes(self, filed: rows.Filed) -> None:
        self._connection.executemany(
            "INSERT INTO changes (record_id, instrument_id, acquisition_id, device, last_at, change) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    filed.record_id,
                    filed.instrument_id,
                    filed.acquisition_id,
                    change.device,
                    to_text(change.last_at.wall_at),
                    change.model_dump_json(exclude_none=True),
                )
                for change in filed.changes
            ],
        )

    def _update_acquisition(self, filed: rows.Filed) -> None:
        facts = filed.facts
        if facts is None:
            return
        self._do(
            "INSERT INTO acquisitions (acquisition_id, instrument_id, began_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            facts.acquisition_id,
            filed.instrument_id,
            facts.started_at or filed.captured_at,
        )
        if said := _said(filed, facts):
            # The instrument is part of the condition: nobody writes into another instrument's acquisition.
            self._do(
                f"UPDATE acquisitions SET {', '.join(f'{name} = ?' for name in said)} "
                "WHERE acquisition_id = ? AND instrument_id = ?",
                *said.values(),
                facts.acquisition_id,
                filed.instrument_id,
            )
        if facts.n_frames is not None:
            self._add_ledger(filed, facts)

    def _add_ledger(self, filed: rows.Filed, facts: rows.AcquisitionFacts) -> None:
        n_ours = self._do(
            "UPDATE acquisitions SET n_in_ledger = n_in_ledger + ? WHERE acquisition_id = ? AND instrument_id = ?",
            facts.n_frames,
            facts.acquisition_id,
            filed.instrument_id,
        )
        if n_ours == 1:
            self._do(
                "INSERT INTO ledgers (acquisition_id, first_frame, record_id, n_frames) VALUES (?, ?, ?, ?)",
                facts.acquisition_id,
                facts.first_frame,
                filed.record_id,
                facts.n_frames,
            )


def _said(filed: rows.Filed, facts: rows.AcquisitionFacts) -> dict[str, Any]:
    """Return column to value for what the record does say."""
    said = {name: getattr(facts, name) for name in _FACT_COLUMNS if getattr(facts, name) is not None}
    if facts.started_at is not None:
        said["began_at"] = facts.started_at
    if (column := _RECORD_COLUMNS.get(filed.kind)) is not None:
        said[column] = filed.record_id
    return said


_FACT_COLUMNS = (
    "started_at",
    "finished_at",
    "reason",
    "n_expected",
    "n_seen",
    "n_dropped",
    "n_files",
    "n_stamped",
    "n_problems",
)
_RECORD_COLUMNS = {
    "acquisition_started": "started_record_id",
    "acquisition_finished": "finished_record_id",
    "dataset_stamp": "stamp_record_id",
}
