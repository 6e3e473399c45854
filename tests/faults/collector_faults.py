"""The collector: restored from a backup, locked by another program, sent what is newer than it."""

from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path

from bench import BenchAgent, Collector, event, promises
from outcome import Outcome


def _restored(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Put yesterday's store back; what came since is with the agents alone, partly of writers that are gone."""
    outcome, chance = Outcome("collector: restored from a backup", n_trials), random.Random(7)
    for trial in range(n_trials):
        agent = BenchAgent(folder / f"restored-{trial}", collector.url)
        collector.let_in(agent.identity)
        agent.put(chance.randrange(1, 300))
        agent.sender.drain_once()
        collector.stop()
        backup = {path.name: path.read_bytes() for path in collector.data.glob("collector.sqlite*")}
        collector.start()
        gone = BenchAgent(agent.data_dir, agent.url)
        gone.put(chance.randrange(1, 300))
        gone.close()
        agent.put(chance.randrange(1, 300))
        agent.sender.drain_once()
        agent.promised |= gone.promised
        outcome.expect(
            agent.sender.status().n_waiting == 0, "not all was sent before the backup was put back"
        )
        collector.stop()
        for path in collector.data.glob("collector.sqlite*"):
            path.unlink()
        for name, data in backup.items():
            (collector.data / name).write_bytes(data)
        collector.start()
        agent.put()
        with agent.sending():
            outcome.recovery_s.append(agent.wait_until_sent())
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        agent.close()
    return outcome


def _locked(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Hold the store's file locked while an agent sends."""
    outcome = Outcome("collector: database locked", n_trials)
    for trial in range(n_trials):
        agent = BenchAgent(folder / f"locked-{trial}", collector.url, timeout_s=1.0)
        collector.let_in(agent.identity)
        holder = sqlite3.connect(collector.data / "collector.sqlite", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with agent.sending():
            agent.put(200)
            pause = threading.Event()
            for _ in range(500):
                if agent.sender.status().last_error:
                    break
                pause.wait(0.02)
            outcome.expect(agent.sender.status().last_error is not None, "the lock held nothing up")
            holder.execute("ROLLBACK")
            holder.close()
            outcome.recovery_s.append(agent.wait_until_sent())
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        agent.close()
    return outcome


def _other_schema(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Send records of a version that the collector does not know: kept as they came, and flagged."""
    outcome = Outcome("records of a schema newer than the collector", n_trials)
    for trial in range(n_trials):
        agent = BenchAgent(folder / f"newer-{trial}", collector.url)
        collector.let_in(agent.identity)
        newer = [
            event(agent.identity, agent.clock, n).model_copy(update={"schema_version": "9.0"})
            for n in range(20)
        ]
        agent.put(20)
        agent.outbox.put(*newer)
        report = agent.sender.drain_once()
        outcome.expect(len(report.flagged) == len(newer), f"{len(report.flagged)} of {len(newer)} flagged")
        agent.promised |= promises(newer)
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        agent.close()
    return outcome


FAULTS = {"collector-restored": _restored, "collector-locked": _locked, "newer-schema": _other_schema}
