"""End-to-end ingest: ``python tests/benchmarks/ingest_rate.py [records per agent]``.

Fills the spools of 1 and of 8 agents with real state snapshots and change records, starts a real collector (a process of its
own, SQLite, every commit synced), and lets every agent's sender, each in a process of its own, drain its spool over HTTP.
Prints as JSON the records per second until the last acknowledgement, and that nothing was lost or added twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.clock import Clock
from agent.demo.collector import LocalCollector
from agent.mint import Mint
from agent.outbox import Identity, Outbox, enrol
from agent.records import AgentEvent, StateChange, decode

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
DRAIN = """
import sys, time
from pathlib import Path
from agent.clock import Clock
from agent.outbox import Identity, Outbox, Sender
data, url = Path(sys.argv[1]), sys.argv[2]
clock = Clock(); identity = Identity.load_or_create(data); outbox = Outbox.open(data, clock=clock, identity=identity)
sender = Sender(data, identity, url, outbox=outbox, clock=clock)
print("ready", flush=True); sys.stdin.readline()
report = sender.drain_once()
print(report.n_sent, flush=True)
sender.close(); outbox.close()
"""


def main(n_records: int = 5000) -> None:
    """Measure and print."""
    results = {}
    for n_agents in (1, 8):
        with tempfile.TemporaryDirectory() as folder:
            results[f"{n_agents} agent{'s' if n_agents > 1 else ''}"] = _measure(
                Path(folder), n_agents, n_records
            )
    print(json.dumps(results, indent=2))


def _measure(folder: Path, n_agents: int, n_records: int) -> dict[str, float]:
    with LocalCollector(folder / "collector", folder / "collector.log") as collector:
        agents = [folder / f"agent-{number}" for number in range(n_agents)]
        for data in agents:
            identity = Identity.load_or_create(data)
            enrol(
                identity,
                collector.url,
                collector.join_code(data.name),
                instrument_name=data.name,
                clock=Clock(),
            )
            _fill(data, identity, n_records)
        drains = [
            subprocess.Popen(
                [sys.executable, "-c", DRAIN, str(data), collector.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for data in agents
        ]
        for drain in drains:
            assert drain.stdout is not None
            drain.stdout.readline()
        began = time.monotonic()
        for drain in drains:
            assert drain.stdin is not None
            drain.stdin.write("go\n")
            drain.stdin.flush()
        n_sent = sum(int(drain.communicate()[0]) for drain in drains)
        elapsed_s = time.monotonic() - began
        n_held = sum(spool["mark"] for spool in collector.get("/v1/spools"))
    return {
        "records": n_sent,
        "records_per_s": round(n_sent / elapsed_s),
        "lost": n_agents * n_records - n_held,
        "seconds": round(elapsed_s, 2),
    }


def _fill(data: Path, identity: Identity, n_records: int) -> None:
    """Put change records, with every hundredth an event, as an instrument in use would."""
    clock = Clock()
    mint = Mint(identity.instrument_id, identity.agent_id, clock)
    change = decode((GOLDEN / "state_change.v1.0.json").read_bytes())
    assert isinstance(change, StateChange)
    with Outbox.open(data, clock=clock, identity=identity) as outbox:
        for start in range(0, n_records, 500):
            records = [
                mint.make(AgentEvent, severity="info", event="benchmark", message="An event.")
                if number % 100 == 0
                else mint.make(StateChange, changes=change.changes)
                for number in range(start, min(start + 500, n_records))
            ]
            outbox.put(*records)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
