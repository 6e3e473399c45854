"""What records add to the tables that acquisitions are looked for in; a group of records with few statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from server.store.connection import Connection
from server.store.rows import SearchFacts

Search = tuple[int, SearchFacts]
"""Key of the instrument and what it says."""

_AT_ONCE = 200
# The instrument is part of each condition: nobody writes into another instrument's acquisition.
_OURS = "FROM acquisitions WHERE acquisition_id = ? AND instrument_key = ?"
_TERM = f"""INSERT INTO acquisition_terms (term_key, acquisition_id) SELECT CAST(? AS bigint), acquisition_id {_OURS}
    ON CONFLICT (term_key, acquisition_id) DO NOTHING"""
_DATASET = f"""INSERT INTO datasets (acquisition_id, path, sha256, stamped_sha256)
    SELECT acquisition_id, CAST(? AS text), CAST(? AS text), CAST(? AS text) {_OURS}
    ON CONFLICT (acquisition_id, path) DO UPDATE SET sha256 = coalesce(excluded.sha256, datasets.sha256),
        stamped_sha256 = coalesce(excluded.stamped_sha256, datasets.stamped_sha256)"""


def add_search(connection: Connection, searches: Sequence[Search]) -> None:
    """Add what a group of records says, after their acquisitions are there."""
    if not searches:
        return
    bound = connection.bound
    keys = _keys_of(connection, {(bound(s), bound(t)) for _, facts in searches for s, t in facts.terms})
    connection.do_each(
        _TERM,
        [
            (keys[bound(sort), bound(term)], acquisition_id, instrument_key)
            for instrument_key, facts in searches
            for acquisition_id in facts.acquisition_ids
            for sort, term in facts.terms
        ],
    )
    connection.do_each(
        _DATASET,
        [
            (bound(one.path), bound(one.sha256), bound(one.stamped_sha256), acquisition_id, instrument_key)
            for instrument_key, facts in searches
            for acquisition_id in facts.acquisition_ids
            for one in facts.datasets
        ],
    )


def _keys_of(connection: Connection, terms: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the key of each term; new ones are added, in one order, so that two collectors cannot block each other."""
    ordered = sorted(terms)
    keys = _known(connection, ordered)
    new = [term for term in ordered if term not in keys]
    if new:
        connection.do_each(
            "INSERT INTO terms (sort, term) VALUES (?, ?) ON CONFLICT (sort, term) DO NOTHING", new
        )
        keys |= _known(connection, new)
    return keys


def _known(connection: Connection, terms: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for start in range(0, len(terms), _AT_ONCE):
        some = terms[start : start + _AT_ONCE]
        sql = f"SELECT sort, term, term_key FROM terms WHERE {' OR '.join(['(sort = ? AND term = ?)'] * len(some))}"
        rows = connection.fetch(sql, *(text for pair in some for text in pair))
        found |= {(sort, term): key for sort, term, key in rows}
    return found
