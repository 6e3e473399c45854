"""What a trial came to: records produced, and what the collector has of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench import Collector


@dataclass
class Outcome:
    """What became of the records of one fault's trials.

    Attributes
    ----------
    fault : str
        What was done.
    trials : int
        How often.
    produced, acknowledged : int
        Records that were promised to be recorded; those of them that the collector has.
    lost, duplicated, altered : int
        Missing without a word; there more than once; there with other bytes, or out of order.
    told_lost : int
        Missing, and a gap record says so.
    recovery_s : list of float
        From the end of the fault until everything was there, one a trial.
    failures : list of str
        What else was not as it must be.
    """

    fault: str
    trials: int = 0
    produced: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    altered: int = 0
    told_lost: int = 0
    recovery_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost in silence, doubled or altered, and nothing else failed."""
        return not (self.lost or self.duplicated or self.altered or self.failures)

    def expect(self, is_so: bool, words: str) -> None:
        """Note in words what must be so and is not."""
        if not is_so:
            self.failures.append(words)

    def compare(self, promised: Mapping[str, str | set[str]], collector: Collector, agent_id: str) -> None:
        """Count what the collector has of `promised`: record id to the SHA-256 of what was recorded."""
        lines = collector.lines(agent_id)
        held: dict[str, set[str]] = {}
        told = 0
        for line in lines:
            record = json.loads(line)
            held.setdefault(record["record_id"], set()).add(hashlib.sha256(line).hexdigest())
            if record["kind"] == "gap" and record["cause"] == "corrupt_segment":
                told += record.get("n_records") or 0
        missing = len(promised.keys() - held.keys())
        self.produced += len(promised)
        self.acknowledged += len(promised) - missing
        self.told_lost += min(told, missing)
        self.lost += max(0, missing - told)
        recorded = {one: {told} if isinstance(told, str) else told for one, told in promised.items()}
        altered = {one for one in held.keys() & recorded.keys() if held[one] - recorded[one]}
        self.altered += len(altered)
        for line in lines:
            if json.loads(line)["record_id"] in altered:
                self.failures.append(f"altered: {line.decode()}")
        self.duplicated += sum(n > 1 for n in Counter(collector.record_ids(agent_id)).values())


def summed(outcomes: Iterable[Mapping[str, Any]]) -> list[Outcome]:
    """Return one outcome for each fault: the sums of runs that were cut into pieces."""
    sums: dict[str, Outcome] = {}
    for told in outcomes:
        piece = Outcome(**told)
        whole = sums.setdefault(piece.fault, Outcome(piece.fault))
        for name, value in vars(piece).items():
            if name != "fault":
                setattr(whole, name, getattr(whole, name) + value)
    return list(sums.values())
