"""Fills a store with years of a fleet in minutes: the rows that ingest would write, written table by table.

Every week of an instrument is one batch. The lines of a kind are the same but for who sent them, so bodies are made once an
instrument, and the store is smaller than one of records that differ; its tables and indices are as large as they would be.
Indices are made at the end. Figures are computed by the database.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import zstandard

from agent import records as r
from agent.records.wire import CHAIN_START, agent_id_of
from server.ingest.filing import filed_of
from server.quality.series import series_key
from server.store import SqliteStore, Store
from server.store.connection import Connection, from_us, to_us
from server.store.filed import RECORD_COLUMNS
from server.store.rows import Agent, Instrument
from server.store.tables import TABLES

END_AT = datetime(2026, 5, 4, tzinfo=UTC)
METRICS = (
    "fwhm_x_um",
    "fwhm_y_um",
    "fwhm_z_um",
    "uniformity_percent",
    "centre_offset_percent",
    "read_noise_e",
    "drift_nm",
    "power_mw",
)
PATHS = tuple(
    {"objective": o, "camera": "Camera", "channel": c} for o in ("60x", "20x") for c in ("GFP", "RFP")
)
SERIES = tuple(series_key("psf", path) for path in PATHS)
_ID, _AT = "00000000-0000-4000-8000-000000000000", "2001-02-03T04:05:06Z"
_WEEKS_AT_ONCE = 10
_WEEK_US, _LINE_US = 7 * 86_400_000_000, 600_000_000
_PROPERTIES = {"Stage": "Z", "Laser": "Power", "Turret": "State", "Room": "Temperature"}
_N_MODELS = 12
_EVERY_WEEK = ("qc_result",) * len(PATHS) + (
    "acquisition_started",
    "acquisition_finished",
    "instrument",
    "agent_event",
)
_AS_IT_GOES = ("state_snapshot", "state_change", "heartbeat")
_KINDS = tuple(dict.fromkeys(_EVERY_WEEK + _AS_IT_GOES))
_TERMS = (
    *(("word", word) for word in ("mitosis", "beads", "ome", "zarr")),
    *(("channel", name) for name in ("gfp", "rfp")),
    *(("objective", name) for name in ("60x", "20x")),
    *(("qc", name) for name in ("pass", "warn")),
    *(("person", f"person {number}") for number in range(100)),
)
_RARE = 1_000_000
"""Different numbers in file names; each is a word of its own."""
_NTH = " ".join(f"WHEN '{metric}' THEN {n}" for n, metric in enumerate(METRICS))
VALUE = f"""0.28 + position * (7919 + 104 * CASE metric {_NTH} END) % 1000 * 0.00004
    + CASE metric WHEN 'fwhm_x_um' THEN CASE WHEN position > (SELECT max(position) / 2 FROM qc_runs) THEN 0.04 ELSE 0 END
        WHEN 'power_mw' THEN 0.1 * position / (SELECT max(position) FROM qc_runs) ELSE 0 END"""
"""A figure's value in SQL."""
_COLUMNS = {table.name: table.columns for table in TABLES}


