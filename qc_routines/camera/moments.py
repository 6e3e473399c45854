"""Mean, variance and extremes of every pixel, from frames that pass by once.

Symbols: a *frame* is one image of a series with nothing changed in between, (y, x), camera counts in ADU. All maps
have the shape of a frame. Memory does not grow with the number of frames: 14 bytes a pixel for uint16.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts
from qc_routines._jit import kernel
from qc_routines._threads import available_cores, side_by_side, spans
from qc_routines.camera.frames import Typical, flaw, typical_of
from qc_routines.errors import InputError, counted

TILE = 16_384
"""Pixels whose sums stay in the cache for all the frames of a group, and after which a frame's own float32 sum moves to
float64; long enough for the processor to see that it should fetch ahead."""

EIGHT = 8
GROUP = 8 * EIGHT
"""Frames folded into the sums together where they are in memory already: the sums are fetched once for all of them."""
AT_ONCE = 2 * EIGHT
"""Frames of a generator that are held until they are folded together."""


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
        A stack (t, y, x), a list, or a generator that acquires. Up to sixteen frames of a generator are held while they
        wait for their turn: it must not write into an array it has handed out. A frame of other shape or type, with
        NaN, of one single value, or of another level than the others (see `camera.frames`) is counted and left out;
        what is typical is decided by the first sixteen, or the first 64 of a list or stack.

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
    n_at_once = GROUP if isinstance(frames, np.ndarray | Sequence) else AT_ONCE
    while batch := list(islice(waiting, n_at_once)):
        series.add(batch)
    return series.moments()


def as_moments(frames: PixelMoments | Iterable[NDArray[np.generic]]) -> PixelMoments:
    """Return moments as they are, and those of frames."""
    return frames if isinstance(frames, PixelMoments) else pixel_moments(frames)


LEAST_PART = 16 * TILE
"""Pixels below which a thread of its own costs more than it saves."""


class _Series:
    """The running sums of one series."""

    def __init__(self) -> None:
        self.rejected: Counter[str] = Counter()
        self.frame_means_adu: list[float] = []
        self.typical: Typical | None = None

    def add(self, batch: list[Any]) -> None:
        if not (group := list(self._usable(batch))):
            return
        n, is_begin = len(group), not self.frame_means_adu
        group += group[-1:] * (GROUP - n)  # always as many: one kernel for all

        def part(span: tuple[int, int]) -> NDArray[np.float64]:
            s, own = slice(*span), np.zeros(n)
            sums = self.total[s], self.square[s], self.low[s], self.high[s]
            _fold(tuple(frame[s] for frame in group), n, is_begin, self.first[s], *sums, own)
            return own

        parts = side_by_side(part, spans(self.first.size, available_cores(), least=LEAST_PART))
        self.frame_means_adu.extend(sum(parts) / self.first.size)

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
        self.total, self.square = np.empty((2, self.first.size), np.float32)
        self.low, self.high = np.empty((2, self.first.size), typical.dtype)

    def moments(self) -> PixelMoments:
        n_frames = len(self.frame_means_adu)
        if self.typical is None:
            raise InputError(
                f"expected at least one usable frame; got none, left out: {counted(self.rejected)}. "
                "Check the shutter, the camera and the array's axes (t, y, x)"
            )

        def part(span: tuple[int, int]) -> float:
            s = slice(*span)
            return _finish(self.first[s], self.total[s], self.square[s], n_frames)

        parts = side_by_side(part, spans(self.first.size, available_cores(), least=LEAST_PART))
        return PixelMoments(
            n_frames=n_frames,
            n_rejected=dict(self.rejected),
            mean_adu=self.total.reshape(self.typical.shape_yx),
            variance_adu2=self.square.reshape(self.typical.shape_yx),
            low_adu=self.low.reshape(self.typical.shape_yx),
            high_adu=self.high.reshape(self.typical.shape_yx),
            frame_means_adu=sum(parts) / self.first.size + np.array(self.frame_means_adu),
        )


@kernel
def _finish(first: Any, total: Any, square: Any, n_frames: int) -> float:
    """Turn sums into mean and unbiased variance, in place, and return the sum of the first frame.

    The variance of one frame is NaN.
    """
    level = 0.0
    for i in range(first.size):
        level += np.float64(first[i])
        shift = total[i] / np.float32(n_frames)
        square[i] = (square[i] - shift * total[i]) / np.float32(n_frames - 1)
        total[i] = np.float64(first[i]) + shift
    return level


@kernel
def _fold(
    frames: Any, n: int, is_begin: bool, first: Any, total: Any, square: Any, low: Any, high: Any, own: Any
) -> None:
    """Add the first n frames to the sums of d and d² (d: count - first), the extremes and each frame's own sum of d.

    Sums are float32, against the rule of the house: d is small where it matters, and half the memory traffic is
    twice the speed. Tile by tile, so that the sums stay in the cache for all the frames.
    """
    for a in range(0, first.size, TILE):
        b = min(a + TILE, first.size)
        sums = (total[a:b], square[a:b], low[a:b], high[a:b])
        if is_begin:
            total[a:b] = 0
            square[a:b] = 0
            low[a:b] = first[a:b]
            high[a:b] = first[a:b]
        in_eights = n - n % EIGHT
        for k in range(0, in_eights, EIGHT):
            _fold_eight(
                frames[k][a:b], frames[k + 1][a:b], frames[k + 2][a:b], frames[k + 3][a:b],
                frames[k + 4][a:b], frames[k + 5][a:b], frames[k + 6][a:b], frames[k + 7][a:b],
                first[a:b], *sums, own[k : k + EIGHT],
            )  # fmt: skip
        for k in range(in_eights, n):
            _fold_one(frames[k][a:b], first[a:b], *sums, own[k : k + 1])


@kernel
def _fold_one(frame: Any, first: Any, total: Any, square: Any, low: Any, high: Any, own: Any) -> None:
    """Add one tile of one frame."""
    of_tile = np.float32(0.0)
    for i in range(first.size):
        d = np.float32(frame[i]) - np.float32(first[i])
        of_tile += d
        total[i] += d
        square[i] += d * d
        low[i] = min(low[i], frame[i])
        high[i] = max(high[i], frame[i])
    own[0] += of_tile


@kernel
def _fold_eight(
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
