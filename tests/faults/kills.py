"""kill -9 at random instants: of the agent, of the collector, of the hardware process."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path

from bench import BenchAgent, Collector, forked, kill
from outcome import Outcome

WAIT_S = 120.0


def agent(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Kill a process that records and sends as fast as it can, again and again, on one data folder."""
    outcome, chance = Outcome("kill -9 of the agent", n_trials), random.Random(random.random())
    first = BenchAgent(folder / "killed", collector.url)
    collector.let_in(first.identity)
    first.close()
    promised: dict[str, str] = {}
    for _ in range(n_trials):
        promised |= _killed(folder / "killed", collector.url, chance)
    last = BenchAgent(folder / "killed", collector.url)
    began = time.monotonic()
    last.sender.drain_once()
    outcome.recovery_s.append(time.monotonic() - began)
    outcome.compare(promised, collector, last.identity.agent_id)
    last.close()
    return outcome


def _killed(data_dir: Path, url: str, chance: random.Random) -> dict[str, str]:
    """Run one life of the agent to its sudden end; return what it said it had recorded."""
    reading, writing = os.pipe()
    batch, n_lines, delay_s = chance.choice([1, 3, 17]), chance.randrange(1, 60), chance.random() * 0.05
    pid = forked(lambda: _record_for_ever(data_dir, url, writing, batch))
    os.close(writing)
    promised: dict[str, str] = {}
    with os.fdopen(reading, "rb") as lines:
        for _ in range(n_lines):
            promised |= json.loads(lines.readline())
        threading.Event().wait(delay_s)
        kill(pid)
        for line in lines:  # what it said before it died counts, up to the last whole line
            if line.endswith(b"\n"):
                promised |= json.loads(line)
    return promised


def _record_for_ever(data_dir: Path, url: str, writing: int, batch: int) -> None:
    agent = BenchAgent(data_dir, url)
    threading.Thread(target=agent.sender.run, args=(threading.Event(),), daemon=True).start()
    while True:
        agent.promised.clear()
        agent.put(batch)
        os.write(writing, json.dumps(agent.promised).encode() + b"\n")


def collector(collector: Collector, folder: Path, n_trials: int) -> Outcome:
    """Kill the collector while two agents send, and start it again on its port."""
    outcome, chance = Outcome("kill -9 of the collector", n_trials), random.Random(random.random())
    agents = [BenchAgent(folder / f"sends-{n}", collector.url) for n in range(2)]
    for one in agents:
        collector.let_in(one.identity)
    stop = threading.Event()
    with agents[0].sending(), agents[1].sending():
        recorders = [threading.Thread(target=_keep_putting, args=(one, stop)) for one in agents]
        for recorder in recorders:
            recorder.start()
        for _ in range(n_trials):
            stop.wait(chance.uniform(0.2, 1.0))
            collector.kill()
            collector.start()
            began, sent = time.monotonic(), [one.sender.status().last_success_at for one in agents]
            while [one.sender.status().last_success_at for one in agents] == sent:
                if time.monotonic() - began > WAIT_S:
                    raise SystemExit("nobody reached the collector again")
                stop.wait(0.02)
            outcome.recovery_s.append(time.monotonic() - began)
        stop.set()
        for recorder, one in zip(recorders, agents, strict=True):
            recorder.join()
            one.wait_until_sent()
    for one in agents:
        outcome.compare(one.promised, collector, one.identity.agent_id)
        one.close()
    return outcome


def _keep_putting(one: BenchAgent, stop: threading.Event) -> None:
    while not stop.is_set():
        one.put(7)
        stop.wait(0.01)
