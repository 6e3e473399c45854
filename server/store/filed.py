"""What understood records add to the tables, a group at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from server.store import rows
from server.store.connection import Connection
from server.store.filed_qc import Run, add_runs
from server.store.filed_search import add_search
from server.store.filed_usage import Use, add_uses
from server.store.using_days import Spoiled, spoil


class Part(NamedTuple):
    """Filed lines of one batch, and the positions they are to have: by far most work is done on a whole part at once."""

    batch_id: int
    batch: rows.Batch
    lines: Sequence[rows.Line]
    positions: Sequence[int]

    def only(self, wanted: Container[int]) -> Part:
        """Return the part with the lines at the positions that are wanted."""
        kept = [one for one in zip(self.positions, self.lines, strict=True) if one[0] in wanted]
        return self._replace(lines=[line for _, line in kept], positions=[position for position, _ in kept])


Taken = tuple[rows.Batch, rows.Line]
"""A line and its batch."""
Rank = tuple[datetime, str, int]
"""From when a record counts, its boot, and its place within that."""
Ranked = tuple[int, str, Taken, Rank]
"""A record with the keys of its instrument and its kind."""

RECORD_COLUMNS = (
    "position", "record_id", "kind_key", "schema_version", "instrument_key", "captured_at", "batch_id", "line",
    "acquisition_id",
)  # fmt: skip
MOST_OF_PROPERTY = 200
"""Characters of a property's name in its column, which two indices hold; the change has all of it."""
_CHANGE_COLUMNS = ("record_id", "instrument_key", "acquisition_id", "device", "property", "last_at", "change")
KEEP_NEWER = """
    INSERT INTO latest AS l (instrument_key, kind, record_id, captured_at, counts_at, boot_id, monotonic_ns, received_at, raw)
    {rows}
    ON CONFLICT (instrument_key, kind) DO UPDATE SET
        record_id = excluded.record_id, captured_at = excluded.captured_at, counts_at = excluded.counts_at,
        boot_id = excluded.boot_id, monotonic_ns = excluded.monotonic_ns,
        received_at = excluded.received_at, raw = excluded.raw
    WHERE CASE WHEN l.boot_id = excluded.boot_id THEN excluded.monotonic_ns >= l.monotonic_ns
        ELSE excluded.counts_at >= l.counts_at END
    RETURNING instrument_key, kind"""
"""Puts rows into `latest` that are newer there (`is_newer`), and yields which those are."""
_MONOTONIC_NS = attrgetter("filed.monotonic_ns")
_NOTHING_MORE = "state_snapshot"
"""The kind of by far most records, of which nothing more is kept in tables."""


class _Keys(dict[str, int]):
    """Names to their keys, each looked up once."""

    def __init__(self, look_up: Callable[[str], int]) -> None:
        self._look_up = look_up

    def __missing__(self, name: str) -> int:
        self[name] = self._look_up(name)
        return self[name]


