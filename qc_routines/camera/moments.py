"""Mean, variance and extremes of every pixel, from frames that pass by once.

Symbols: a *frame* is one image of a series with nothing changed in between, (y, x), camera counts in ADU. All maps
have the shape of a frame. Memory does not grow with the number of frames: 14 bytes a pixel for uint16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts
from qc_routines._jit import kernel
from qc_routines.camera.frames import Typical, flaw, typical_of
from qc_routines.errors import InputError

TILE = 4096
"""Pixels after which a frame's running float32 sum moves to float64; 4096 sums of 16-bit counts keep 7 digits."""

AT_ONCE = 8
"""Frames folded into the sums together, so that the sums are fetched from memory once for eight frames."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelMoments:
    """What a series of equal frames says about every pixel.

    Attributes
    ----------
    n_frames : int
        Frames used.
    n_rejected : dict of str to int
        Frames left out, by reason.
    mean_adu, variance_adu2 : ndarray, float32, (y, x)
        Mean and unbiased variance in time. The variance is NaN with fewer than two frames.
    low_adu, high_adu : ndarray, (y, x), dtype of the frames
        Smallest and largest count.
    frame_means_adu : ndarray, float64, (n_frames,)
        Mean of each frame, in the order of arrival: lamp and offset drift show here.
    """

    n_frames: int
    n_rejected: dict[str, int]
    mean_adu: NDArray[np.float32]
    variance_adu2: NDArray[np.float32]
    low_adu: NDArray[np.generic]
    high_adu: NDArray[np.generic]
    frame_means_adu: NDArray[np.float64]


def pixel_moments(frames: Iterable[NDArray[np.generic]]) -> PixelMoments:
    """Return the moments of a series of frames.

    Parameters
    ----------
    frames : iterable of ndarray, (y, x), uint8, uint16, float32 or float64
        A stack (t, y, x) or a generator that acquires. Up to eight frames are held while they wait for their turn:
        a generator must not write into an array it has handed out. A frame of other shape or type, with NaN, of
        one single value, or of another level than the others (see `camera.frames`) is counted and left out; what is
        typical is decided by the first eight.

    Raises
    ------
    InputError
        There is no usable frame.

    Notes
    -----
    Variances are sums of squared differences from the first frame, which keeps them exact at high offsets; Chan,
    Golub & LeVeque, The American Statistician 37 (1983) 242, doi:10.1080/00031305.1983.10483115, eq. 1.7.

    Examples
    --------
    >>> moments = pixel_moments(np.array([[[1, 10]], [[3, 10]]], np.uint16))
    >>> moments.mean_adu.tolist(), moments.variance_adu2.tolist()
    ([[2.0, 10.0]], [[2.0, 0.0]])
    """
    series = _Series()
    waiting = iter(checked_counts(frames, "TYX", "frames") if isinstance(frames, np.ndarray) else frames)
    while batch := list(islice(waiting, AT_ONCE)):
        series.add(batch)
    return series.moments()


def as_moments(frames: PixelMoments | Iterable[NDArray[np.generic]]) -> PixelMoments:
    """Return moments as they are, and those of frames."""
    return frames if isinstance(frames, PixelMoments) else pixel_moments(frames)


class _Series:
    """The running sums of one series."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self.frame_means_adu: list[float] = []
        self.typical: Typical | None = None

    def add(self, batch: list[Any]) -> None:
        usable = list(self._usable(batch))
        groups = [usable] if len(usable) == AT_ONCE else [[frame] for frame in usable]
        for group in groups:
            totals = np.zeros(len(group))
            fold = _fold_eight if len(group) == AT_ONCE else _fold_one
            fold(tuple(group), self.first, self.total, self.square, self.low, self.high, totals)
            self.frame_means_adu.extend(self.first_mean_adu + totals / self.first.size)

    def _usable(self, batch: list[Any]) -> Iterator[NDArray[np.generic]]:
        flaws = [flaw(frame) for frame in batch]
        good = [frame for frame, reason in zip(batch, flaws, strict=True) if reason is None]
        if self.typical is None and good:
            self._begin(good)
        for frame, reason in zip(batch, flaws, strict=True):
            reason = reason or self.typical.difference(frame)
            if reason:
                self.rejected[reason] += 1
            else:
                yield np.ascontiguousarray(frame, self.typical.dtype).reshape(-1)

    def _begin(self, frames: list[NDArray[np.generic]]) -> None:
        self.typical = typical = typical_of(frames)
        first = next(frame for frame in frames if typical.difference(frame) is None)
        self.first = np.array(first, typical.dtype, order="C").reshape(-1)
        self.first_mean_adu = float(self.first.mean(dtype=np.float64))
        self.total = np.zeros(self.first.size, np.float32)
        self.square = np.zeros(self.first.size, np.float32)
        self.low, self.high = self.first.copy(), self.first.copy()

    def moments(self) -> PixelMoments:
        n_frames = len(self.frame_means_adu)
        if self.typical is None:
            raise InputError(
                f"expected at least one usable frame; got none, left out: {dict(self.rejected) or 'nothing'}. "
                "Check the shutter, the camera and the array's axes (t, y, x)."
            )
        shift = self.total / np.float32(n_frames)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (self.square - shift * self.total) / np.float32(n_frames - 1)
        return PixelMoments(
            n_frames=n_frames,
            n_rejected=dict(self.rejected),
            mean_adu=(self.first + shift).astype(np.float32).reshape(self.typical.shape_yx),
            variance_adu2=variance.reshape(self.typical.shape_yx),
            low_adu=self.low.reshape(self.typical.shape_yx),
            high_adu=self.high.reshape(self.typical.shape_yx),
            frame_means_adu=np.array(self.frame_means_adu),
        )


