"""Fills a store with years of a fleet, fast: real records in real batches, filed as ingest files them, signatures left out."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import zstandard

from agent import records as r
from agent.records.wire import CHAIN_START, agent_id_of
from server.ingest.filing import filed_of
from server.quality_series import series_key
from server.store import Store
from server.store.rows import (
    AcquisitionFacts,
    Agent,
    Batch,
    Dataset,
    Filed,
    FiledChange,
    Instrument,
    Line,
    QcFacts,
    QcFigure,
    SearchFacts,
)

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
_ID, _AT = "00000000-0000-4000-8000-000000000000", "2001-02-03T04:05:06Z"
_IN_A_BATCH = 100
_BATCHES_AT_ONCE = 250


def fill(store: Store, n_instruments: int, n_records: int, weeks: int = 260) -> int:
    """Fill an empty store: weekly QC of four series an instrument, the rest snapshots, heartbeats, changes, acquisitions."""
    _let_in(store, n_instruments)
    each = n_records // n_instruments
    scopes = [_Scope(number) for number in range(n_instruments)]
    jobs: list[Batch] = []
    n_written = 0
    for week in range(weeks):
        at = END_AT - timedelta(weeks=weeks - week)
        n_now = each * (week + 1) // weeks - each * week // weeks
        for scope in scopes:
            jobs.append(scope.batch(scope.week(at, n_now), at))
            n_written += len(jobs[-1].lines)
            if len(jobs) >= _BATCHES_AT_ONCE:
                store.write(jobs)
                jobs = []
    store.write(jobs)
    return n_written


def _let_in(store: Store, n_instruments: int) -> None:
    jobs = []
    for number in range(n_instruments):
        scope = _Scope(number)
        instrument = Instrument(
            scope.instrument_id, f"Microscope {number:04d}", f"Site {number % 20}", END_AT
        )
        agent = Agent(
            scope.agent_id, scope.public_key, scope.instrument_id, "pc", "Windows 11", "0.1.0", END_AT
        )
        jobs += [lambda w, i=instrument: w.put_instrument(i), lambda w, a=agent: w.put_agent(a)]
    store.write(jobs)


class _Scope:
    """One instrument, its agent and its spool."""

    def __init__(self, number: int) -> None:
        self.dice = random.Random(number)
        self.instrument_id = f"scope-{number:05d}"
        self.public_key = hashlib.sha256(self.instrument_id.encode()).digest()
        self.agent_id = agent_id_of(self.public_key)
        self.seq, self.chain, self.n_ns = 0, CHAIN_START, 0
        self._templates = _templates(self.instrument_id, self.agent_id)

    def batch(self, filed: list[tuple[Filed, bytes]], at: datetime) -> Batch:
        """Return records as the next batch."""
        prev, chain, lines = self.chain, bytes.fromhex(self.chain), []
        for seq, (one, raw) in enumerate(filed, start=self.seq + 1):
            chain = hashlib.sha256(chain + hashlib.sha256(raw).digest()).digest()
            lines.append(Line(seq, raw, chain.hex(), one))
        body = zstandard.ZstdCompressor(level=3).compress(b"".join(raw + b"\n" for _, raw in filed))
        first, self.seq, self.chain = self.seq + 1, self.seq + len(lines), chain.hex()
        return Batch(
            agent_id=self.agent_id,
            spool_id="years",
            first_seq=first,
            prev=prev,
            skipped_from=None,
            lines=tuple(lines),
            path="/v1/ingest",
            headers={
                "content-encoding": "zstd",
                "scopestamp-agent": self.agent_id,
                "scopestamp-signature": "x" * 88,
            },
            body=body,
            received_at=at,
        )

    def week(self, at: datetime, n: int) -> list[tuple[Filed, bytes]]:
        """Return what a week brings: QC of each path, one acquisition, and otherwise the state as it goes."""
        made = [*(self._qc(at, path) for path in PATHS), *self._acquisition(at)]
        kinds = ("state_snapshot", "state_change", "heartbeat")
        while len(made) < n:
            kind = kinds[len(made) % 3]
            moment = at + timedelta(seconds=600 * len(made))
            device = self.dice.choice(("Stage", "Laser", "Turret"))
            changes = (
                (FiledChange(device, moment, self._templates["change"]),) if kind == "state_change" else ()
            )
            made.append(self._filed(kind, moment, changes=changes))
        return made

    def _filed(self, kind: str, at: datetime, **more: object) -> tuple[Filed, bytes]:
        record_id = UUID(int=self.dice.getrandbits(128), version=4)
        self.n_ns += 1
        filed = Filed(record_id, kind, "1.0", self.instrument_id, at, "boot", self.n_ns, **more)
        told = at.isoformat().replace("+00:00", "Z")
        return filed, self._templates[kind].replace(_ID, str(record_id)).replace(_AT, told).encode()

    def _qc(self, at: datetime, path: dict[str, str]) -> tuple[Filed, bytes]:
        figures = tuple(
            QcFigure(m, "pass", "um", self.dice.gauss(0.3, 0.01), 0.004, 0.28, 0.29, None, 0.4)
            for m in METRICS
        )
        qc = QcFacts(uuid4(), series_key("psf", path), "psf", path, "pass", figures)
        return self._filed("qc_result", at, qc=qc)

    def _acquisition(self, at: datetime) -> Iterator[tuple[Filed, bytes]]:
        name = UUID(int=self.dice.getrandbits(128), version=4)
        yield self._filed(
            "acquisition_started", at, acquisition_id=name, facts=AcquisitionFacts(name, at, n_expected=100)
        )
        end = AcquisitionFacts(name, at, at + timedelta(minutes=9), "completed", 100, 100, 0, 1, n_problems=0)
        ended = {"acquisition_id": name, "facts": end, "search": self._search(name)}
        yield self._filed("acquisition_finished", at + timedelta(minutes=9), **ended)

    def _search(self, name: UUID) -> SearchFacts:
        """Return what it is found by: a rare number, words that half of all have, one of a hundred people."""
        of = self.dice.choice(("mitosis", "beads"))
        words = (of, f"{self.dice.randrange(10**6):06d}", "ome", "zarr")
        terms = [("word", word) for word in words]
        terms += [
            ("channel", self.dice.choice(("gfp", "rfp"))),
            ("objective", self.dice.choice(("60x", "20x"))),
        ]
        terms += [
            ("person", f"person {self.dice.randrange(100)}"),
            ("qc", self.dice.choice(("pass", "pass", "warn"))),
        ]
        sha256 = f"{self.dice.getrandbits(256):064x}"
        path = rf"D:\data\{words[0]}_{words[1]}.ome.zarr"
        return SearchFacts((name,), tuple(terms), (Dataset(path, sha256),))


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
        r.AcquisitionFinished(
            **common, **run, finished=now, reason=r.FinishReason.COMPLETED, frames=r.FrameCount(seen=100)
        ),
    ]
    filed = {filed_of(record).kind: r.encode(record).decode() for record in records}
    return {**filed, "change": change.model_dump_json(exclude_none=True)}
