"""What a page asks of a full store: ``python tests/benchmarks/queries.py [--postgresql DSN] [--records N] [--keep FOLDER]``.

Fills a store with five years of a fleet, then asks each question the pages ask, of instruments drawn at random. Prints the
milliseconds (median and 95th percentile) as JSON, with the rows and bytes the store holds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fill import METRICS, PATHS, fill

from server.ingest.evidence import raw_line
from server.quality.series import series_key
from server.store import Reads, SqliteStore, Store
from server.store.rows import Place

N_ASKED = 40


def main() -> None:
    """Fill, ask and print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--records", type=int, default=1_000_000)
    asked.add_argument("--instruments", type=int, default=1000)
    asked.add_argument("--postgresql", help="address of an empty database")
    asked.add_argument("--keep", type=Path, help="folder for the SQLite store; filled only when it is empty")
    said = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, closing(_opened(said, said.keep or Path(folder))) as store:
        began = time.monotonic()
        n_records = _filled(store, said)
        told = {"records": n_records, "fill_s": round(time.monotonic() - began)}
        print(json.dumps(told | _asked(store, said.instruments), indent=2))


def _opened(said: argparse.Namespace, folder: Path) -> Store:
    if said.postgresql:
        from server.store.postgresql import PostgresStore

        return PostgresStore(said.postgresql)
    return SqliteStore(folder)


def _filled(store: Store, said: argparse.Namespace) -> int:
    with store.reading() as reads:
        if reads.instruments():
            print("The store is filled already.", file=sys.stderr)
            return -1
    return fill(store, said.instruments, said.records)


def _asked(store: Store, n_instruments: int) -> dict[str, object]:
    dice = random.Random(1)
    key = series_key("psf", PATHS[0])

    def scope() -> str:
        return f"scope-{dice.randrange(n_instruments):05d}"

    def deep(reads: Reads) -> object:
        page = reads.acquisitions(one := scope(), limit=50)
        return reads.acquisitions(one, Place(page[-1].began_at, page[-1].position), 50)

    def raw(reads: Reads) -> object:
        return raw_line(reads, reads.recent(scope(), "qc_result", 1, before=dice.randrange(1000, 10**9))[0])

    questions: dict[str, Callable[[Reads], object]] = {
        "fleet": lambda reads: reads.fleet(),
        "latest of an instrument": lambda reads: reads.latest(scope()),
        "50 changes": lambda reads: reads.changes(scope(), limit=50),
        "500 changes": lambda reads: reads.changes(scope(), limit=500),
        "50 changes of a device": lambda reads: reads.changes(scope(), limit=50, device="Laser"),
        "50 acquisitions": lambda reads: reads.acquisitions(scope(), limit=50),
        "the next 50 acquisitions": deep,
        "QC series of an instrument": lambda reads: reads.qc_series(scope()),
        "50 QC runs": lambda reads: reads.qc_runs(scope(), limit=50),
        "5 years of one figure": lambda reads: reads.qc_points(scope(), key, METRICS[0]),
        "5 years of every figure of a series": lambda reads: reads.qc_points(scope(), key),
        "20 recent records of a kind": lambda reads: reads.recent(scope(), "state_snapshot", 20),
        "100 records from anywhere": lambda reads: reads.records(after=dice.randrange(100_000)),
        "one record with its bytes": raw,
        "spools": lambda reads: reads.spools(),
        "quarantine": lambda reads: reads.quarantine(),
    }
    return {"ms": {name: _timed(store, question) for name, question in questions.items()}}


def _timed(store: Store, question: Callable[[Reads], object]) -> dict[str, float]:
    taken = []
    for _ in range(N_ASKED):
        with store.reading() as reads:
            began = time.perf_counter()
            question(reads)
            taken.append(1000 * (time.perf_counter() - began))
    taken.sort()
    return {"p50": round(taken[len(taken) // 2], 1), "p95": round(taken[int(len(taken) * 0.95)], 1)}


if __name__ == "__main__":
    main()
