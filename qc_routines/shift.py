"""By how much one image is shifted against another, to hundredths of a pixel.

A shift (dy, dx) is where the content went: moved[y, x] = reference[y - dy, x - dx]. Content that moves down and to the
right has positive shifts. First a phase correlation finds whole pixels (Kuglin & Hines 1975), then least squares on
the overlap find the rest (Lucas & Kanade 1981), with an uncertainty from the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts
from qc_routines._jit import kernel
from qc_routines.errors import InputError

LEAST_SIDE_PX = 16
LEAST_OVERLAP = 0.2
"""Part of each side that both images must share."""
BLOCKS = 4
"""The overlap is cut in 4 x 4 blocks, whose disagreement is the uncertainty."""
BLUR_GAIN = (70 / 256) ** 2
"""Part of a white noise's variance that is left by smoothing with 1 4 6 4 1 along y and x."""
N_PEAKS = 5
ENOUGH_PX = 256
"""Pixels a side that suffice to tell which of the correlations' peaks is the right one."""
MARGIN_PX = 3
ROUNDS = 12
SETTLED_PX = 1e-4
LEAST_CORRELATION = 0.2
POLE = 3**0.5 - 2
POLE_REACH = 20
"""Of the cubic spline's filter; powers of the pole beyond are below 1e-11."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift of content.

    Attributes
    ----------
    yx_px : tuple of float
        Where the content went, px.
    uncertainty_yx_px : tuple of float
        One sigma.
    correlation : float
        Pearson's, of the overlap after the shift was undone.
    """

    yx_px: tuple[float, float]
    uncertainty_yx_px: tuple[float, float]
    correlation: float


def measure_shift(reference: NDArray[np.generic], moved: NDArray[np.generic]) -> Shift:
    """Return the shift of `moved` against `reference`.

    Parameters
    ----------
    reference, moved : ndarray, (y, x)
        Two images of one shape, ADU; brightness and offset may differ. Shifts up to 80 % of a side are found.

    Raises
    ------
    InputError
        Wrong axes or shapes, NaN, nothing to see, or no common content.
    """
    first, second = _prepared(reference, "reference"), _prepared(moved, "moved")
    if first.shape != second.shape:
        raise InputError(f"expected images of one shape; got {first.shape} and {second.shape}")
    whole = _whole_shift(first, second)
    ours, theirs = overlap(first, second, whole)
    rest, sigma, correlation = _refined(np.ascontiguousarray(ours), np.ascontiguousarray(theirs))
    if not correlation >= LEAST_CORRELATION:
        raise InputError(
            f"expected images that share content; got a correlation of {correlation:.2f} at the best shift "
            f"{whole} px. Was the move too large, or was one image without light?"
        )
    return Shift((whole[0] + rest[0], whole[1] + rest[1]), sigma, correlation)


