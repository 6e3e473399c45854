"""How much a collector takes: ``python tests/benchmarks/ingest_load.py [--postgresql DSN [--collectors N]] [--batches N]``.

A collector in a process of its own takes signed, compressed batches of state snapshots (1 kB each) through HTTP, every commit
flushed before the answer. The load generator is another process on the same cores; its requests are made beforehand.
The agents have enrolled before the collector starts. Prints as JSON: full load with 64 agents at 100 records a batch, then 900
agents at 9000 records/s in an open loop (latency counts from when a request was due), bytes stored a record, and the collector's
memory and CPU.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from collector import BenchCollector
from fleet import BenchAgent, agents

Collectors = Sequence[BenchCollector]
Fleet = Sequence[BenchAgent]
Run = Callable[[Collectors, Fleet], dict]
SENDING = Path(__file__).with_name("sending.py")


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--batches", type=int, default=100, help="of each of 64 agents, under full load")
    asked.add_argument("--only", choices=("load", "rate"), help="one of the two measurements")
    asked.add_argument("--seconds", type=int, default=20, help="of the set rate")
    asked.add_argument("--postgresql", help="address of an empty database")
    asked.add_argument("--collectors", type=int, default=1, help="processes that share the database")
    said = asked.parse_args()
    results = {
        "full load, 64 agents, 100 records a batch": (
            64,
            lambda c, fleet: _full_load(c, fleet, said.batches),
        ),
        "900 agents, 9000 records/s": (900, lambda c, fleet: _set_rate(c, fleet, said.seconds)),
    }
    for what, name in zip(("load", "rate"), list(results), strict=True):
        if said.only not in (None, what):
            del results[name]
    told = {
        name: _in_collectors(list(agents(n)), run, said.postgresql, said.collectors)
        for name, (n, run) in results.items()
    }
    print(json.dumps(told, indent=2))


def _in_collectors(fleet: Fleet, run: Run, dsn: str | None, n: int) -> dict:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        collectors = [BenchCollector(folder / str(number), dsn) for number in range(n)]
        collectors[0].enrol(fleet)
        for one in collectors:
            stack.enter_context(one)
        stored = collectors[0].stored_bytes()
        before, database_before = _cpu_s(collectors), _database_cpu_s(dsn)
        told = run(collectors, fleet)
        database_s = _database_cpu_s(dsn) - database_before
        used_s = _cpu_s(collectors) - before
        memory = [psutil.Process(one.pid).memory_full_info().uss for one in collectors]
        stored = collectors[0].stored_bytes() - stored
    return {
        **told,
        "collector_cpu_us_per_record": round(1e6 * used_s / told["records"], 1),
        **({"database_cpu_us_per_record": round(1e6 * database_s / told["records"], 1)} if dsn else {}),
        "collector_memory_mb": [round(one / 1e6) for one in memory],
        "stored_bytes_per_record": round(stored / told["records"]),
    }


def _cpu_s(collectors: Collectors) -> float:
    times = [psutil.Process(one.pid).cpu_times() for one in collectors]
    return sum(each.user + each.system for each in times)


def _database_cpu_s(dsn: str | None) -> float:
    """Return the time of every process of the server, which runs on this machine, as far as they go on; 0 without one."""
    if dsn is None:
        return 0
    from server.store.postgresql_connection import PostgresConnection  # the driver is there when it is wanted

    with closing(PostgresConnection(dsn)) as connection:
        ((pid,),) = connection.fetch("SELECT pg_backend_pid()")
        server = psutil.Process(pid).parent()
        assert server is not None
        times = [process.cpu_times() for process in (server, *server.children())]
    return sum(each.user + each.system for each in times)


def _full_load(collectors: Collectors, fleet: Fleet, n_batches: int) -> dict:
    requests = [[agent.request(100) for _ in range(n_batches)] for agent in fleet]
    told = _send(collectors, requests, None)
    assert told["records"] == len(fleet) * n_batches * 100
    assert collectors[0].marks() == {n_batches * 100}
    again = _send(collectors, [own[:1] for own in requests], None)
    raw = sum(agent.n_raw_bytes for agent in fleet) / told["records"]
    return {**told, "added_by_a_replay": again["records"], "raw_bytes_per_record": round(raw)}


def _set_rate(collectors: Collectors, fleet: Fleet, seconds: int) -> dict:
    return _send(collectors, [[agent.request(10) for _ in range(seconds)] for agent in fleet], 1.0)


def _send(collectors: Collectors, requests: list[list[bytes]], every_s: float | None) -> dict:
    addresses = [(where.hostname, where.port) for where in (urlsplit(one.url) for one in collectors)]
    asked = pickle.dumps((addresses, requests, every_s))
    done = subprocess.run([sys.executable, str(SENDING)], input=asked, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