@kernel
def _fold_one(
    frames: Any, first: Any, total: Any, square: Any, low: Any, high: Any, frame_totals: Any
) -> None:
    """Add one frame; see `_fold_eight`."""
    frame = frames[0]
    for i in range(first.size):
        d = np.float32(frame[i]) - np.float32(first[i])
        total[i] += d
        square[i] += d * d
        low[i] = min(low[i], frame[i])
        high[i] = max(high[i], frame[i])
    for a in range(0, first.size, TILE):
        frame_totals[0] += _sum_of_differences(frame[a : a + TILE], first[a : a + TILE])


@kernel
def _fold_eight(
    frames: Any, first: Any, total: Any, square: Any, low: Any, high: Any, frame_totals: Any
) -> None:
    """Add eight frames to the sums of d and d² (d: count - first), to the extremes and to each frame's own sum of d.

    Sums are float32, against the rule of the house: d is small where it matters, and half the memory traffic is
    twice the speed. Tile by tile, so that a frame's own sum finds the pixels still in the cache.
    """
    f0, f1, f2, f3, f4, f5, f6, f7 = frames
    for a in range(0, first.size, TILE):
        b = min(a + TILE, first.size)
        _fold_tile(
            (f0[a:b], f1[a:b], f2[a:b], f3[a:b], f4[a:b], f5[a:b], f6[a:b], f7[a:b]),
            first[a:b],
            total[a:b],
            square[a:b],
            low[a:b],
            high[a:b],
        )
        for k in range(AT_ONCE):
            frame_totals[k] += _sum_of_differences(frames[k][a:b], first[a:b])


@kernel
def _fold_tile(frames: Any, first: Any, total: Any, square: Any, low: Any, high: Any) -> None:
    """Add one tile of eight frames: spelt out, so that the compiler keeps the sums of many pixels in registers."""
    f0, f1, f2, f3, f4, f5, f6, f7 = frames
    for i in range(first.size):
        ref = np.float32(first[i])
        d0, d1, d2, d3 = (
            np.float32(f0[i]) - ref,
            np.float32(f1[i]) - ref,
            np.float32(f2[i]) - ref,
            np.float32(f3[i]) - ref,
        )
        d4, d5, d6, d7 = (
            np.float32(f4[i]) - ref,
            np.float32(f5[i]) - ref,
            np.float32(f6[i]) - ref,
            np.float32(f7[i]) - ref,
        )
        total[i] += d0 + d1 + d2 + d3 + d4 + d5 + d6 + d7
        square[i] += d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7
        low[i] = min(low[i], f0[i], f1[i], f2[i], f3[i], f4[i], f5[i], f6[i], f7[i])
        high[i] = max(high[i], f0[i], f1[i], f2[i], f3[i], f4[i], f5[i], f6[i], f7[i])


@kernel
def _sum_of_differences(frame: Any, first: Any) -> float:
    """Return the sum of frame - first over one tile, few enough terms for float32."""
    total = np.float32(0.0)
    for i in range(frame.size):
        total += np.float32(frame[i]) - np.float32(first[i])
    return total
