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
from qc_routines._threads import available_cores, side_by_side, spans
from qc_routines.camera.frames import Typical, flaw, typical_of
from qc_routines.errors import InputError

TILE = 4096
"""Pixels after which a frame's running float32 sum moves to float64; 4096 sums of 16-bit counts keep 7 digits."""

EIGHT = 8
AT_ONCE = 2 * EIGHT
"""Frames folded into the sums together, so that the sums are fetched from memory once for sixteen frames."""


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
        A stack (t, y, x) or a generator that acquires. Up to sixteen frames are held while they wait for their turn:
        a generator must not write into an array it has handed out. A frame of other shape or type, with NaN, of
        one single value, or of another level than the others (see `camera.frames`) is counted and left out; what is
        typical is decided by the first sixteen.

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


LEAST_PART = 64 * TILE
"""Pixels below which a thread of its own costs more than it saves."""


class _Series:
    """The running sums of one series."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self.frame_means_adu: list[float] = []
        self.typical: Typical | None = None

    def add(self, batch: list[Any]) -> None:
        usable = list(self._usable(batch))
        while usable:
            n = next(n for n in (AT_ONCE, EIGHT, 1) if n <= len(usable))
            self._fold(tuple(usable[:n]))
            usable = usable[n:]

    def _fold(self, group: tuple[NDArray[np.generic], ...]) -> None:
        """Add frames to the sums, each core its part of the pixels."""
        fold = _fold_one if len(group) == 1 else _fold_eights

        def part(span: tuple[int, int]) -> NDArray[np.float64]:
            s, own = slice(*span), np.zeros(len(group))
            sums = self.total[s], self.square[s], self.low[s], self.high[s]
            fold(tuple(frame[s] for frame in group), self.first[s], *sums, own)
            return own

        parts = side_by_side(part, spans(self.first.size, available_cores(), least=LEAST_PART))
        self.frame_means_adu.extend(self.first_mean_adu + sum(parts) / self.first.size)

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
        mean, variance = np.empty((2, self.first.size), np.float32)

        def part(span: tuple[int, int]) -> None:
            s = slice(*span)
            _finish(self.first[s], self.total[s], self.square[s], n_frames, mean[s], variance[s])

        side_by_side(part, spans(self.first.size, available_cores(), least=LEAST_PART))
        return PixelMoments(
            n_frames=n_frames,
            n_rejected=dict(self.rejected),
            mean_adu=mean.reshape(self.typical.shape_yx),
            variance_adu2=variance.reshape(self.typical.shape_yx),
            low_adu=self.low.reshape(self.typical.shape_yx),
            high_adu=self.high.reshape(self.typical.shape_yx),
            frame_means_adu=np.array(self.frame_means_adu),
        )


@kernel
def _finish(first: Any, total: Any, square: Any, n_frames: int, mean: Any, variance: Any) -> None:
    """Fill mean and unbiased variance; the variance of one frame is NaN."""
    for i in range(first.size):
        shift = total[i] / np.float32(n_frames)
        mean[i] = np.float64(first[i]) + shift
        variance[i] = (square[i] - shift * total[i]) / np.float32(n_frames - 1)


@kernel
def _fold_one(frames: Any, first: Any, total: Any, square: Any, low: Any, high: Any, own: Any) -> None:
    """Add one frame; see `_fold_eights`."""
    frame = frames[0]
    for a in range(0, first.size, TILE):
        of_tile = np.float32(0.0)
        for i in range(a, min(a + TILE, first.size)):
            d = np.float32(frame[i]) - np.float32(first[i])
            of_tile += d
            total[i] += d
            square[i] += d * d
            low[i] = min(low[i], frame[i])
            high[i] = max(high[i], frame[i])
        own[0] += of_tile


@kernel
def _fold_eights(frames: Any, first: Any, total: Any, square: Any, low: Any, high: Any, own: Any) -> None:
    """Add a multiple of eight frames to the sums of d and d² (d: count - first), the extremes and each frame's own sum of d.

    Sums are float32, against the rule of the house: d is small where it matters, and half the memory traffic is
    twice the speed. Tile by tile, so that the sums stay in the cache for all the frames.
    """
    for a in range(0, first.size, TILE):
        b = min(a + TILE, first.size)
        for k in range(0, len(frames), EIGHT):
            _fold_tile(
                frames[k][a:b], frames[k + 1][a:b], frames[k + 2][a:b], frames[k + 3][a:b],
                frames[k + 4][a:b], frames[k + 5][a:b], frames[k + 6][a:b], frames[k + 7][a:b],
                first[a:b], total[a:b], square[a:b], low[a:b], high[a:b], own[k : k + EIGHT],
            )  # fmt: skip


@kernel
def _fold_tile(
    f0: Any, f1: Any, f2: Any, f3: Any, f4: Any, f5: Any, f6: Any, f7: Any,
    first: Any, total: Any, square: Any, low: Any, high: Any, own: Any,
) -> None:  # fmt: skip
    """Add one tile of eight frames: spelt out, so that the compiler keeps the sums of many pixels in registers."""
    zero = np.float32(0.0)
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    for i in range(first.size):
        ref = np.float32(first[i])
        d0, d1 = np.float32(f0[i]) - ref, np.float32(f1[i]) - ref
        d2, d3 = np.float32(f2[i]) - ref, np.float32(f3[i]) - ref
        d4, d5 = np.float32(f4[i]) - ref, np.float32(f5[i]) - ref
        d6, d7 = np.float32(f6[i]) - ref, np.float32(f7[i]) - ref
        s0 += d0
        s1 += d1
        s2 += d2
        s3 += d3
        s4 += d4
        s5 += d5
        s6 += d6
        s7 += d7
        total[i] += d0 + d1 + d2 + d3 + d4 + d5 + d6 + d7
        square[i] += d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + d5 * d5 + d6 * d6 + d7 * d7
        low[i] = min(low[i], f0[i], f1[i], f2[i], f3[i], f4[i], f5[i], f6[i], f7[i])
        high[i] = max(high[i], f0[i], f1[i], f2[i], f3[i], f4[i], f5[i], f6[i], f7[i])
    own[0] += s0
    own[1] += s1
    own[2] += s2
    own[3] += s3
    own[4] += s4
    own[5] += s5
    own[6] += s6
    own[7] += s7
