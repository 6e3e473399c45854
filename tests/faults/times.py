"""Clocks that jump: order and intervals stay right, thanks to the monotonic time and the boot id."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path

from bench import BenchAgent, Collector
from outcome import Outcome

from agent.clock import Clock

STEP_NS = 10**9


class JumpingClock(Clock):
    """The computer's clock, put wrong by hand; the monotonic one goes a second a look and does not jump."""

    def __init__(self) -> None:
        super().__init__()
        self.off = timedelta()
        self._ns = 10**12

    def wall_at(self) -> datetime:
        return super().wall_at() + self.off

    def monotonic_ns(self) -> int:
        return self._ns

    def step(self, seconds: float = 1.0) -> None:
        self._ns += int(seconds * 1e9)


def _jump(
    name: str, off: timedelta, asleep_s: float, collector: Collector, folder: Path, n_trials: int
) -> Outcome:
    outcome, chance = Outcome(name, n_trials), random.Random(name)
    for trial in range(n_trials):
        clock = JumpingClock()
        agent = BenchAgent(folder / str(trial), collector.url, clock)
        collector.let_in(agent.identity)
        at, n_all = chance.randrange(2, 40), 50
        steps_s = [1.0] * n_all
        steps_s[at] += asleep_s
        for number, step_s in enumerate(steps_s):
            if number == at:
                clock.off = off
            clock.step(step_s)
            agent.put()
            if chance.random() < 0.2:
                agent.sender.drain_once()
        agent.sender.drain_once()
        outcome.compare(agent.promised, collector, agent.identity.agent_id)
        outcome.altered += _n_misplaced(collector, agent, steps_s)
        agent.close()
    return outcome


def _n_misplaced(collector: Collector, agent: BenchAgent, steps_s: list[float]) -> int:
    """Return how many records are not where they belong when sorted by boot id and monotonic time."""
    records = [json.loads(line) for line in collector.lines(agent.identity.agent_id)]
    counted = [record for record in records if record.get("event") == "counted"]
    counted.sort(key=lambda record: (record["captured"]["boot_id"], record["captured"]["monotonic_ns"]))
    n_wrong = sum(record["details"]["n"] != n for n, record in enumerate(counted))
    times = [record["captured"]["monotonic_ns"] for record in counted]
    told_s = [(after - before) / 1e9 for before, after in pairwise(times)]
    return n_wrong + sum(told != true for told, true in zip(told_s, steps_s[1:], strict=True))


FAULTS = {
    "clock-back": partial(_jump, "clock: back a day", timedelta(days=-1), 0.0),
    "clock-forward": partial(_jump, "clock: forward a year", timedelta(days=365), 0.0),
    "clock-dst": partial(_jump, "clock: an hour, as a wrong zone at summer time", timedelta(hours=1), 0.0),
    "clock-suspended": partial(_jump, "clock: suspended for six hours", timedelta(hours=6), 6 * 3600.0),
}