def fill(store: Store, n_instruments: int, n_records: int, weeks: int = 260) -> int:
    """Fill an empty store: weekly QC of four series an instrument, the rest snapshots, heartbeats, changes, acquisitions."""
    years = _Years(n_instruments, n_records // n_instruments, weeks, isinstance(store, SqliteStore))
    store.write(years.let_in())
    _done(store, years.without_indices)
    for week in range(0, weeks, _WEEKS_AT_ONCE):
        _done(store, lambda db, first=week: years.write(db, range(first, min(first + _WEEKS_AT_ONCE, weeks))))
    for step in years.endings():
        _done(store, step)
    return years.position


def _done(store: Store, work: Callable[[Connection], object]) -> None:
    (outcome,) = store.write([lambda writes: work(writes._connection)])
    if (error := getattr(outcome, "error", None)) is not None:
        raise error


class _Years:
    """What is known while years are written: numbers given out, and what every instrument sends."""

    def __init__(self, n_instruments: int, each: int, weeks: int, is_sqlite: bool) -> None:
        self.n_instruments, self.each, self.weeks, self.is_sqlite = n_instruments, each, weeks, is_sqlite
        self.dice = random.Random(n_instruments)
        self.batch_id = self.position = self.run = 0
        self.at: Callable[[int], Any] = int if is_sqlite else from_us
        self.id: Callable[[bytes], Any] = bytes if is_sqlite else lambda raw: UUID(bytes=raw)
        self.engine = "sqlite" if is_sqlite else "postgresql"
        schema = files("server.store").joinpath(f"schema_{self.engine}.sql").read_text(encoding="utf-8")
        self.indices = [line for line in schema.splitlines() if line.startswith("CREATE INDEX")]
        self.scopes = [_Scope(number) for number in range(n_instruments)]
        self.terms: list[tuple[int, bytes]] = []

    # Before and after

    def let_in(self) -> list[Any]:
        """Return the jobs that add instruments and their agents."""
        jobs = []
        for scope in self.scopes:
            site, name = f"Site {scope.number % 20}", f"Microscope {scope.number:04d}"
            instrument = Instrument(scope.instrument_id, name, site, END_AT)
            agent = Agent(
                scope.agent_id, scope.public_key, scope.instrument_id, "pc", "Windows 11", "0.1.0", END_AT
            )
            jobs += [lambda w, i=instrument: w.put_instrument(i), lambda w, a=agent: w.put_agent(a)]
        return jobs

    def without_indices(self, db: Connection) -> None:
        """Take the indices away, and add what everything else refers to."""
        for index in self.indices:
            db.do(f"DROP INDEX {index.split()[2]}")
        if not self.is_sqlite:
            db.do("ALTER TABLE qc_figures DROP CONSTRAINT qc_figures_pkey")
            db.do("SET maintenance_work_mem = '512MB'")
        keys = dict(db.fetch("SELECT instrument_id, instrument_key FROM instruments"))
        for scope in self.scopes:
            scope.key = keys[scope.instrument_id]
        self._add(db, "kinds", [(number, kind) for number, kind in enumerate(_KINDS, 1)])
        rare = [(number, "word", f"{number - len(_TERMS) - 1:06d}") for number in self._rare()]
        self._add(db, "terms", [(n, *term) for n, term in enumerate(_TERMS, 1)] + rare)

    def _rare(self) -> range:
        n_needed = min(_RARE, max(self.n_instruments * self.weeks, 1) * 4)
        return range(len(_TERMS) + 1, len(_TERMS) + 1 + n_needed)

    def endings(self) -> Iterator[Callable[[Connection], None]]:
        """Yield the steps after the last week; each is a transaction."""
        at_once = max(len(self.scopes) // 10, 1)
        for first in range(0, len(self.scopes), at_once):
            keys = [scope.key for scope in self.scopes[first : first + at_once]]
            yield lambda db, keys=keys: _add_figures(db, min(keys), max(keys))
        if not self.is_sqlite:
            key = "instrument_key, series_key, metric, captured_at, position"
            yield lambda db: _do(db, f"ALTER TABLE qc_figures ADD PRIMARY KEY ({key})")
        yield lambda db: self._add(db, "acquisition_terms", sorted(self.terms, key=lambda one: one[:2]))
        yield self._as_it_stands
        for index in self.indices:
            yield lambda db, index=index: _do(db, index.rstrip(";"))
        yield lambda db: _do(db, "ANALYZE")

    def _add(self, db: Connection, table: str, rows: list[tuple[Any, ...]]) -> None:
        db.add(table, _COLUMNS[table], rows)

    # Week after week

    def write(self, db: Connection, weeks: range) -> None:
        """Write weeks of every instrument."""
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for week in weeks:
            began_us = to_us(END_AT) - (self.weeks - week) * _WEEK_US
            n = self.each * (week + 1) // self.weeks - self.each * week // self.weeks
            for scope in self.scopes:
                self._week(rows, scope, began_us, max(n, len(_EVERY_WEEK + _AS_IT_GOES)))
        if not self.is_sqlite:
            _make_partitions(db, rows)
        for table, added in rows.items():
            db.add(table, RECORD_COLUMNS if table == "records" else _COLUMNS[table], added)

    def _week(self, rows: dict[str, list], scope: _Scope, began_us: int, n: int) -> None:
        self.batch_id += 1
        batch_id, at, received = self.batch_id, self.at, self.at(began_us)
        rows.setdefault("batches", []).append(scope.batch(batch_id, n, received))
        acquisition = self._id(began_us)
        records = rows.setdefault("records", [])
        for line, kind in enumerate(scope.kinds(n)):
            self.position += 1
            us = began_us + line * _LINE_US
            record_id, captured = self._id(us), at(us)
            is_of_it = kind.startswith("acquisition")
            records.append((self.position, record_id, _KINDS.index(kind) + 1, "1.0", scope.key, captured, batch_id, line,
                            acquisition if is_of_it else None))  # fmt: skip
            scope.newest[kind] = scope.newest[line] = record_id
            if kind == "state_change":
                device = self.dice.choice(tuple(_PROPERTIES))
                told = (scope.lines[f"change of {device}"], _PROPERTIES[device])
                change = (self.position, record_id, scope.key, None, device, captured, *told)
                rows.setdefault("changes", []).append(change)
            elif kind == "qc_result":
                run = (
                    self.position,
                    record_id,
                    scope.key,
                    record_id,
                    SERIES[line],
                    "psf",
                    "pass",
                    captured,
                    None,
                )
                rows.setdefault("qc_runs", []).append(run)
        self._acquisition(rows, scope, acquisition, began_us)

    def _acquisition(self, rows: dict[str, list], scope: _Scope, name: Any, began_us: int) -> None:
        dice, began, ended = self.dice, self.at(began_us), self.at(began_us + 540_000_000)
        row = (self.batch_id, name, scope.key, began, began, ended, "completed", 100, 100, 0, 100, 1, 1, 0,
               scope.newest["acquisition_started"], scope.newest["acquisition_finished"], None, 10**9)  # fmt: skip
        rows.setdefault("acquisitions", []).append(row)
        rare = dice.choice(self._rare())
        word, path = dice.choice((1, 2)), rf"D:\data\{rare:06d}.ome.zarr"
        rows.setdefault("datasets", []).append((name, path, f"{dice.getrandbits(256):064x}", None))
        keys = (
            word,
            3,
            4,
            dice.choice((5, 6)),
            dice.choice((7, 8)),
            dice.choice((9, 9, 10)),
            11 + dice.randrange(100),
            rare,
        )
        self.terms += [(key, name) for key in keys]

    def _id(self, us: int) -> Any:
        """Return an id that begins with the time, as agents mint them."""
        raw = (
            (us // 1000).to_bytes(6, "big")
            + b"\x70"
            + self.dice.randbytes(1)
            + b"\x80"
            + self.dice.randbytes(7)
        )
        return self.id(raw)

    # As it stands at the end

    def _as_it_stands(self, db: Connection) -> None:
        last_us = to_us(END_AT) - _WEEK_US
        now, latest, spools, series = self.at(last_us), [], [], []
        for scope in self.scopes:
            for kind in _KINDS:
                name = scope.newest[kind]
                raw = scope.lines[kind].replace(_AT, from_us(last_us).isoformat()).encode()
                latest.append((scope.key, kind, name, now, now, "boot", 1, now, raw))
            for line, (key, path) in enumerate(zip(SERIES, PATHS, strict=True)):
                row = (scope.key, key, "psf", json.dumps(path), self.weeks, scope.newest[line], now, "pass")
                series.append(row)
            first = self.at(to_us(END_AT) - self.weeks * _WEEK_US)
            spools.append((scope.number + 1, scope.agent_id, "years", scope.seq, scope.chain, 0, first, now))
        self._add(db, "latest", latest)
        self._add(db, "qc_series", series)
        self._add(db, "spools", spools)
        db.do("UPDATE agents SET heard_at = ?", now)
        db.do(f"UPDATE instruments SET model = 'Model ' || (instrument_key % {_N_MODELS})")
        db.do("UPDATE counters SET batch_id = ?, position = ?", self.batch_id, self.position)
        for table in (
            () if self.is_sqlite else ("kinds", "terms", "spools", "changes", "acquisitions", "qc_runs")
        ):
            key = _COLUMNS[table][0]
            db.fetch(f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), max({key})) FROM {table}")


def _do(db: Connection, sql: str) -> None:
    db.do(sql)


def _make_partitions(db: Connection, rows: dict[str, list[tuple[Any, ...]]]) -> None:
    from server.store.partitions import (  # the driver is there when it is wanted
        make_for_batches,
        make_for_records,
    )

    make_for_batches(db, rows["batches"][0][0])
    make_for_records(db, [row[1] for row in rows["records"]], END_AT)


def _add_figures(db: Connection, first_key: int, last_key: int) -> None:
    """Compute the figures of some instruments' runs: about 0.3, different from run to run, one with a step and one with a drift."""
    names = " UNION ALL ".join(f"SELECT '{metric}' AS metric" for metric in METRICS)
    db.do(
        f"""INSERT INTO qc_figures (instrument_key, series_key, metric, captured_at, position, record_id, status, unit,
                value, uncertainty, expected, baseline, lower_limit, upper_limit)
            SELECT instrument_key, series_key, metric, captured_at, position, record_id, status, 'um',
                {VALUE}, 0.004, 0.28, 0.29, NULL, 0.4
            FROM qc_runs CROSS JOIN ({names}) AS names WHERE instrument_key BETWEEN {first_key} AND {last_key}
            ORDER BY instrument_key, series_key, metric, captured_at, position"""
    )


class _Scope:
    """One instrument, its agent and its spool."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.instrument_id = f"scope-{number:05d}"
        self.public_key = hashlib.sha256(self.instrument_id.encode()).digest()
        self.agent_id = agent_id_of(self.public_key)
        self.key, self.seq, self.chain = 0, 0, CHAIN_START
        self.lines = _templates(self.instrument_id, self.agent_id)
        self.newest: dict[str | int, Any] = {}
        self._bodies: dict[int, bytes] = {}
        self._headers = json.dumps({"content-encoding": "zstd", "scopestamp-agent": self.agent_id, "scopestamp-signature": "x" * 88})  # fmt: skip

    @staticmethod
    def kinds(n: int) -> Iterator[str]:
        """Yield the kinds of the lines of a week."""
        yield from _EVERY_WEEK
        for number in range(len(_EVERY_WEEK), n):
            yield _AS_IT_GOES[number % 3]

    def batch(self, batch_id: int, n: int, received: Any) -> tuple[Any, ...]:
        """Return the row of the next batch."""
        if n not in self._bodies:
            raw = "".join(self.lines[kind] + "\n" for kind in self.kinds(n)).encode()
            self._bodies[n] = zstandard.ZstdCompressor(level=3).compress(raw)
        first, prev = self.seq + 1, self.chain
        self.seq, self.chain = self.seq + n, hashlib.sha256(prev.encode()).hexdigest()
        return (batch_id, self.number + 1, self.key, first, self.seq, 0, prev, self.chain, "/v1/ingest", self._headers,
                received, None, self._bodies[n])  # fmt: skip


def _templates(instrument_id: str, agent_id: str) -> dict[str, str]:
    """Return one record of each kind as text, with its id and time standing out."""
    at = datetime.fromisoformat(_AT)
    now = r.Instant(wall_at=at, monotonic_ns=1, boot_id="boot")
    common = {
        "record_id": UUID(_ID),
        "captured": now,
        "instrument_id": instrument_id,
        "producer": r.Producer(agent_id=agent_id, version="0.1.0"),
    }
    read = r.Reading(status=r.ReadingStatus.OK, value=1.5, how=r.How.HARDWARE, observed_at=at, unit="um")
    state = r.SystemState(
        taken=now,
        duration_ms=12.5,
        devices={d: {"Value": read} for d in ("Stage", "Laser", "Turret", "Camera")},
    )
    change = r.Change(
        device="Stage",
        property="Z",
        before=read,
        after=read,
        cause=r.Cause.COMMANDED,
        first_at=now,
        last_at=now,
    )
    metric = [
        r.QcMetric(
            metric=m,
            measured=r.Quantity(value=0.3, unit="um", source=r.Source.QC, observed_at=at),
            status=r.QcStatus.PASS,
            rule="at most 0.4",
        )
        for m in METRICS
    ]
    plan = r.AcquisitionPlan(axes={"t": 100}, n_frames_expected=100)
    run = {"acquisition_id": UUID(_ID), "started": now, "plan": plan}
    records = [
        r.StateSnapshot(**common, reason=r.SnapshotReason.KEY_FRAME, state=state),
        r.StateChange(**common, changes=(change,)),
        r.Heartbeat(
            **common, uptime_s=60.0, spool=r.SpoolHealth(n_waiting=0, bytes_on_disk=0), hardware="idle"
        ),
        r.QcResult(
            **common,
            run_id=UUID(_ID),
            routine="psf",
            routine_version="1.0",
            light_path=PATHS[0],
            metrics=tuple(metric),
            status=r.QcStatus.PASS,
            n_used=9,
        ),
        r.AcquisitionStarted(**common, **run),
        r.AgentEvent(**common, severity=r.Severity.INFO, event="agent_started", message="The agent started."),
        _described(common),
        r.AcquisitionFinished(
            **common, **run, finished=now, reason=r.FinishReason.COMPLETED, frames=r.FrameCount(seen=100)
        ),
    ]
    filed = {filed_of(record).kind: r.encode(record).decode() for record in records}
    climate = read.model_copy(update={"unit": "Cel"})
    for device, name in _PROPERTIES.items():
        values = {"before": climate, "after": climate} if device == "Room" else {}
        one = change.model_copy(update={"device": device, "property": name, **values})
        filed[f"change of {device}"] = one.model_dump_json(exclude_none=True)
    return filed


def _described(common: dict[str, Any]) -> r.InstrumentDescription:
    """Return what an agent tells of a microscope with a dozen devices when it starts."""
    property_ = r.PropertyDescription(value_type="float", unit="ms", is_read_only=False, is_pre_init=False)
    device = r.DeviceDescription(
        device_type="GenericDevice",
        library="DemoCamera",
        adapter_name="DDevice",
        description="Demo device",
        properties={f"Property {number}": property_ for number in range(12)},
    )
    return r.InstrumentDescription(
        **common,
        devices={f"Device {number}": device for number in range(12)},
        software={"MMCore": "11.9.0", "scopestamp": "0.1.0"},
    )
