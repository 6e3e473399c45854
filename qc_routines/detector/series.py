"""What one time series of a uniform slide says of a detector at one setting.

Noise is read from differences of successive frames, pixel by pixel: what stands still (uneven light, dirt, the slide)
cancels, and what the whole frame does (lamp, bleaching) is taken off first. von Neumann et al., Ann. Math. Stat. 12, 153
(1941), doi:10.1214/aoms/1177731746. Signal over noise variance as the number of photons is the practice of measurePSF and
NoiSee.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from qc_routines._inputs import checked_counts, full_scale_adu
from qc_routines.camera.frames import flaw
from qc_routines.camera.pixels import OUTLIER_SIGMAS, robust_sigma
from qc_routines.errors import InputError, counted
from qc_routines.few import widened
from qc_routines.straight_line import StraightLine, fit_line

LEAST_FRAMES = 3
"""Below this nothing tells bleaching from flicker."""
LEAST_SIDE_PX = 16
STUCK_FRACTION = 0.5
"""A pixel at full scale in more than this part of the frames is a bright speck: it is left out, and not called saturation."""
MOST_OUTLIERS = 0.01
"""Outliers are few: where more pixels than this part lie far off, it is the field that is so."""
SATURATED_FRACTION = 1e-3
"""Of the counts at full scale, from which on the variance is cut off: it is then too small by up to a percent."""
LIKENESS = 0.5
"""A frame whose light is not within a factor 1 ± this of the typical one is left out: a shutter or a laser failed."""
LEAST_GAIN_SIGMAS = 3.0
"""Shot noise that is no more than so many of its uncertainties is none."""
LEAST_SIGNAL_SIGMAS = 5.0
"""A mean that is no more than so many of its uncertainties above the dark is no light."""


@dataclass(frozen=True, slots=True)
class Dark:
    """Offset and noise without light: per pixel and frame, ADU and ADU²; each with its uncertainty."""

    offset_adu: float = 0.0
    variance_adu2: float = 0.0
    offset_uncertainty_adu: float = 0.0
    variance_uncertainty_adu2: float = 0.0


@dataclass(frozen=True, slots=True)
class SeriesNoise:
    """One setting of a detector. A value and its standard uncertainty stand together.

    Attributes
    ----------
    signal_adu : tuple of float
        Mean above the offset.
    variance_adu2 : float
        In time, of one pixel, offset noise included.
    gain_adu : tuple of float or None
        ADU for each effective photon; None where counts are cut off.
    photons : tuple of float or None
        Effective photons for each pixel and dwell, signal/gain.
    snr, cv, cv_noise, cv_fixed : tuple of float
        Signal over noise of one pixel; standard deviation over mean of one image, of its noise and of what stands
        still, %.
    bleaching : tuple of float
        How much of the signal is lost from the first frame to the last, %.
    saturated : float
        Part of the counts at full scale, %.
    neighbour_correlation : float
        Of the noise of neighbouring pixels along a line.
    n_frames, n_pixels, n_left_out : int
        That entered; pixels that did not.
    n_rejected : mapping
        Frames left out, by reason.
    """

    signal_adu: tuple[float, float]
    variance_adu2: float
    gain_adu: tuple[float, float] | None
    photons: tuple[float, float] | None
    snr: tuple[float, float]
    cv: tuple[float, float]
    cv_noise: tuple[float, float]
    cv_fixed: tuple[float, float]
    bleaching: tuple[float, float]
    saturated: float
    neighbour_correlation: float
    n_frames: int
    n_pixels: int
    n_left_out: int
    n_rejected: Mapping[str, int]

    @property
    def n_values(self) -> int:
        """Differences of counts that entered."""
        return self.n_pixels * (self.n_frames - 1)


def dark_of(frames: NDArray[np.generic]) -> Dark:
    """Return offset and noise of frames without light, of one detector setting.

    Raises
    ------
    InputError
        No series of frames.
    """
    counts, _ = usable_frames(frames, "dark frames", 2)
    means = np.array([frame.mean(dtype=float) for frame in counts])
    kept = np.ones(counts.shape[1:], bool)
    noise = _noise(counts, np.zeros(kept.shape, np.float32), means, kept)
    own = sqrt(max(float(means.var(ddof=1)), noise.mean / noise.n_pixels) / len(counts))
    return Dark(float(means.mean()), noise.mean, own, noise.uncertainty)


def series_noise(
    frames: NDArray[np.generic], dark: Dark | None = None, full_scale: float | None = None
) -> SeriesNoise:
    """Return what a series of frames (t, y, x) of a uniform slide says of a detector.

    Raises
    ------
    InputError
        No series of frames, no light, or counts that do not differ.

    Notes
    -----
    With S the signal of a pixel, b that of the frame over that of the mean frame and v the variance without light,
    counts vary by v + g S b, g the gain in ADU a photon. Half the mean square of (count difference - S difference of
    b) is that variance, at the mean light of the frames, without what all pixels do together.
    """
    dark = dark or Dark()
    full = full_scale_adu(np.asarray(frames), full_scale)
    counts, rejected = usable_frames(frames, "frames", LEAST_FRAMES, dark.offset_adu)
    n_frames = len(counts)
    mean = counts.mean(axis=0, dtype=np.float64).astype(np.float32) - np.float32(dark.offset_adu)
    kept, saturated = _mask(counts, mean, full)
    signal = float(mean[kept].mean(dtype=float))
    means = np.array([frame[kept].mean(dtype=float) for frame in counts]) - dark.offset_adu
    course = means / signal if signal > 0 else np.ones(n_frames)
    noise = _noise(counts, mean, course, kept)
    _need_light(signal, noise, dark, n_frames)
    trend = fit_line(np.arange(n_frames, dtype=float), course)
    own, at_most = noise.mean / signal**2, noise.mean / noise.n_pixels / signal**2
    flicker = widened(sqrt(max(trend.scatter**2 - at_most, 0.0) / n_frames), n_frames - 2)
    fixed = max(float(mean[kept].var(ddof=1, dtype=float)) / signal**2 - own / n_frames, 0.0)
    of_offset = dark.offset_uncertainty_adu / signal
    of_snr = sqrt((noise.uncertainty / noise.mean) ** 2 / 4 + of_offset**2 + flicker**2 / 4)
    of_fixed = (fixed + own / n_frames) * sqrt(2 / noise.n_pixels) * noise.widening
    light = _Light(mean[kept], signal, fixed, flicker)
    gain = None if saturated > SATURATED_FRACTION else _gain(light, noise, dark)
    return SeriesNoise(
        signal_adu=(signal, signal * sqrt(at_most / n_frames + flicker**2 + of_offset**2)),
        variance_adu2=noise.mean,
        gain_adu=gain,
        photons=None if gain is None else _photons(gain[0], light, noise, dark),
        snr=(own**-0.5, own**-0.5 * of_snr),
        cv=_root(own + fixed, float(np.hypot(2 * own * of_snr, of_fixed))),
        cv_noise=_root(own, 2 * own * of_snr),
        cv_fixed=_root(fixed, of_fixed),
        bleaching=_lost(trend, n_frames),
        saturated=100 * saturated,
        neighbour_correlation=noise.correlation,
        n_frames=n_frames,
        n_pixels=noise.n_pixels,
        n_left_out=int(kept.size - noise.n_pixels),
        n_rejected=rejected,
    )


def usable_frames(
    frames: NDArray[np.generic], name: str, least: int, offset_adu: float | None = None
) -> tuple[NDArray[np.generic], Mapping[str, int]]:
    """Return the frames (t, y, x) that can be used, and how many of the others have which flaw.

    Raises
    ------
    InputError
        No series, or too few or too small frames.
    """
    series = checked_counts(frames, "TYX", name)
    if min(series.shape[1:]) < LEAST_SIDE_PX:
        rows, columns = series.shape[1:]
        raise InputError(
            f"expected {name} of at least {LEAST_SIDE_PX} x {LEAST_SIDE_PX} pixels; got {rows} x {columns}"
        )
    reasons = [flaw(frame) for frame in series]
    good = np.array([reason is None for reason in reasons])
    rejected = Counter(reason for reason in reasons if reason)
    if offset_adu is not None and good.any():
        light = np.array(
            [frame.mean(dtype=float) if ok else np.nan for frame, ok in zip(series, good, strict=True)]
        )
        light -= offset_adu
        typical = float(np.nanmedian(light))
        is_odd = good & (np.abs(np.nan_to_num(light, nan=typical) - typical) > LIKENESS * abs(typical))
        if 2 * is_odd.sum() < good.sum():
            good &= ~is_odd
            rejected["other level than the others"] += int(is_odd.sum())
    if (n := int(good.sum())) < least:
        raise InputError(
            f"expected at least {least} usable {name}; got {n}, left out: {counted(+rejected)}. Acquire more"
        )
    return (series if good.all() else series[good]), dict(+rejected)


@dataclass(frozen=True, slots=True, eq=False)
class _Noise:
    """Variance of each pixel in time, of those that are used; its mean, and how uncertain that is."""

    of_pixels_adu2: NDArray[np.float64]
    mean: float
    uncertainty: float
    correlation: float

    @property
    def n_pixels(self) -> int:
        return int(self.of_pixels_adu2.size)

    @property
    def widening(self) -> float:
        """By how much correlation widens the uncertainty of mean squares."""
        return _of_squares(self.correlation)

    def standard_error(self, of_pixels: NDArray[np.float64]) -> float:
        """Return the uncertainty of the mean of numbers of the pixels, from their scatter."""
        return _standard_error(of_pixels, self.correlation)


@dataclass(frozen=True, slots=True, eq=False)
class _Light:
    """Signal of the pixels that are used and its mean, ADU; relative variance that stands still; relative flicker."""

    of_pixels_adu: NDArray[np.float32]
    signal_adu: float
    fixed: float
    flicker: float


def _of_squares(correlation: float) -> float:
    """Squares of values correlated by r along a line are so by r²: sqrt((1 + r²)/(1 - r²))."""
    r2 = min(correlation**2, 0.9)
    return sqrt((1 + r2) / (1 - r2))


def _standard_error(of_pixels: NDArray[np.float64], correlation: float) -> float:
    return float(of_pixels.std(ddof=1)) / sqrt(of_pixels.size) * _of_squares(correlation)


def _noise(
    counts: NDArray[np.generic],
    mean: NDArray[np.float32],
    course: NDArray[np.float64],
    kept: NDArray[np.bool_],
) -> _Noise:
    """Return the noise of each pixel, from successive frames, two of which are held at a time."""
    square, product = np.zeros(kept.shape), np.zeros((kept.shape[0], kept.shape[1] - 1))
    before = counts[0].astype(np.float32)
    for frame, step in zip(counts[1:], np.diff(course), strict=True):
        after = frame.astype(np.float32)
        difference = after - before - mean * np.float32(step)
        square += np.square(difference)
        product += difference[:, 1:] * difference[:, :-1]
        before = after
    n = 2 * (len(counts) - 1)
    of_pixels, beside = square[kept] / n, product[kept[:, 1:] & kept[:, :-1]] / n
    level = float(of_pixels.mean())
    correlation = float(beside.mean()) / level if level > 0 and beside.size else 0.0
    uncertainty = _standard_error(of_pixels, correlation)
    return _Noise(of_pixels, level, uncertainty, correlation)


def _mask(
    counts: NDArray[np.generic], mean: NDArray[np.float32], full: float
) -> tuple[NDArray[np.bool_], float]:
    """Return which pixels are used, and the part of their counts at full scale."""
    at_full = np.zeros(mean.shape)
    for frame in counts:
        at_full += frame >= full
    at_full /= len(counts)
    is_odd = at_full > STUCK_FRACTION
    if np.mean(is_odd) > MOST_OUTLIERS:
        is_odd[:] = False
    away = np.abs(mean - np.median(mean[~is_odd]))
    is_far = away > OUTLIER_SIGMAS * max(robust_sigma(mean[~is_odd]), 1e-9)
    if np.mean(is_far) <= MOST_OUTLIERS:
        is_odd |= is_far
    return ~is_odd, float(at_full[~is_odd].mean())


def _need_light(signal: float, noise: _Noise, dark: Dark, n_frames: int) -> None:
    if noise.mean <= 0:
        raise InputError(
            "expected frames that differ from one to the next by noise; got equal ones. Is it one image, "
            "saved often, or is the detector saturated or off?"
        )
    limit = LEAST_SIGNAL_SIGMAS * sqrt(
        noise.mean / noise.n_pixels / n_frames + dark.offset_uncertainty_adu**2
    )
    if signal <= limit:
        raise InputError(
            f"expected light: a mean above the offset; got {signal:.4g} ADU above it. Check the laser, the shutter and the "
            "offset"
        )


def _gain(light: _Light, noise: _Noise, dark: Dark) -> tuple[float, float] | None:
    """Return ADU for each effective photon, and its uncertainty as of a ratio of means; None without shot noise."""
    gain = (noise.mean - dark.variance_adu2) / light.signal_adu
    errors = (
        noise.standard_error(noise.of_pixels_adu2 - gain * light.of_pixels_adu),
        dark.variance_uncertainty_adu2,
        gain * dark.offset_uncertainty_adu,
    )
    uncertainty = float(np.hypot.reduce(errors)) / light.signal_adu
    return (gain, uncertainty) if gain > LEAST_GAIN_SIGMAS * uncertainty else None


def _photons(gain: float, light: _Light, noise: _Noise, dark: Dark) -> tuple[float, float]:
    """Return effective photons for each pixel and their uncertainty, to first order in the pixels' own deviations.

    What stands still is in each pixel's signal and in its variance alike, and no uncertainty: taken off.
    """
    shot = gain * light.signal_adu
    of_pixels = 2 * light.of_pixels_adu.astype(float) / light.signal_adu - noise.of_pixels_adu2 / shot
    own = sqrt(max(noise.standard_error(of_pixels) ** 2 - light.fixed / noise.n_pixels, 0.0))
    of_dark = (2 * dark.offset_uncertainty_adu / light.signal_adu, dark.variance_uncertainty_adu2 / shot)
    photons = light.signal_adu / gain
    return photons, photons * float(np.hypot.reduce((own, light.flicker, *of_dark)))


def _root(square: float, uncertainty: float) -> tuple[float, float]:
    """Return a root and its uncertainty, of a square that may be nearly nothing, in percent."""
    root = sqrt(square)
    return 100 * root, 100 * uncertainty / (root + sqrt(root**2 + uncertainty))


def _lost(trend: StraightLine, n_frames: int) -> tuple[float, float]:
    """Return how much is lost from the first frame to the last, %, by the line through the frames' means."""
    per_frame = 100 * (n_frames - 1) / trend.intercept
    return -trend.slope * per_frame, trend.slope_uncertainty * per_frame
