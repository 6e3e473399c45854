"""Slow and obvious oracle of the robust means of tiles. Plain Python."""

from __future__ import annotations

import math
import statistics


def tile(values: list[float], full_scale: float) -> tuple[float, float, int, int, int]:
    """Return mean, standard deviation, n outliers, n not finite and n saturated of one tile, always looking closely."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return math.nan, math.nan, 0, len(values), 0
    median = statistics.median(finite)
    spread = 1.4826 * statistics.median(abs(v - median) for v in finite)
    limit = 5.0 * (spread if spread > 0 else statistics.pstdev(finite))
    kept = [v for v in finite if abs(v - median) <= limit]
    sigma = statistics.stdev(kept) if len(kept) > 1 else 0.0
    n_saturated = sum(v >= full_scale for v in finite)
    return math.fsum(kept) / len(kept), sigma, len(finite) - len(kept), len(values) - len(finite), n_saturated
