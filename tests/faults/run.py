"""Every fault, tried and counted: ``python tests/faults/run.py [--trials 5] [--only NAME …] [--seed 1] [--json]``.

Prints a table, and ends with exit code 1 when a single record was lost in silence, doubled or altered. A long
run may be cut into pieces: ``--results FILE`` adds what a run came to to a file, ``--results FILE --sum`` prints its sums.
"""

from __future__ import annotations

import argparse
import json
import random
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
from outcome import Outcome, summed

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
    parser.add_argument("--seed", type=int, default=1, help="of the instants at which something is killed")
    parser.add_argument("--results", type=Path, help="add the outcomes to this file, one line of JSON each")
    parser.add_argument("--sum", action="store_true", help="run nothing, print what stands in --results")
    asked = parser.parse_args()
    random.seed(asked.seed)
    if asked.sum:
        told = summed(json.loads(line) for line in asked.results.read_text().splitlines())
        print("\n".join([_HEAD, *map(_row, told)]))
        return 0 if all(outcome.is_good for outcome in told) else 1
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, Collector(Path(folder)) as collector:
        for name in asked.only:
            place = Path(folder) / name
            place.mkdir()
            outcomes.append(FAULTS[name](collector, place, asked.trials))
            if asked.results:
                with asked.results.open("a") as file:
                    file.write(json.dumps(asdict(outcomes[-1])) + "\n")
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
