"""What importing costs: ``python tests/benchmarks/import_time.py``; processor seconds as JSON, best of five each."""

from __future__ import annotations

import json
import subprocess
import sys

MODULES = ("numba", "qc_routines", "qc_routines.catalogue", "agent.records", "agent.cli", "server.app")


def seconds(module: str) -> float:
    """Return the least processor time of five imports, each in a fresh interpreter."""
    program = f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
    said = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(5)
    ]
    return round(min(map(float, said)), 3)


if __name__ == "__main__":
    print(json.dumps({module: seconds(module) for module in MODULES}, indent=2))
