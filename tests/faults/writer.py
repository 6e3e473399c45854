"""A process that records without end and tells its parent, over standard output, what it was promised.

``python writer.py <data folder> <records a put>``: after every `put` that returned, one line with the
highest number recorded so far.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from agent.clock import Clock
from agent.outbox import DiskBudget, Identity, Outbox
from agent.records import AgentEvent, Gap, Producer, Record


def main(data_dir: Path, batch: int) -> None:
    clock = Clock()
    chance = random.Random(1)
    plenty = DiskBudget(max_bytes=1 << 40, min_free_bytes=0, floor_bytes=0)
    Identity.load_or_create(data_dir, "ins-fault")
    with Outbox.open(data_dir, budget=plenty, clock=clock) as outbox:
        number = 0
        while True:
            records = [_record(number + n, clock, chance) for n in range(1, batch + 1)]
            outbox.put(*records)
            number += batch
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


def _record(number: int, clock: Clock, chance: random.Random) -> Record:
    common = {
        "captured": clock.now(),
        "instrument_id": "ins-fault",
        "producer": Producer(agent_id="agt-fault", version="1"),
    }
    if number % 2:
        return Gap(cause="queue_overflow", lane="events", n_records=number, **common)
    noise = chance.randbytes(chance.randrange(20, 900)).hex()
    return AgentEvent(severity="info", event="counted", message=noise, details={"n": number}, **common)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