def _prepared(image: NDArray[np.generic], name: str) -> NDArray[np.float64]:
    """Return the image smoothed by 1 2 1 twice, which interpolation needs."""
    pixels = checked_counts(image, "YX", name)
    if min(pixels.shape) < LEAST_SIDE_PX:
        raise InputError(
            f"expected {name} with at least {LEAST_SIDE_PX} pixels a side; got shape {pixels.shape}"
        )
    values = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"expected {name} with finite counts; got NaN or infinity")
    if np.ptp(values) == 0:
        raise InputError(
            f"expected something to see in {name}; got one value, {values.flat[0]:g}, everywhere"
        )
    return _blurred(_blurred(values))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, 1, mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def _whole_shift(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[int, int]:
    """Return the shift in whole pixels: of the correlations' peaks the one whose overlap agrees best.

    Correlations by FFT are periodic, so each peak stands for a shift and its complement along either axis. The phase
    correlation is sharp on textures, the plain one sees a bead in noise; both have their say.
    """
    hann = np.outer(*(np.hanning(n + 2)[1:-1] for n in first.shape))
    candidates = set()
    for window in (hann, np.ones_like(hann)):  # the plain one sees more of what large shifts leave in common
        ours, theirs = (np.fft.rfft2((image - image.mean()) * window) for image in (first, second))
        cross = theirs * np.conj(ours)
        for spectrum in (cross / np.maximum(np.abs(cross), 1e-9 * np.abs(cross).max()), cross):
            correlation = np.fft.irfft2(spectrum, first.shape).ravel()
            for index in np.argpartition(correlation, -N_PEAKS)[-N_PEAKS:]:
                candidates |= set(_unfolded(int(index), first.shape))
    return max(sorted(candidates), key=lambda shift: _agreement(first, second, shift))


def _unfolded(index: int, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    y, x = divmod(index, shape[1])
    return [
        (dy, dx)
        for dy in (y, y - shape[0])
        for dx in (x, x - shape[1])
        if abs(dy) <= (1 - LEAST_OVERLAP) * shape[0] and abs(dx) <= (1 - LEAST_OVERLAP) * shape[1]
    ]


def _agreement(first: NDArray[np.float64], second: NDArray[np.float64], shift: tuple[int, int]) -> float:
    """Return the correlation of the overlap in standard errors, so that a small overlap must agree better."""
    step = max(1, min(first.shape) // ENOUGH_PX)
    ours, theirs = (shared[::step, ::step] for shared in overlap(first, second, shift))
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = float(np.sqrt(np.sum(ours**2) * np.sum(theirs**2)))
    return float(np.sum(ours * theirs)) / scale * sqrt(ours.size) if scale > 0 else -np.inf


def overlap(
    first: NDArray[np.float64], second: NDArray[np.float64], shift: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what two images of one shape share when the second is shifted by whole pixels; views."""
    spans = [
        (slice(max(0, -d), n - max(0, d)), slice(max(0, d), n - max(0, -d)))
        for d, n in zip(shift, first.shape, strict=True)
    ]
    return first[spans[0][0], spans[1][0]], second[spans[0][1], spans[1][1]]


def _refined(
    ours: NDArray[np.float64], theirs: NDArray[np.float64]
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Return the rest of the shift, its uncertainty and the correlation, by Gauss-Newton steps.

    Model: theirs(y + dy, x + dx) = a ours(y, x) + b. The uncertainty is the larger of two: that of white noise which
    was smoothed, and the sandwich of the normal equations with the blocks of the overlap as independent pieces, which
    sees content that moved differently in different places.
    """
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    coefficients = _spline_coefficients(theirs)
    state = np.array([0.0, 0.0, 1.0, 0.0])
    pieces = np.empty((BLOCKS * BLOCKS, 4))
    for turn in range(ROUNDS):
        normal, residual, total = np.zeros((4, 4)), 0.0, 0.0
        normal, pieces, residual, total = _normal_equations(ours, coefficients, state)
        step = np.linalg.lstsq(normal, pieces.sum(axis=0), rcond=None)[0]
        step[:2] = np.clip(step[:2], -1.0, 1.0)
        state += step
        is_settled = turn > 0 and hypot(step[0], step[1]) < SETTLED_PX  # the first turn is for the brightness
        if is_settled or max(abs(state[0]), abs(state[1])) > MARGIN_PX - 1:
            break
    bread = np.linalg.pinv(normal)
    n_pixels = (ours.shape[0] - 2 * MARGIN_PX) * (ours.shape[1] - 2 * MARGIN_PX)
    n_blocks = BLOCKS * BLOCKS
    by_blocks = bread @ (pieces.T @ pieces) @ bread * n_blocks / (n_blocks - 4)
    by_noise = bread * residual / max(n_pixels, 1) / BLUR_GAIN
    variance = np.maximum(np.diag(by_blocks), np.diag(by_noise))[:2]
    correlation = sqrt(max(0.0, 1 - residual / total)) if total > 0 and state[2] > 0 else 0.0
    sigma = np.sqrt(variance)
    return (float(state[0]), float(state[1])), (float(sigma[0]), float(sigma[1])), correlation


@kernel
def _normal_equations(ours, theirs, state):  # type: ignore[no-untyped-def]
    """Return the normal matrix, the gradient by block, the sum of squared residuals and that of theirs about its mean.

    theirs are coefficients of a cubic B-spline, read between pixels with its derivatives.
    """
    dy, dx, gain, offset = state
    n_y, n_x = ours.shape
    whole_y, whole_x = int(np.floor(dy)), int(np.floor(dx))
    wy, gy = _spline_weights(dy - whole_y)
    wx, gx = _spline_weights(dx - whole_x)
    normal = np.zeros((4, 4))
    pieces = np.zeros((BLOCKS * BLOCKS, 4))
    row = np.empty(4)
    squares, total, square, n = 0.0, 0.0, 0.0, 0
    for y in range(MARGIN_PX, n_y - MARGIN_PX):
        for x in range(MARGIN_PX, n_x - MARGIN_PX):
            value, by_y, by_x = 0.0, 0.0, 0.0
            for i in range(4):
                line, slope = 0.0, 0.0
                for j in range(4):
                    pixel = theirs[y + whole_y + i - 1, x + whole_x + j - 1]
                    line += wx[j] * pixel
                    slope += gx[j] * pixel
                value += wy[i] * line
                by_y += gy[i] * line
                by_x += wy[i] * slope
            residual = gain * ours[y, x] + offset - value
            row[0], row[1], row[2], row[3] = by_y, by_x, -ours[y, x], -1.0
            block = (y * BLOCKS // n_y) * BLOCKS + x * BLOCKS // n_x
            for i in range(4):
                pieces[block, i] += row[i] * residual
                for j in range(4):
                    normal[i, j] += row[i] * row[j]
            squares += residual * residual
            total += value
            square += value * value
            n += 1
    return normal, pieces, squares, square - total * total / max(n, 1)


@kernel
def _spline_weights(t):  # type: ignore[no-untyped-def]
    """Return weights and derivatives' weights of four coefficients for a place t of 0..1 between the middle two."""
    weights, slopes, u = np.empty(4), np.empty(4), 1 - t
    weights[0], weights[3] = u * u * u / 6, t * t * t / 6
    weights[1], weights[2] = (3 * t - 6) * t * t / 6 + 2 / 3, (3 * u - 6) * u * u / 6 + 2 / 3
    slopes[0], slopes[3] = -u * u / 2, t * t / 2
    slopes[1], slopes[2] = (3 * t - 4) * t / 2, -(3 * u - 4) * u / 2
    return weights, slopes


@kernel
def _spline_coefficients(image):  # type: ignore[no-untyped-def]
    """Return the coefficients (y, x) of the cubic B-spline through an image, as if it were mirrored at its edges.

    Recursive filter of M. Unser, A. Aldroubi and M. Eden, IEEE Trans. Signal Process. 41, 834 (1993).
    """
    found = image.copy()
    n_y, n_x = found.shape
    for y in range(n_y):
        _filter_line(found[y])
    for x in range(n_x):
        line = found[:, x].copy()
        _filter_line(line)
        found[:, x] = line
    return found


@kernel
def _filter_line(line):  # type: ignore[no-untyped-def]
    n, power = line.size, 1.0
    first = 0.0
    for k in range(min(n, POLE_REACH)):
        first += power * line[k]
        power *= POLE
    line[0] = first
    for k in range(1, n):
        line[k] += POLE * line[k - 1]
    line[n - 1] = POLE / (POLE * POLE - 1) * (line[n - 1] + POLE * line[n - 2])
    for k in range(n - 2, -1, -1):
        line[k] = POLE * (line[k + 1] - line[k])
    line *= 6.0
