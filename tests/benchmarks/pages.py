"""How long pages take and how large they are: ``python tests/benchmarks/pages.py [--instruments N] [--weeks N] [--records N]``.

Fills a store, serves it from a process of its own as `scopestamp-server run` does, and asks over a real socket for each page of
instruments drawn at random, signed in as a browser is. Prints milliseconds (median and 95th percentile) and kilobytes (gzip) as JSON. With the defaults it is the
fleet page at 10 000 instruments that matters; ``--instruments 1000 --weeks 260 --records 10000000`` is years of history.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import uvicorn
from fill import END_AT, METRICS, PATHS, fill

from server.access.people import link_job
from server.access.secrets import new_secret
from server.app import create_app
from server.collector import Collector
from server.quality.series import series_key
from server.running import spare_the_collector_of_garbage
from server.settings import Settings
from server.store import SqliteStore, Store

N_ASKED = 30


def main() -> None:
    """Fill, ask and print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--instruments", type=int, default=10_000)
    asked.add_argument("--weeks", type=int, default=1)
    asked.add_argument("--records", type=int, default=0)
    asked.add_argument("--postgresql", help="address of an empty database")
    asked.add_argument("--keep", type=Path, help="folder for the SQLite store; filled only when it is empty")
    asked.add_argument("--only", default="", help="pages whose name has this in it")
    said = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with closing(_opened(said, said.keep or Path(folder))) as store:
            with store.reading() as reads:
                is_new = not reads.instruments()
            if is_new:
                fill(store, said.instruments, said.records, said.weeks)
        told = {
            "instruments": said.instruments,
            "weeks": said.weeks,
            "fill_s": round(time.monotonic() - began),
            "load": os.getloadavg(),
        }
        pages = _asked(said, said.keep or Path(folder))
        print(json.dumps(told | {"pages": pages}, indent=2))


def _opened(said: argparse.Namespace, folder: Path) -> Store:
    if said.postgresql:
        from server.store.postgresql import PostgresStore

        return PostgresStore(said.postgresql)
    return SqliteStore(folder)


def _asked(said: argparse.Namespace, folder: Path) -> dict[str, object]:
    processes = multiprocessing.get_context("spawn")
    secret, here = new_secret(), processes.Pipe()
    server = processes.Process(target=_serve, args=(said, folder, secret, here[1]), daemon=True)
    server.start()
    try:
        with httpx.Client(base_url=here[0].recv(), follow_redirects=True, timeout=120) as browser:
            browser.get(f"/sign-in/{secret}").raise_for_status()
            pages = _pages(said.instruments)
            return {name: _timed(browser, path) for name, path in pages.items() if said.only in name}
    finally:
        server.terminate()
        server.join()


def _serve(said: argparse.Namespace, folder: Path, secret: str, parent: Connection) -> None:
    # Just after the last record; nobody has sent a batch since, so agents count as reporting.
    now, began = END_AT - timedelta(weeks=1) + timedelta(minutes=1), time.monotonic()
    # The clock goes on: requests are counted by the minute.
    collector = Collector.on(
        _opened(said, folder), Settings(), lambda: now + timedelta(seconds=time.monotonic() - began)
    )
    config = uvicorn.Config(create_app(collector), port=0, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    collector.writer.do(link_job(secret, "ada", "admin", now))
    spare_the_collector_of_garbage()
    parent.send(f"http://127.0.0.1:{listening.getsockname()[1]}")
    server.run(sockets=[listening])


def _pages(n_instruments: int) -> dict[str, Callable[[], str]]:
    dice = random.Random(1)
    key = series_key("psf", PATHS[0])

    def scope() -> str:
        return f"scope-{dice.randrange(n_instruments):05d}"

    return {
        "fleet": lambda: "/",
        "fleet, filtered": lambda: f"/?site=Site+{dice.randrange(20)}&q=microscope&sort=last_qc",
        "fleet, a page further on": lambda: f"/?sort=name&after={scope()}",
        "instrument": lambda: f"/instruments/{scope()}",
        "trends, first look": lambda: f"/instruments/{scope()}/qc?series={key}",
        "trends, looked at before": lambda: f"/instruments/scope-00000/qc?series={key}",
        "trends, more figures": lambda: f"/instruments/{scope()}/qc?series={key}&from=4",
        "trends, one figure with every value": lambda: (
            f"/instruments/{scope()}/qc?series={key}&figure={METRICS[0]}"
        ),
        "compare instruments of a model": lambda: (
            f"/compare?metric={METRICS[0]}&model=Model+{dice.randrange(12)}&path={dice.choice(('60x', '20x'))}"
        ),
        "compare an instrument's light paths": lambda: f"/compare?metric={METRICS[0]}&instrument={scope()}",
        "change log of a device": lambda: f"/instruments/{scope()}/changes?device=Laser",
        "acquisitions of all": lambda: "/acquisitions",
        "by a rare word": lambda: f"/acquisitions?q={dice.randrange(10**6):06d}",
        "by a common word and a channel": lambda: "/acquisitions?q=mitosis&channel=gfp",
        "by person and verdict": lambda: f"/acquisitions?person=person+{dice.randrange(100)}&qc=warn",
        "by hash": lambda: f"/acquisitions?q={dice.getrandbits(64):016x}",
        "by day and instrument": lambda: f"/acquisitions?since=2026-01-01&instrument={scope()}",
    }


def _timed(browser: httpx.Client, path: Callable[[], str]) -> dict[str, float]:
    taken, n_bytes = [], 0
    browser.get(path()).raise_for_status()
    for _ in range(N_ASKED):
        began = time.perf_counter()
        reply = browser.get(path())
        taken.append(1000 * (time.perf_counter() - began))
        reply.raise_for_status()
        n_bytes = max(n_bytes, len(gzip.compress(reply.content)))
    taken.sort()
    p50, p95 = taken[len(taken) // 2], taken[int(len(taken) * 0.95)]
    return {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "kb_gzip": round(n_bytes / 1000, 1)}


if __name__ == "__main__":
    main()
