"""Every fault, tried and counted: ``python tests/faults/run.py [--trials 5] [--only NAME …] [--json]``.

Prints a table, and ends with exit code 1 when a single record was lost in silence, doubled or altered.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import collector_faults
import disk
import hardware
import kills
import network
import times
from bench import Collector
from outcome import Outcome

Fault = Callable[[Collector, Path, int], Outcome]
FAULTS: dict[str, Fault] = {
    "kill-agent": kills.agent,
    "kill-collector": kills.collector,
    "kill-hardware": hardware.killed,
    **network.FAULTS,
    **disk.FAULTS,
    **times.FAULTS,
    **collector_faults.FAULTS,
    **hardware.FAULTS,
}


def main() -> int:
    """Run what was asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5, help="of each fault")
    parser.add_argument(
        "--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="NAME", help=", ".join(FAULTS)
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, Collector(Path(folder)) as collector:
        for name in asked.only:
            place = Path(folder) / name
            place.mkdir()
            outcomes.append(FAULTS[name](collector, place, asked.trials))
            if not asked.json:
                print(
                    _row(outcomes[-1]) if len(outcomes) > 1 else f"{_HEAD}\n{_row(outcomes[-1])}", flush=True
                )
    if asked.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


_HEAD = (
    "| fault | trials | produced | acknowledged | lost | told lost | duplicated | altered | recovery, median (max) s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def _row(outcome: Outcome) -> str:
    times_s = outcome.recovery_s
    recovery = f"{statistics.median(times_s):.2f} ({max(times_s):.2f})" if times_s else "–"
    counts = [outcome.trials, outcome.produced, outcome.acknowledged, outcome.lost, outcome.told_lost]
    counts += [outcome.duplicated, outcome.altered]
    row = f"| {outcome.fault} | {' | '.join(map(str, counts))} | {recovery} |"
    return "\n".join([row, *(f"FAILED: {words}" for words in outcome.failures)])


if __name__ == "__main__":
    sys.exit(main())
