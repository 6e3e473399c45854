"""Slow and obvious oracles of the camera's kernels. Plain Python."""

from __future__ import annotations

import math
from typing import Any


def pixel_moments(frames: list[list[float]]) -> dict[str, Any]:
    """Return the moments of each pixel over frames, each a flat list."""
    n = len(frames)
    series = list(zip(*frames, strict=True))
    means = [math.fsum(values) / n for values in series]
    return {
        "mean_adu": means,
        "variance_adu2": [
            math.fsum((v - m) ** 2 for v in values) / (n - 1) for values, m in zip(series, means, strict=True)
        ],
        "low_adu": [min(values) for values in series],
        "high_adu": [max(values) for values in series],
        "frame_means_adu": [math.fsum(frame) / len(frame) for frame in frames],
    }


def sums(frames: list[list[float]], first: list[float]) -> dict[str, list[float]]:
    """Return sums and squared sums of value - first over frames for each pixel, and each frame's own sum."""
    pixels = range(len(first))
    return {
        "total": [math.fsum(frame[i] - first[i] for frame in frames) for i in pixels],
        "square": [math.fsum((frame[i] - first[i]) ** 2 for frame in frames) for i in pixels],
        "frame_totals": [math.fsum(frame[i] - first[i] for i in pixels) for frame in frames],
    }
