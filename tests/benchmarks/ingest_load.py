"""How much a collector takes: ``python tests/benchmarks/ingest_load.py [--postgresql DSN] [--batches N]``.

A collector in a process of its own takes signed, compressed batches of state snapshots (1 kB each) through HTTP, every commit
flushed before the answer. The load generator is another process on the same cores; its requests are made beforehand.
Prints as JSON: full load with 64 agents at 100 records a batch, then 900 agents at 9000 records/s in an open loop (latency
counts from when a request was due), bytes stored a record, and the collector's memory and CPU.
"""

from __future__ import annotations

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from collector import BenchCollector
from fleet import BenchAgent, agents

SENDING = Path(__file__).with_name("sending.py")


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--batches", type=int, default=100, help="of each of 64 agents, under full load")
    asked.add_argument("--only", choices=("load", "rate"), help="one of the two measurements")
    asked.add_argument("--seconds", type=int, default=20, help="of the set rate")
    asked.add_argument("--postgresql", help="address of an empty database")
    said = asked.parse_args()
    results = {
        "full load, 64 agents, 100 records a batch": lambda c: _full_load(c, 64, said.batches),
        "900 agents, 9000 records/s": lambda c: _set_rate(c, 900, said.seconds),
    }
    for what, name in zip(("load", "rate"), list(results), strict=True):
        if said.only not in (None, what):
            del results[name]
    print(json.dumps({name: _in_collector(run, said.postgresql) for name, run in results.items()}, indent=2))


def _in_collector(run, dsn: str | None) -> dict:
    with tempfile.TemporaryDirectory() as folder, BenchCollector(Path(folder), dsn) as collector:
        before, database_before = _cpu_s(collector), _database_cpu_s() if dsn else 0
        told = run(collector)
        database_s = _database_cpu_s() - database_before if dsn else 0
        used_s, memory = _cpu_s(collector) - before, psutil.Process(collector.pid).memory_full_info()
        stored = collector.file_bytes()
    return {
        **told,
        "collector_cpu_us_per_record": round(1e6 * used_s / told["records"], 1),
        **({"database_cpu_us_per_record": round(1e6 * database_s / told["records"], 1)} if dsn else {}),
        "collector_memory_mb": round(memory.uss / 1e6),
        **({"file_bytes_per_record": round(stored / told["records"])} if stored else {}),
    }


def _cpu_s(collector: BenchCollector) -> float:
    times = psutil.Process(collector.pid).cpu_times()
    return times.user + times.system


def _database_cpu_s() -> float:
    """Return the time of every process called postgres: nothing else may use one meanwhile."""
    times = [process.cpu_times() for process in psutil.process_iter() if process.name() == "postgres"]
    return sum(each.user + each.system for each in times)


def _full_load(collector: BenchCollector, n_agents: int, n_batches: int) -> dict:
    fleet = _enrolled(collector, n_agents)
    requests = [[agent.request(100) for _ in range(n_batches)] for agent in fleet]
    told = _send(collector, requests, None)
    assert told["records"] == n_agents * n_batches * 100
    assert collector.marks() == {n_batches * 100}
    again = _send(collector, [own[:1] for own in requests], None)
    raw = sum(agent.n_raw_bytes for agent in fleet) / told["records"]
    return {**told, "added_by_a_replay": again["records"], "raw_bytes_per_record": round(raw)}


def _set_rate(collector: BenchCollector, n_agents: int, seconds: int) -> dict:
    fleet = _enrolled(collector, n_agents)
    return _send(collector, [[agent.request(10) for _ in range(seconds)] for agent in fleet], 1.0)


def _enrolled(collector: BenchCollector, n: int) -> list[BenchAgent]:
    fleet = list(agents(n))
    collector.enrol(fleet)
    return fleet


def _send(collector: BenchCollector, requests: list[list[bytes]], every_s: float | None) -> dict:
    where = urlsplit(collector.url)
    asked = pickle.dumps((where.hostname, where.port, requests, every_s))
    done = subprocess.run([sys.executable, str(SENDING)], input=asked, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
