"""Whether a frame belongs to its series: one bad frame is left out, whichever it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = ("uint8", "uint16", "float32", "float64")
LIKENESS = 0.5
"""A frame is one of the series when its level is within a factor 1 ± this of the typical one; a shutter that failed to
open or light that failed to go out is not."""
LEAST_LEVEL_ADU = 10.0
"""Levels below this are compared as if they were this: a dark level of 1 ADU may well become 2."""
SAMPLE = 400


@dataclass(frozen=True, slots=True)
class Typical:
    """What the frames of a series have in common: shape, dtype and level (median of some hundred pixels)."""

    shape_yx: tuple[int, ...]
    dtype: np.dtype
    level_adu: float

    def difference(self, frame: NDArray[np.generic]) -> str | None:
        """Return why a frame is none of the series; None when it is."""
        if frame.shape != self.shape_yx:
            return "other shape than the others"
        if frame.dtype.newbyteorder("=") != self.dtype:
            return "other dtype than the others"
        allowed_adu = LIKENESS * max(abs(self.level_adu), LEAST_LEVEL_ADU)
        return "other level than the others" if abs(level_adu(frame) - self.level_adu) > allowed_adu else None


def flaw(frame: Any) -> str | None:
    """Return why something can be no frame of any series; None when it can."""
    if not isinstance(frame, np.ndarray) or frame.ndim != 2 or frame.size == 0:
        return "not a frame (y, x)"
    if frame.dtype.name not in DTYPES:
        return f"unsupported dtype {frame.dtype.name}"
    if frame.dtype.kind == "f" and not np.isfinite(frame).all():
        return "NaN or infinite"
    if frame.size > 1 and len(set(frame[:: max(1, len(frame) // 8), 0])) == 1 and frame.min() == frame.max():
        return "one single value"
    return None


def typical_of(frames: Sequence[NDArray[np.generic]]) -> Typical:
    """Return what most of a few frames without flaws have in common."""
    kinds = Counter((frame.shape, frame.dtype.newbyteorder("=")) for frame in frames)
    (shape, dtype), _ = kinds.most_common(1)[0]
    alike = [f for f in frames if f.shape == shape and f.dtype.newbyteorder("=") == dtype]
    return Typical(shape, dtype, median_low([level_adu(frame) for frame in alike]))


def level_adu(frame: NDArray[np.generic]) -> float:
    """Return the median of some hundred pixels spread over a frame."""
    step = max(1, int((frame.size / SAMPLE) ** 0.5))
    first_y, first_x = (min(step // 2, (length - 1) // 2) for length in frame.shape)
    return float(np.median(frame[first_y::step, first_x::step]))