class FiledRecords(ABC):
    """Files a group of records; one object a group, inside the writer's transaction.

    Parameters
    ----------
    connection : Connection
        That of the writer.
    instruments : mapping of str to int
        Keys of the senders' instruments; others are looked up.
    """

    def __init__(self, connection: Connection, instruments: Mapping[str, int]) -> None:
        self._connection = connection
        self._kinds = _Keys(self._kind_key)
        self._instruments = _Keys(self._instrument_key)
        self._instruments.update(instruments)

    def add(self, parts: Sequence[Part]) -> None:
        """File what is not filed yet."""
        new = self.add_records(parts)
        self._keep_latest(new)
        telling = [
            (position, filed)
            for part in new
            for position, line in zip(part.positions, part.lines, strict=True)
            if (filed := line.filed) is not None and filed.kind != _NOTHING_MORE
        ]
        if telling:
            self._add_more(telling)

    def _add_more(self, filed: Sequence[tuple[int, rows.Filed]]) -> None:
        keys = self._instruments
        self._log_changes([one for _, one in filed])
        acquired = [(keys[one.instrument_id], name) for _, one in filed if (name := _acquisition_of(one))]
        before = self._times_of(acquired)
        for _, one in filed:
            if one.facts is not None:
                self._update_acquisition(one, one.facts)
        runs: list[Run] = [(place, keys[f.instrument_id], f, f.qc) for place, f in filed if f.qc is not None]
        uses: list[Use] = [(keys[f.instrument_id], f.record_id, f.use) for _, f in filed if f.use is not None]
        add_runs(self._connection, runs)
        add_search(
            self._connection, [(keys[f.instrument_id], f.search) for _, f in filed if f.search is not None]
        )
        add_uses(self._connection, uses)
        if acquired:
            spoil(self._connection, [*before, *self._times_of(acquired)])

    def _times_of(self, acquisitions: Iterable[tuple[int, Any]]) -> list[Spoiled]:
        """Return when those acquisitions were that have ended, as it is known now."""
        sql = "SELECT began_at, finished_at FROM acquisitions WHERE instrument_key = ? AND acquisition_id = ?"
        found = ((key, self._connection.one(sql, key, name)) for key, name in dict.fromkeys(acquisitions))
        return [(key, *row) for key, row in found if row is not None and row[1] is not None]

    # Once each

    @abstractmethod
    def add_records(self, parts: Sequence[Part]) -> Sequence[Part]:
        """Add the records that are not filed yet, and return those: the same one may reach us through two spools."""

    def record_values(self, parts: Sequence[Part]) -> list[tuple[Any, ...]]:
        """Return what goes into `RECORD_COLUMNS`, a row for each."""
        kinds, instruments = self._kinds, self._instruments
        time, uuid = self._connection.bound_time, self._connection.bound_id
        return [
            (
                position,
                uuid(filed.record_id),
                kinds[filed.kind],
                filed.schema_version,
                instruments[filed.instrument_id],
                time(filed.captured_at),
                batch_id,
                line.seq - batch.first_seq,
                None if filed.acquisition_id is None else uuid(filed.acquisition_id),
            )
            for batch_id, batch, lines, positions in parts
            for position, line in zip(positions, lines, strict=True)
            if (filed := line.filed) is not None
        ]

    def _kind_key(self, kind: str) -> int:
        # Asked first: an insert that finds it there would use up a number of the few there are.
        found = self._connection.one("SELECT kind_key FROM kinds WHERE kind = ?", kind)
        found = found or self._connection.one("INSERT INTO kinds (kind) VALUES (?) RETURNING kind_key", kind)
        assert found is not None
        return int(found[0])

    def _instrument_key(self, instrument_id: str) -> int:
        sql = "SELECT instrument_key FROM instruments WHERE instrument_id = ?"
        return int(self._connection.fetch(sql, instrument_id)[0][0])

    # The newest of each kind

    def _keep_latest(self, new: Sequence[Part]) -> None:
        newest: dict[tuple[str, str], Taken] = {}
        for part in new:
            for line in _perhaps_newest(part.lines):
                one, filed = (part.batch, line), _filed(line)
                key = (filed.instrument_id, filed.kind)
                held = newest.get(key)
                if held is None or _is_taken_newer(one, held):
                    newest[key] = one
        ranked = [(self._instruments[of], kind, one, _rank(one)) for (of, kind), one in newest.items()]
        kept = self.keep_newer(ranked)
        models = [(filed.model, key) for key, _, one, _ in kept if (filed := one[1].filed) and filed.model]
        self._connection.do_each("UPDATE instruments SET model = ? WHERE instrument_key = ?", models)

    @abstractmethod
    def keep_newer(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        """Put into `latest` what is newer than what is there, and return that."""

    def latest_values(self, ranked: Sequence[Ranked]) -> list[tuple[Any, ...]]:
        """Return what goes into the columns of `latest`, a row for each."""
        return [
            (key, kind, filed.record_id, filed.captured_at, *rank, batch.received_at, line.raw)
            for key, kind, (batch, line), rank in ranked
            if (filed := line.filed) is not None
        ]

    # The change log

    def _log_changes(self, filed: Sequence[rows.Filed]) -> None:
        bound = self._connection.bound
        values = [
            (
                bound(one.record_id),
                self._instruments[one.instrument_id],
                bound(one.acquisition_id),
                bound(change.device),
                bound(change.property[:MOST_OF_PROPERTY]),
                bound(change.last_at),
                change.change,
            )
            for one in filed
            for change in one.changes
        ]
        self._connection.add("changes", _CHANGE_COLUMNS, values)

    # Acquisitions

    def _update_acquisition(self, filed: rows.Filed, facts: rows.AcquisitionFacts) -> None:
        instrument_key = self._instruments[filed.instrument_id]
        self._connection.do(
            "INSERT INTO acquisitions (acquisition_id, instrument_key, began_at) VALUES (?, ?, ?) "
            "ON CONFLICT (acquisition_id) DO NOTHING",
            facts.acquisition_id,
            instrument_key,
            facts.started_at or filed.captured_at,
        )
        if said := _said(filed, facts):
            # The instrument is part of the condition: nobody writes into another instrument's acquisition.
            self._connection.do(
                f"UPDATE acquisitions SET {', '.join(f'{name} = ?' for name in said)} "
                "WHERE acquisition_id = ? AND instrument_key = ?",
                *said.values(),
                facts.acquisition_id,
                instrument_key,
            )
        if facts.n_frames is not None:
            self._add_ledger(filed, facts, instrument_key)

    def _add_ledger(self, filed: rows.Filed, facts: rows.AcquisitionFacts, instrument_key: int) -> None:
        n_ours = self._connection.do(
            "UPDATE acquisitions SET n_in_ledger = n_in_ledger + ? WHERE acquisition_id = ? AND instrument_key = ?",
            facts.n_frames,
            facts.acquisition_id,
            instrument_key,
        )
        if n_ours == 1:
            self._connection.do(
                "INSERT INTO ledgers (acquisition_id, first_frame, record_id, n_frames) VALUES (?, ?, ?, ?)",
                facts.acquisition_id,
                facts.first_frame,
                filed.record_id,
                facts.n_frames,
            )


def _acquisition_of(filed: rows.Filed) -> Any:
    """Return the acquisition whose time or nature a record may change."""
    if filed.facts is not None:
        return filed.facts.acquisition_id
    return filed.acquisition_id if filed.qc is not None else None


def is_newer(one: Rank, other: Rank) -> bool:
    """Return whether a record is newer than another of its kind; see `Reads.latest`."""
    return one[2] >= other[2] if one[1] == other[1] else one[0] >= other[0]


def _is_taken_newer(one: Taken, other: Taken) -> bool:
    """Return `is_newer`; within a boot, as nearly always, without reckoning when they count."""
    ours, theirs = _filed(one[1]), _filed(other[1])
    if ours.boot_id == theirs.boot_id:
        return ours.monotonic_ns >= theirs.monotonic_ns
    return is_newer(_rank(one), _rank(other))


def _rank(one: Taken) -> Rank:
    batch, filed = one[0], _filed(one[1])
    return min(filed.captured_at, batch.received_at), filed.boot_id, filed.monotonic_ns


def _perhaps_newest(lines: Sequence[rows.Line]) -> Sequence[rows.Line]:
    """Return lines of a batch without those that cannot be the newest: where all are of a kind and a boot, one is left."""
    if len({(filed.kind, filed.boot_id, filed.instrument_id) for line in lines if (filed := line.filed)}) > 1:
        return lines
    return [max(reversed(lines), key=_MONOTONIC_NS)] if lines else lines  # of several at once the last


def _filed(line: rows.Line) -> rows.Filed:
    assert line.filed is not None, "lines that are flagged are no part"
    return line.filed


def _said(filed: rows.Filed, facts: rows.AcquisitionFacts) -> dict[str, Any]:
    """Return column to value for what the record does say."""
    said = {name: getattr(facts, name) for name in _FACT_COLUMNS if getattr(facts, name) is not None}
    if facts.started_at is not None:
        said["began_at"] = facts.started_at
    if (column := _RECORD_OF_KIND.get(filed.kind)) is not None:
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
    "size_bytes",
)
_RECORD_OF_KIND = {
    "acquisition_started": "started_record_id",
    "acquisition_finished": "finished_record_id",
    "dataset_stamp": "stamp_record_id",
}
