"""Finding instruments among thousands and acquisitions among millions, in the SQL that the engines share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from server.store import rows
from server.store.connection import marks, plain, row_of, to_uuid
from server.store.desk import DeskReads

KEY = "(SELECT instrument_key FROM instruments WHERE instrument_id = ?)"
"""The key of an instrument by its id, in a statement."""

LAST = 2**62
"""Lies beyond every position."""

FEW = 5000
"""So many acquisitions and fewer are looked up one by one; more are gone through by time until a page is full."""

_MOST_TERMS = 300
"""Different words that the beginning of a word may stand for; of more, the first count."""

_BEYOND = "\U0010ffff"
"""Sorts after whatever follows the same beginning."""

ACQUISITION = """
    SELECT position, acquisition_id, i.instrument_id, began_at, started_at, finished_at, reason, n_expected, n_seen,
           n_dropped, n_in_ledger, n_files, n_stamped, n_problems, started_record_id, finished_record_id, stamp_record_id,
           size_bytes
    FROM acquisitions a JOIN instruments i USING (instrument_key)"""
_MARK = f"""
    SELECT i.instrument_id, i.name, i.site, i.model, h.heard_at, coalesce(q.qc_rank, 0), q.qc_at, r.running_at
    FROM instruments i
    LEFT JOIN (SELECT instrument_id, max(heard_at) AS heard_at FROM agents GROUP BY instrument_id) h
        ON h.instrument_id = i.instrument_id
    LEFT JOIN (SELECT instrument_key, max(captured_at) AS qc_at, max(CASE status
            {" ".join(f"WHEN '{status}' THEN {rank}" for rank, status in enumerate(rows.QC_RANKS))} ELSE 0 END) AS qc_rank
        FROM qc_series GROUP BY instrument_key) q ON q.instrument_key = i.instrument_key
    LEFT JOIN (SELECT instrument_key, max(began_at) AS running_at FROM acquisitions WHERE finished_at IS NULL
        GROUP BY instrument_key) r ON r.instrument_key = i.instrument_key
    ORDER BY i.name, i.instrument_id"""
_LAST_OF_EACH = """a.position = (SELECT l.position FROM acquisitions l WHERE l.instrument_key = i.instrument_key
    ORDER BY l.began_at DESC, l.position DESC LIMIT 1)"""


class FindingReads(DeskReads):
    """The part of the reads that looks over everything."""

    # Instruments

    def fleet(self, among: Sequence[str] | None = None) -> list[rows.FleetRow]:
        some, ids = among_these(among)
        heard = dict(
            self._connection.fetch(
                f"SELECT i.instrument_id, max(heard_at) FROM agents i WHERE {some} GROUP BY i.instrument_id",
                *ids,
            )
        )
        beats = self._by_instrument(
            rows.LatestRecord,
            "SELECT i.instrument_id, kind, record_id, captured_at, received_at, raw FROM latest "
            f"JOIN instruments i USING (instrument_key) WHERE kind = 'heartbeat' AND {some}",
            *ids,
        )
        lasts = self._by_instrument(
            rows.AcquisitionRow,
            ACQUISITION.replace("SELECT", "SELECT i.instrument_id,", 1)
            + f" WHERE {_LAST_OF_EACH} AND {some}",
            *ids,
        )
        sql = f"""SELECT instrument_id, name, site, added_at, model FROM instruments i WHERE {some}
            ORDER BY name, instrument_id"""
        return [
            rows.FleetRow(
                one,
                plain("heard_at", heard.get(one.instrument_id)),
                beats.get(one.instrument_id),
                lasts.get(one.instrument_id),
            )
            for one in self._all(rows.Instrument, sql, *ids)
        ]

    def _by_instrument(self, row_type: type, sql: str, *values: Any) -> dict[str, Any]:
        return {found[0]: row_of(row_type, found[1:]) for found in self._connection.fetch(sql, *values)}

    def fleet_marks(self) -> list[rows.FleetMark]:
        # By hand rather than by `row_of`: there may be ten thousand of them for one page.
        return [
            rows.FleetMark(*named, plain("at", heard_at), rank, plain("at", qc_at), plain("at", running_at))
            for *named, heard_at, rank, qc_at, running_at in self._connection.fetch(_MARK)
        ]

    def qc_standing(self, among: Sequence[str] | None = None) -> list[rows.QcSeriesRow]:
        some, ids = among_these(among)
        sql = f"""
            SELECT i.instrument_id, series_key, routine, light_path, n_runs, record_id, captured_at, status
            FROM qc_series JOIN instruments i USING (instrument_key) WHERE {some}
            ORDER BY i.instrument_id, routine, series_key"""
        found = self._connection.fetch(sql, *ids)
        return [row_of(rows.QcSeriesRow, (*row[:3], json.loads(row[3]), *row[4:])) for row in found]

    # Acquisitions

    def find_acquisitions(
        self, wanted: rows.AcquisitionQuery, before: rows.Place | None = None, limit: int = 50
    ) -> list[rows.AcquisitionRow]:
        where, values = page("began_at", before)
        clauses = [where]
        for clause, value in (
            ("i.instrument_id = ?", wanted.instrument_id),
            ("began_at >= ?", wanted.since),
            ("began_at < ?", wanted.until),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        if wanted.sha256:
            begins = [wanted.sha256.lower(), wanted.sha256.lower() + _BEYOND]
            clauses.append(
                "a.acquisition_id IN (SELECT acquisition_id FROM datasets WHERE sha256 >= ? AND sha256 < ? UNION "
                "SELECT acquisition_id FROM datasets WHERE stamped_sha256 >= ? AND stamped_sha256 < ?)"
            )
            values += begins * 2
        found = self._keys_of(wanted)
        if not all(found):
            return []
        if found:
            clause, keys = self._having(found)
            clauses.append(clause)
            values += keys
        sql = f"{ACQUISITION} WHERE {' AND '.join(clauses)} ORDER BY began_at DESC, position DESC LIMIT ?"
        return self._all(rows.AcquisitionRow, sql, *values, limit)

    def _keys_of(self, wanted: rows.AcquisitionQuery) -> list[list[int]]:
        """Return for each thing wanted the keys of the terms that satisfy it."""
        exact = "SELECT term_key FROM terms WHERE sort = ? AND term = ?"
        begins = f"SELECT term_key FROM terms WHERE sort = 'word' AND term >= ? AND term < ? ORDER BY term LIMIT {_MOST_TERMS}"
        found = [self._connection.fetch(exact, sort, text.lower()) for sort, text in wanted.terms]
        found += [
            self._connection.fetch(begins, word.lower(), word.lower() + _BEYOND) for word in wanted.words
        ]
        return [[key for (key,) in keys] for keys in found]

    def _having(self, wanted: Sequence[Sequence[int]]) -> tuple[str, list[int]]:
        """Return the condition that an acquisition has one of each of some terms, and its values."""
        counted = sorted((self._n_having(keys), keys) for keys in wanted)
        ordered = [keys for _, keys in counted]
        values = [key for keys in ordered for key in keys]
        if counted[0][0] > FEW:
            return " AND ".join(_has("a", keys) for keys in ordered), values
        # The index of terms alone says which have the rarest and all others; only these are looked up, all over the store.
        rest = "".join(f" AND {_has('t', keys)}" for keys in ordered[1:])
        rarest = f"SELECT t.acquisition_id FROM acquisition_terms t WHERE t.term_key IN ({marks(ordered[0])})"
        return f"a.acquisition_id IN ({rarest}{rest})", values

    def _n_having(self, keys: Sequence[int]) -> int:
        """Return how many have one of the terms, as far as `FEW` and one more."""
        sql = f"SELECT count(*) FROM (SELECT 1 FROM acquisition_terms WHERE term_key IN ({marks(keys)}) LIMIT {FEW + 1}) AS found"
        return int(self._connection.fetch(sql, *keys)[0][0])

    def datasets(self, among: Sequence[str]) -> dict[str, list[rows.Dataset]]:
        ids = [one for one in map(to_uuid, among) if one is not None]
        found: dict[str, list[rows.Dataset]] = {}
        if ids:
            sql = f"""SELECT acquisition_id, path, sha256, stamped_sha256 FROM datasets
                WHERE acquisition_id IN ({", ".join("?" * len(ids))}) ORDER BY acquisition_id, path"""
            for acquisition_id, *rest in self._connection.fetch(sql, *ids):
                found.setdefault(plain("acquisition_id", acquisition_id), []).append(rows.Dataset(*rest))
        return found

    def search_terms(self, sort: str, limit: int = 200) -> list[str]:
        sql = "SELECT term FROM terms WHERE sort = ? ORDER BY term LIMIT ?"
        return [term for (term,) in self._connection.fetch(sql, sort, limit)]


def page(column: str, before: rows.Place | None) -> tuple[str, list[Any]]:
    """Return the condition that a row lies beyond a place, and its values."""
    if before is None:
        return "TRUE", []
    return f"({column}, position) < (?, ?)", [before.at, before.position]


def _has(which: str, keys: Sequence[int]) -> str:
    # Not EXISTS: PostgreSQL would make a join of it and read every acquisition that has the term before the first is told.
    return f"""(SELECT 1 FROM acquisition_terms o WHERE o.acquisition_id = {which}.acquisition_id
        AND o.term_key IN ({marks(keys)}) LIMIT 1) IS NOT NULL"""


def among_these(ids: Sequence[str] | None) -> tuple[str, list[str]]:
    """Return the condition that an instrument `i` is one of some, or any for None, and its values."""
    if ids is None:
        return "TRUE", []
    return f"i.instrument_id IN ({marks(ids)})" if ids else "FALSE", list(ids)
