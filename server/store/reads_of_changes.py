"""The change log, in the SQL that the engines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from pydantic import ValidationError

from agent.records import Change, ReadingStatus
from server.store import rows
from server.store.base import Reads
from server.store.connection import SqlRows, marks, plain, row_of, times_of
from server.store.finding import KEY, page

_AT_ONCE = 500


class ChangeReads(SqlRows, Reads):
    """The part of the reads that looks there."""

    def changes(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeRow]:
        sql = """SELECT position, record_id, i.instrument_id, acquisition_id, change FROM changes
            JOIN instruments i USING (instrument_key)"""
        found = self._changes(sql, instrument_id, before, limit, device)
        return [row for row in map(_with_change, found) if row is not None]

    def change_marks(
        self, instrument_id: str, before: rows.Place | None = None, limit: int = 50, device: str | None = None
    ) -> list[rows.ChangeMark]:
        sql = "SELECT position, device, property, last_at FROM changes"
        found = self._changes(sql, instrument_id, before, limit, device)
        times = times_of(row[3] for row in found)
        return [rows.ChangeMark(row[0], row[1], row[2], at) for row, at in zip(found, times, strict=True)]

    def changes_in_short(self, instrument_id: str, positions: Sequence[int]) -> dict[int, rows.ChangeInShort]:
        found: dict[int, rows.ChangeInShort] = {}
        for start in range(0, len(positions), _AT_ONCE):
            some = positions[start : start + _AT_ONCE]
            sql = f"""SELECT position, record_id, device, last_at, change FROM changes
                WHERE position IN ({marks(some)}) AND instrument_key = {KEY}"""
            found |= {row[0]: _in_short(row) for row in self._connection.fetch(sql, *some, instrument_id)}
        return found

    def _changes(
        self, sql: str, instrument_id: str, before: rows.Place | None, limit: int, device: str | None
    ) -> list[tuple[Any, ...]]:
        where, values = page("last_at", before)
        if device is not None:
            where, values = f"device = ? AND {where}", [device, *values]
        whole = f"{sql} WHERE instrument_key = {KEY} AND {where} ORDER BY last_at DESC, position DESC LIMIT ?"
        return self._connection.fetch(whole, instrument_id, *values, limit)


def _with_change(found: Sequence[Any]) -> rows.ChangeRow | None:
    try:
        change = Change.model_validate_json(found[4], extra="ignore")
    except ValidationError:  # filed under rules that have changed since
        return None
    return row_of(rows.ChangeRow, (*found[:4], change))


class _Read(msgspec.Struct):
    status: str
    value: Any = None
    unit: str | None = None

    @property
    def said(self) -> object:
        return self.value if self.status == ReadingStatus.OK else None


class _Change(msgspec.Struct):
    property: str
    after: _Read
    before: _Read | None = None


_decode_change = msgspec.json.Decoder(_Change).decode


def _in_short(found: Sequence[Any]) -> rows.ChangeInShort:
    position, record_id, device, at, text = found
    try:
        told = _decode_change(text)
    except msgspec.ValidationError:  # as in `_with_change`; that the device changed is known all the same
        told = _Change("", _Read(ReadingStatus.FAILED))
    before = told.before.said if told.before else None
    return rows.ChangeInShort(
        position,
        plain("record_id", record_id),
        device,
        told.property,
        plain("at", at),
        before,
        told.after.said,
        told.after.unit,
    )
