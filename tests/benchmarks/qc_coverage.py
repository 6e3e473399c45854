"""How honest stated uncertainties are from run to run: ``python tests/benchmarks/qc_coverage.py [routine ...] [--runs 40]``.

Each routine is run again and again on the simulated microscope, all chance anew each time: where the drives end, how the
lamp flickers, where beads and pixels lie. Of each figure that states an uncertainty: its mean, its standard deviation
between runs over the uncertainty that is claimed (root mean square), and how often the mean of all other runs lies within
value -+ 1.96 claimed, to which that mean's own uncertainty is added. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np

RUNS_FILE = Path(__file__).parents[1] / "qc_routines" / "repeated_runs.py"


def load_runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("repeated_runs", RUNS_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def summary(figures: list[tuple[float, float]]) -> dict[str, float] | None:
    """Return what n values with their uncertainties say of these; None where too few state one."""
    found = np.array([row for row in figures if None not in row], float)
    if len(found) < 4 or not (found[:, 1] > 0).all():
        return None
    values, claimed = found.T
    n, sd = len(values), float(values.std(ddof=1))
    others = (values.sum() - values) / (n - 1)
    within = 1.96 * np.sqrt(claimed**2 + sd**2 / (n - 1))
    return {
        "mean": float(values.mean()),
        "sd_over_claimed": round(sd / float(np.sqrt(np.mean(claimed**2))), 2),
        "sd_percent": round(100 * sd / max(abs(float(values.mean())), 1e-12), 3),
        "coverage_percent": round(100 * float(np.mean(np.abs(values - others) <= within)), 1),
    }


def main() -> None:
    runs = load_runs().RUNS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("routines", nargs="*", default=list(runs), help=", ".join(runs))
    parser.add_argument("--runs", type=int, default=40, help="of each routine")
    asked = parser.parse_args()
    found = {}
    for name in asked.routines:
        by_figure: dict[str, list[tuple[float, float]]] = {}
        for seed in range(asked.runs):
            for figure in runs[name](seed).figures:
                by_figure.setdefault(figure.name, []).append((figure.value, figure.uncertainty))
        summaries = {figure: summary(values) for figure, values in by_figure.items()}
        found[name] = {figure: told for figure, told in summaries.items() if told}
    print(json.dumps({"runs": asked.runs, "routines": found}, indent=1))


if __name__ == "__main__":
    main()
