"""How fast records become durable, and how fast a backlog drains: ``python tests/benchmarks/spool_rate.py``.

Our spool and SQLite (WAL, synchronous=FULL, one connection) append the same records on the same disk, in turns within
one run, so that the ratio means something on a machine that others use too. Prints one JSON object. Records are
encoded beforehand: what is measured is the storage, not pydantic.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.outbox.cursor import Position
from agent.outbox.folders import Session, all_spools
from agent.outbox.lanes import Lane
from agent.outbox.reader import SpoolReader
from agent.outbox.spool import Spool

BATCHES = (1, 16, 256)
N_ROUNDS = 7
ROUND_S = 0.4
N_DRAINED = 100_000
RECORD = json.dumps({"n": 0, "devices": {f"device-{i}": {"value": i * 0.37, "ok": True} for i in range(20)}})

Append = Callable[[list[bytes]], object]


@contextmanager
def our_spool(folder: Path) -> Iterator[Append]:
    session = Session(folder, datetime.now(UTC))
    spool = Spool(session.folder, Lane.EVENTS, datetime.now(UTC))
    yield lambda records: spool.append(records, datetime.now(UTC))
    spool.close()
    session.close()


@contextmanager
def sqlite_wal_full(folder: Path) -> Iterator[Append]:
    connection = sqlite3.connect(folder / "spool.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE spool (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)")

    def append(records: list[bytes]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO spool (record) VALUES (?)", ((record,) for record in records))
        connection.execute("COMMIT")

    yield append
    connection.close()


def rate(append: Append, batch: int) -> float:
    """Return records a second, each durable before the next batch."""
    records = [RECORD.replace('"n": 0', f'"n": {n}').encode() for n in range(batch)]
    n, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < ROUND_S:
        append(records)
        n += batch
    return n / passed


def put_rates(folder: Path, batch: int) -> dict[str, object]:
    ours, sqlite = folder / f"ours-{batch}", folder / f"sqlite-{batch}"
    for path in (ours, sqlite):
        path.mkdir()
    with our_spool(ours) as append_ours, sqlite_wal_full(sqlite) as append_sqlite:
        pairs = [(rate(append_ours, batch), rate(append_sqlite, batch)) for _ in range(N_ROUNDS)]
    ratios = sorted(a / b for a, b in pairs)
    return {
        "batch": batch,
        "spool_records_per_s": round(statistics.median(a for a, _ in pairs)),
        "sqlite_wal_full_records_per_s": round(statistics.median(b for _, b in pairs)),
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
    }


def drain_rate(folder: Path) -> dict[str, object]:
    """Read a backlog from the page cache in order, as the drainer does, and weigh it."""
    with our_spool(folder) as append:
        for start in range(0, N_DRAINED, 500):
            append([RECORD.replace('"n": 0', f'"n": {start + n}').encode() for n in range(500)])
        (spool,) = all_spools(folder)
        began = time.perf_counter()
        n = sum(1 for _ in SpoolReader(spool, Position(), is_live=True))
        passed = time.perf_counter() - began
        on_disk = sum(path.stat().st_size for _, path in spool.segments())
    return {
        "n_records": n,
        "read_records_per_s": round(n / passed),
        "bytes_a_record": round(on_disk / n),
        "bytes_a_record_before": len(RECORD),
    }


def main() -> None:
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        put = [put_rates(folder, batch) for batch in BATCHES]
        drained = folder / "drained"
        drained.mkdir()
        print(
            json.dumps({"put": put, "drain": drain_rate(drained), "sqlite": sqlite3.sqlite_version}, indent=2)
        )


if __name__ == "__main__":
    main()
