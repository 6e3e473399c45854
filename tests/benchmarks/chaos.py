"""Nothing lost, nothing twice, order intact: ``python tests/benchmarks/chaos.py [--kills 48] [--postgresql DSN]``.

Eight agents send batches of snapshots to a collector that is killed (SIGKILL) again and again; 5 % of the replies are thrown
away as if lost, 10 % of the batches are sent once more. At the end every record that was acknowledged must be in the store
exactly once and in order, and every chain and signature must verify. Prints the counts as JSON; exit code 1 on any loss.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from collector import BenchCollector
from fleet import BenchAgent, agents

from server.keeping.verify import verify
from server.store.chains import lines_of

LOST, AGAIN = 0.05, 0.10


class Sender(threading.Thread):
    """An agent that sends until it is told to stop, and remembers what was acknowledged."""

    def __init__(self, agent: BenchAgent, address: tuple[str, int]) -> None:
        super().__init__()
        self.agent, self.address = agent, address
        self.dice = random.Random(agent.number)
        self.stopping = threading.Event()
        self.acked = self.n_lost = self.n_again = self.n_failed = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            request = self.agent.request(self.dice.randint(20, 100))
            self._deliver(request)
            if self.dice.random() < AGAIN:
                self.n_again += 1
                self._deliver(request)

    def _deliver(self, request: bytes) -> None:
        while True:
            reply = self._ask(request)
            if reply is None:
                self.n_failed += 1
                self.stopping.wait(0.02)
            elif self.dice.random() < LOST:
                self.n_lost += 1
            else:
                self.acked = max(self.acked, reply["acked"])
                return

    def _ask(self, request: bytes) -> dict | None:
        try:
            with socket.create_connection(self.address, timeout=30) as connection:
                connection.sendall(request)
                answer = b""
                while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                    if not (chunk := connection.recv(65536)):
                        return None
                    answer += chunk
        except OSError:
            return None
        return json.loads(answer.partition(b"\r\n\r\n")[2]) if answer.startswith(b"HTTP/1.1 200") else None


def main() -> None:
    """Run, compare and print."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--kills", type=int, default=48)
    asked.add_argument("--postgresql", help="address of an empty database")
    said = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        collector = BenchCollector(Path(folder), said.postgresql)
        told = _run(collector, said.kills)
    print(json.dumps(told, indent=2))
    sys.exit(any(told[name] for name in ("lost", "twice", "gaps", "out_of_order", "problems")))


def _run(collector: BenchCollector, n_kills: int) -> dict:
    collector.start()
    fleet = list(agents(8))
    collector.enrol(fleet)
    where = urlsplit(collector.url)
    senders = [Sender(agent, (str(where.hostname), int(where.port or 0))) for agent in fleet]
    for sender in senders:
        sender.start()
    dice, pause = random.Random(48), threading.Event()
    for _ in range(n_kills):
        pause.wait(dice.uniform(0.3, 1.5))
        collector.kill()
        collector.start()
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join()
    collector.kill()
    return {
        "kills": n_kills + 1,
        "replies_lost": sum(sender.n_lost for sender in senders),
        "sent_again": sum(sender.n_again for sender in senders),
        "not_answered": sum(sender.n_failed for sender in senders),
        **_compared(collector, {sender.agent.agent_id: sender.acked for sender in senders}),
    }


def _compared(collector: BenchCollector, acked: dict[str, int]) -> dict:
    held: dict[str, list[int]] = {agent_id: [] for agent_id in acked}
    n_lines = 0
    with closing(collector.store()) as store, store.reading() as reads:
        after = 0
        while rows := reads.records(after=after, limit=5000):
            for row in rows:
                held[row.agent_id].append(row.seq)
            after = rows[-1].position
        after = 0
        while batches := reads.batches(after):
            n_lines += sum(len(lines_of(batch) or ()) - batch.n_known for batch in batches)
            after = batches[-1].batch_id
        problems = verify(reads).problems
    return {
        "acknowledged": sum(acked.values()),
        "records": sum(map(len, held.values())),
        "lines": n_lines,
        "lost": sum(len(set(range(1, acked[agent] + 1)) - set(seqs)) for agent, seqs in held.items()),
        "twice": sum(len(seqs) - len(set(seqs)) for seqs in held.values()),
        "gaps": sum(len(set(range(1, max(seqs, default=0) + 1)) - set(seqs)) for seqs in held.values()),
        "out_of_order": sum(seqs != sorted(seqs) for seqs in held.values()),
        "problems": problems,
    }


if __name__ == "__main__":
    main()
