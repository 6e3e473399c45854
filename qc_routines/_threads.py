"""Kernels side by side: they release the interpreter's lock, so plain threads use all cores.

numba's own parallel loops are not used: with its portable threading layer the process is ended when two threads enter
such a loop at once, and an agent measures while it acquires.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int | None = None
) -> list[Result]:
    """Return the results in the order of the items; on one core or for one item, no thread is started."""
    n_threads = min(n_threads or available_cores(), len(items))
    if n_threads <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads, thread_name_prefix="qc_routines") as threads:
        return list(threads.map(function, items))


def available_cores() -> int:
    """Return the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spans(length: int, n_parts: int, least: int = 1) -> list[tuple[int, int]]:
    """Return at most `n_parts` half-open spans that cover 0..length, none shorter than `least` unless it is alone.

    Examples
    --------
    >>> spans(10, 3), spans(10, 3, least=5), spans(0, 3)
    ([(0, 3), (3, 6), (6, 10)], [(0, 5), (5, 10)], [])
    """
    n_parts = max(1, min(n_parts, length // least))
    edges = [length * part // n_parts for part in range(n_parts + 1)]
    return [(low, high) for low, high in pairwise(edges) if high > low]
