"""A collector in a process of its own, and its store seen from beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from fleet import BenchAgent

from server.opening import config_in, open_store
from server.settings import load_settings
from server.store import Store
from server.store.rows import Agent, Instrument


class BenchCollector:
    """Runs ``scopestamp-server`` on a free loopback port over SQLite, or over PostgreSQL when given an address."""

    def __init__(self, folder: Path, dsn: str | None = None, port: int = 0) -> None:
        self.data = folder / "collector"
        self.dsn = dsn
        self._log_file = folder / "collector.log"
        self._port = port
        self.data.mkdir(parents=True, exist_ok=True)
        if dsn:
            config = f"[store]\npostgresql = {json.dumps(dsn)}\n"
            (self.data / "server.toml").write_text(config, encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [
            sys.executable,
            "-m",
            "server",
            "run",
            "--json",
            "--port",
            str(self._port),
            "--data",
            str(self.data),
        ]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"The collector did not start:\n{self._log_file.read_text(encoding='utf-8')}")
        self.url = str(json.loads(line)["url"])
        self._port = int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def kill(self) -> None:
        """End it without any warning."""
        self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._end()

    def store(self) -> Store:
        """Return its store, opened beside it."""
        return open_store(self.data, load_settings(config_in(self.data)), does_checkpoint=False)

    def enrol(self, fleet: Sequence[BenchAgent]) -> None:
        """Let agents in, straight in the store."""
        now = datetime.now(UTC)
        store = self.store()
        jobs = []
        for agent in fleet:
            instrument = Instrument(agent.instrument_id, f"Microscope {agent.number}", "Bench", now)
            row = Agent(
                agent.agent_id, agent.public_key, agent.instrument_id, "pc", "Windows 11", "0.1.0", now
            )
            jobs += [lambda w, i=instrument: w.put_instrument(i), lambda w, a=row: w.put_agent(a)]
        store.write(jobs)
        store.close()

    def marks(self) -> set[int]:
        """Return where the spools stand."""
        store = self.store()
        with store.reading() as reads:
            marks = {spool.mark for spool in reads.spools()}
        store.close()
        return marks

    def stored_bytes(self) -> int:
        """Return the size of the SQLite file, or of the database with its indices."""
        if self.dsn is None:
            return (self.data / "collector.sqlite").stat().st_size
        from server.store.postgresql_connection import (
            PostgresConnection,  # the driver is there when it is wanted
        )

        with closing(PostgresConnection(self.dsn)) as connection:
            return int(connection.fetch("SELECT pg_database_size(current_database())")[0][0])
