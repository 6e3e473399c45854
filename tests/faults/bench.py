"""The parts of a trial: a real collector in a process of its own, and agents with a real outbox and sender."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).parents[1] / "benchmarks"))
from collector import BenchCollector

from agent.clock import Clock
from agent.outbox import DiskBudget, Identity, Outbox, Retention, Sender
from agent.records import AgentEvent, Producer, Record, encode
from server.store.chains import lines_of
from server.store.rows import Agent, Instrument

ANY_SPACE = DiskBudget(max_bytes=1 << 40, min_free_bytes=0, floor_bytes=0)
KEEP_ALL = Retention(min_free_bytes=0)
QUICK = 0.02  # of every back-off
RECOVERS_WITHIN_S = 120.0


class Collector(BenchCollector):
    """The collector that all trials share, and what it holds."""

    def let_in(self, identity: Identity) -> None:
        """Enrol an agent, straight in the store."""
        now = datetime.now(UTC)
        instrument = Instrument(identity.instrument_id, identity.instrument_id, "Faults", now)
        agent = Agent(
            identity.agent_id,
            base64.b64decode(identity.public_key),
            identity.instrument_id,
            "pc",
            "Linux",
            "0.1.0",
            now,
        )
        store = self.store()
        store.write([lambda w: w.put_instrument(instrument), lambda w: w.put_agent(agent)])
        store.close()

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._process.terminate()
        self._end()

    def lines(self, agent_id: str) -> list[bytes]:
        """Return every line received of an agent, in the bytes in which it came, those sent twice only once."""
        found: dict[bytes, None] = {}
        for batch in self._all(lambda reads, after: reads.batches(after), "batch_id"):
            if batch.agent_id == agent_id:
                found |= dict.fromkeys(lines_of(batch) or ())
        return list(found)

    def record_ids(self, agent_id: str) -> list[str]:
        """Return the id of every record that is filed of an agent."""
        rows = self._all(lambda reads, after: reads.records(after=after, limit=5000), "position")
        return [row.record_id for row in rows if row.agent_id == agent_id]

    def _all(self, ask: Callable[[Any, int], list[Any]], place: str) -> Iterator[Any]:
        store, after = self.store(), 0
        with store.reading() as reads:
            while rows := ask(reads, after):
                yield from rows
                after = getattr(rows[-1], place)
        store.close()


class BenchAgent:
    """An agent in this process: real identity, spool and sender."""

    def __init__(
        self, data_dir: Path, url: str, clock: Clock | None = None, timeout_s: float = 10.0, **options: Any
    ) -> None:
        self.data_dir, self.url = data_dir, url
        self.clock = clock or Clock()
        self.identity = Identity.load_or_create(data_dir, f"ins-{data_dir.name}")
        self.outbox = Outbox.open(data_dir, clock=self.clock, budget=options.pop("budget", ANY_SPACE))
        self.sender = self.sender_to(url, timeout_s, **options)
        self.promised: dict[str, str] = {}
        self.n = 0

    def sender_to(self, url: str, timeout_s: float, **options: Any) -> Sender:
        """Return a sender with short back-offs."""
        options = {"chance": lambda: QUICK, "retention": KEEP_ALL, **options}
        return Sender(
            self.data_dir,
            self.identity,
            url,
            outbox=self.outbox,
            clock=self.clock,
            timeout_s=timeout_s,
            **options,
        )

    def put(self, n_records: int = 1) -> None:
        """Record events; what returns is promised."""
        records = [event(self.identity, self.clock, self.n + k) for k in range(n_records)]
        self.outbox.put(*records)
        self.n += n_records
        self.promised |= promises(records)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send on a thread, as the daemon does."""
        stop = threading.Event()
        thread = threading.Thread(target=self.sender.run, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            self.sender.wake()
            thread.join()

    def wait_until_sent(self) -> float:
        """Return after how many seconds nothing waits any more."""
        began, pause = time.monotonic(), threading.Event()
        while self.sender.status().n_waiting:
            if time.monotonic() - began > RECOVERS_WITHIN_S:
                raise SystemExit(
                    f"Nothing came through within {RECOVERS_WITHIN_S:g} s: {self.sender.status()}"
                )
            self.sender.wake()
            pause.wait(0.02)
        return time.monotonic() - began

    def close(self) -> None:
        self.sender.close()
        self.outbox.close()


def event(identity: Identity, clock: Clock, number: int) -> AgentEvent:
    """Return one small record."""
    return AgentEvent(
        captured=clock.now(),
        instrument_id=identity.instrument_id,
        producer=Producer(agent_id=identity.agent_id, version="1"),
        severity="info",
        event="counted",
        message="one " * (number % 40),
        details={"n": number},
    )


def promises(records: list[Any]) -> dict[str, str]:
    """Return record id to the SHA-256 of its bytes."""
    return {str(record.record_id): hashlib.sha256(encode(record)).hexdigest() for record in records}


def forked(work: Callable[[], None]) -> int:
    """Do work in a process of its own, a copy of this one; return its id. Not on Windows."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(1)


def kill(pid: int) -> None:
    """End a process without notice, and take note of its end."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


__all__ = ["BenchAgent", "Collector", "Record", "event", "forked", "kill", "promises"]
