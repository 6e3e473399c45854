"""Slow and obvious oracles: what every kernel must agree with. Plain Python, no numpy tricks, no shared code."""

from __future__ import annotations

import math
from typing import Any


def image_checks(pixels: list[float], full_scale_adu: float) -> dict[str, Any]:
    """Return the figures of `qc_routines.image_checks` for a flat list of pixels."""
    finite = [value for value in pixels if math.isfinite(value)]
    return {
        "n_pixels": len(pixels),
        "n_not_finite": len(pixels) - len(finite),
        "n_saturated": len([value for value in finite if value >= full_scale_adu]),
        "n_at_minimum": len([value for value in finite if value <= 0]),
        "minimum_adu": min(finite, default=None),
        "maximum_adu": max(finite, default=None),
        "mean_adu": math.fsum(finite) / len(finite) if finite else None,
    }


def bits_used(counts: list[int]) -> int:
    """Return the number of bits from the lowest to the highest that is set in any count."""
    set_bits = [bit for bit in range(64) if any(count >> bit & 1 for count in counts)]
    return max(set_bits) - min(set_bits) + 1 if set_bits else 0
