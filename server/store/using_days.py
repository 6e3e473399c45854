"""Days of use as they were rolled up, in the SQL that the engines share; `server.use.days` says how they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from server.store import rows
from server.store.connection import Connection, plain
from server.store.finding import KEY, among_these
from server.store.using import UsingReads

Spoiled = tuple[int, Any, Any]
"""Key of an instrument, and from when to when something is not any more as it was."""

_USE = """min(d.first_at), sum(d.acquiring_s), sum(d.manual_s), sum(d.qc_s), sum(d.n_acquisitions), sum(d.n_datasets),
    sum(d.n_frames), sum(d.n_bytes)"""
_DAYS = "FROM usage_days d JOIN instruments i USING (instrument_key) WHERE d.zone <> ''"
_ROLLED = """
    SELECT i.instrument_id, f.day, l.day, l.until_at, CASE WHEN l.zone = b.zone THEN l.last_at END FROM instruments i
    JOIN usage_days b ON b.instrument_key = i.instrument_key AND b.day = ''
    JOIN usage_days f ON f.instrument_key = i.instrument_key
        AND f.day = (SELECT min(day) FROM usage_days WHERE instrument_key = i.instrument_key AND day > '')
    JOIN usage_days l ON l.instrument_key = i.instrument_key
        AND l.day = (SELECT max(day) FROM usage_days WHERE instrument_key = i.instrument_key)
    WHERE b.zone = ?"""
_TOUCHED = "instrument_key = ? AND until_at > ? AND since_at <= ?"
_DAY_COLUMNS = (
    "instrument_key", "day", "zone", "since_at", "until_at", "last_at", "first_at", "acquiring_s", "manual_s", "qc_s",
    "n_acquisitions", "n_datasets", "n_frames", "n_bytes",
)  # fmt: skip
_PEOPLE_COLUMNS = (
    "instrument_key", "day", "line", "person", "person_how", "seconds", "n_sessions", "n_acquisitions", "n_frames",
)  # fmt: skip


def spoil(connection: Connection, spans: Sequence[Spoiled]) -> None:
    """Let days in which something changed count as not rolled up, in the transaction that changes it."""
    connection.do_each(f"UPDATE usage_days SET zone = '' WHERE {_TOUCHED}", spans)
    connection.do_each(
        f"""DELETE FROM usage_day_people WHERE instrument_key = ?
            AND day IN (SELECT day FROM usage_days WHERE {_TOUCHED})""",
        [(span[0], *span) for span in spans],
    )


class DayReads(UsingReads):
    """The part of the reads that adds days up."""

    def days_rolled_up(self, zone: str, among: Sequence[str] | None = None) -> list[rows.RolledUp]:
        some, ids = among_these(among)
        found = self._connection.fetch(f"{_ROLLED} AND {some} ORDER BY i.instrument_id", zone, *ids)
        return [rows.RolledUp(*row[:3], plain("at", row[3]), plain("at", row[4])) for row in found]

    def days_spoiled(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        some, ids = among_these(among)
        sql = f"""SELECT i.instrument_id, d.day FROM usage_days d JOIN instruments i USING (instrument_key)
            WHERE d.zone = '' AND d.day >= ? AND d.day <= ? AND {some} ORDER BY 1, 2"""
        return [(row[0], row[1]) for row in self._connection.fetch(sql, first, last, *ids)]

    def use_by_month(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        some, ids = among_these(among)
        sql = f"""SELECT i.instrument_id, substr(d.day, 1, 7), {_USE} {_DAYS} AND d.day >= ? AND d.day <= ? AND {some}
            GROUP BY i.instrument_id, substr(d.day, 1, 7)"""
        return [_told(row) for row in self._connection.fetch(sql, first, last, *ids)]

    def use_by_day(
        self, days: Sequence[str], among: Sequence[str] | None = None
    ) -> list[tuple[str, str, rows.Use]]:
        some, ids = among_these(among)
        if not days:
            return []
        sql = f"""SELECT i.instrument_id, d.day, {_USE} {_DAYS} AND d.day IN ({", ".join("?" * len(days))}) AND {some}
            GROUP BY i.instrument_id, d.day"""
        return [_told(row) for row in self._connection.fetch(sql, *days, *ids)]

    def use_by_person(
        self, first: str, last: str, among: Sequence[str] | None = None
    ) -> list[tuple[str, rows.PersonsUse]]:
        some, ids = among_these(among)
        sql = f"""SELECT i.instrument_id, p.person, p.person_how, sum(p.seconds), sum(p.n_sessions), sum(p.n_acquisitions),
                sum(p.n_frames)
            FROM usage_day_people p JOIN instruments i USING (instrument_key)
            WHERE p.day >= ? AND p.day <= ? AND {some} GROUP BY i.instrument_id, p.person, p.person_how"""
        found = self._connection.fetch(sql, first, last, *ids)
        return [(row[0], rows.PersonsUse(*row[1:4], *map(int, row[4:]))) for row in found]

    def first_use(self, instrument_id: str) -> Any:
        found = self._connection.one(
            f"""SELECT min(began_at) FROM (
                SELECT min(began_at) AS began_at FROM acquisitions WHERE instrument_key = {KEY} UNION ALL
                SELECT min(began_at) FROM usage_sessions WHERE instrument_key = {KEY} UNION ALL
                SELECT min(began_at) FROM planned_runs WHERE instrument_key = {KEY}) AS firsts""",
            *[instrument_id] * 3,
        )
        return plain("at", found[0]) if found else None


class DayWrites(DayReads):
    """The part of the writes that rolls days up."""

    def hold(self) -> None:
        self._do("UPDATE counters SET batch_id = batch_id")  # as appending and pruning do before they begin

    def put_days(self, instrument_id: str, zone: str, days: Sequence[rows.UsageDay]) -> None:
        ((key,),) = self._connection.fetch(f"SELECT {KEY}", instrument_id)
        gone = [(key, one.day) for one in days]
        for table in ("usage_days", "usage_day_people"):
            self._connection.do_each(f"DELETE FROM {table} WHERE instrument_key = ? AND day = ?", gone)
        bound = self._connection.bound
        told = [
            (key, one.day, zone, one.since_at, one.until_at, one.last_at, *one.use)
            for one in days
        ]  # fmt: skip
        people = [
            (key, one.day, line, *person) for one in days for line, person in enumerate(one.people)
        ]  # fmt: skip
        self._connection.add("usage_days", _DAY_COLUMNS, [tuple(map(bound, row)) for row in told])
        self._connection.add("usage_day_people", _PEOPLE_COLUMNS, [tuple(map(bound, row)) for row in people])

    def forget_days(self, instrument_id: str) -> None:
        for table in ("usage_days", "usage_day_people"):
            self._do(f"DELETE FROM {table} WHERE instrument_key = {KEY}", instrument_id)


def _told(row: Sequence[Any]) -> tuple[str, str, rows.Use]:
    return row[0], row[1], rows.Use(plain("at", row[2]), *row[3:6], *map(int, row[6:]))
