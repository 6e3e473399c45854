"""Control charts that outliers do not fool: is a figure in control, since when not, and where is it going.

Symbols: σ is the spread of single values while nothing happens, estimated from the median absolute difference of
neighbours, M|x_i − x_(i−1)| / 0.954 (for a normal distribution the median of |difference| is 0.6745·√2·σ). Steps, drifts and a
few outliers leave it almost unchanged, which a standard deviation is not.

The centre is the median of the first values from time zero on: a chart tells the distance from the instrument as it was
accepted, not from its recent habits.

Sources: Western Electric, Statistical Quality Control Handbook (1956), zone tests; L. S. Nelson, J. Qual. Technol. 16 (1984) 237,
doi:10.1080/00224065.1984.11978921; P. K. Sen, J. Am. Stat. Assoc. 63 (1968) 1379, doi:10.1080/01621459.1968.10480934 (slope and
its interval); R. O. Gilbert, Statistical Methods for Environmental Pollution Monitoring (1987) § 16.5 (its normal approximation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappush, heappushpop
from math import inf, log, sqrt

import numpy as np

N_LEAST = 5
"""With fewer values there is no chart: nothing can be said of their spread."""

N_REFERENCE = 20
"""Values from time zero on that make the centre."""

N_MOST = 300
"""Newest values that are looked at."""

_DIFFERENCE_TO_SIGMA = 0.954
_MEDIAN_TO_MEAN = 1.2533  # standard error of a median over that of a mean, normal distribution
_STEP_AT = 4.5
"""Standard errors a step must have: with 300 places to look at, a false one in about a thousand charts."""
_STEP_SIGMAS = 1.5
_PLACE = 3
"""Numbers that the place of a step counts for: it was chosen among all places (Zhang & Siegmund 2007,
doi:10.1111/j.1541-0420.2006.00662.x)."""
_ROUNDING = 1e-12
"""Of the largest sum: what adding in another order may change."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a figure."""

    at: datetime
    value: float
    uncertainty: float | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that the value at `index` breaks; `rule` is a key of `RULES`."""

    index: int
    rule: str


@dataclass(frozen=True, slots=True)
class Step:
    """The level changed between the values at ``index - 1`` and `index`."""

    index: int
    before: float
    after: float
    n_sigma: float


@dataclass(frozen=True, slots=True)
class Drift:
    """A slope that is not zero, with its 95 % interval, in units of the figure a day."""

    per_day: float
    low_per_day: float
    high_per_day: float
    at: datetime
    level: float
    """Where the line stands at `at`, the newest value's time."""

    def crosses(self, limit: float) -> timedelta | None:
        """Return in how long the line reaches a limit, None when it moves away from it or is beyond it already."""
        days = (limit - self.level) / self.per_day
        return timedelta(days=days) if 0 < days < 36_500 else None


@dataclass(frozen=True, slots=True)
class Chart:
    """What a series of values says; samples oldest first."""

    samples: tuple[Sample, ...]
    centre: float
    sigma: float
    signals: tuple[Signal, ...]
    steps: tuple[Step, ...]
    drift: Drift | None

    @property
    def is_in_control(self) -> bool:
        """Whether the newest value breaks no rule."""
        return not any(signal.index == len(self.samples) - 1 for signal in self.signals)


def chart_of(samples: Sequence[Sample], time_zero: datetime | None = None) -> Chart | None:
    """Return the chart of a figure, None when there are too few values or they never differ.

    Parameters
    ----------
    samples : sequence of Sample
        In any order; the newest `N_MOST` count.
    time_zero : datetime, optional
        When the baseline was taken; default: the first sample.
    """
    ordered = sorted(samples, key=lambda sample: sample.at)[-N_MOST:]
    if len(ordered) < N_LEAST:
        return None
    values = np.array([sample.value for sample in ordered])
    sigma = _sigma(values, ordered)
    if sigma == 0:
        return None
    reference = [s.value for s in ordered if time_zero is None or s.at >= time_zero][:N_REFERENCE]
    centre = _median(np.array(reference or values[:N_REFERENCE]))
    days = np.array([(sample.at - ordered[0].at).total_seconds() / 86_400 for sample in ordered])
    steps = _fit(days, values, sigma).steps
    last = steps[-1].index if steps else 0
    drift = _drift(days[last:], values[last:], ordered[-1].at)
    return Chart(tuple(ordered), centre, sigma, tuple(_signals((values - centre) / sigma)), steps, drift)


def _sigma(values: np.ndarray, samples: Sequence[Sample]) -> float:
    """Return σ; where most neighbours are equal (a coarse instrument), what the values say of their own uncertainty."""
    sigma = _median(np.abs(np.diff(values))) / _DIFFERENCE_TO_SIGMA
    told = [sample.uncertainty for sample in samples if sample.uncertainty]
    if sigma == 0 and told:
        return _median(np.array(told))
    return sigma


def _beyond(n_sigma: float, n: int, of: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a rule: `n` of `of` values in a row lie beyond `n_sigma` on the same side, the last one among them."""

    def broken(z: np.ndarray) -> np.ndarray:
        found = np.zeros(len(z), dtype=bool)
        for side in (1, -1):
            out = side * z > n_sigma
            counts = np.convolve(out, np.ones(of), "full")[: len(z)]
            found |= out & (counts >= n)
        return found

    return broken


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "1 value beyond 3 σ": _beyond(3, 1, 1),
    "2 of 3 beyond 2 σ": _beyond(2, 2, 3),
    "4 of 5 beyond 1 σ": _beyond(1, 4, 5),
    "8 in a row on one side": _beyond(0, 8, 8),
}


def _signals(z: np.ndarray) -> list[Signal]:
    """Return for each value the first rule it breaks."""
    names = list(RULES)
    broken = np.array([RULES[name](z) for name in names])
    return [Signal(int(i), names[broken[:, i].argmax()]) for i in np.flatnonzero(broken.any(axis=0))]


@dataclass(frozen=True, slots=True)
class _Fit:
    """How a stretch of values is told: what is left over, by how many numbers, with which steps."""

    left_over: float
    n_numbers: int
    steps: tuple[Step, ...] = ()

    def score(self, n: int) -> float:
        """Return Schwarz's criterion with absolute residuals, n ln Σ|r| + (p/2) ln n: the lower, the better told."""
        return n * log(max(self.left_over, 1e-300)) + self.n_numbers / 2 * log(n)


def _fit(days: np.ndarray, values: np.ndarray, sigma: float, offset: int = 0) -> _Fit:
    """Tell a stretch of values as one level, one line, or two stretches with a step between, whichever is best told."""
    told = [_Fit(_left_over(values), 1)]
    if (drift := _drift(days, values, datetime.min)) is not None:
        line = drift.level + drift.per_day * (days - days[-1])
        told.append(_Fit(float(np.abs(values - line).sum()), 2))
    if (at := _place_of_step(values, sigma)) is not None:
        before, after = _median(values[:at]), _median(values[at:])
        step = Step(offset + at, before, after, (after - before) / sigma)
        left = _fit(days[:at], values[:at], sigma, offset)
        right = _fit(days[at:], values[at:], sigma, offset + at)
        steps = (*left.steps, step, *right.steps)
        told.append(_Fit(left.left_over + right.left_over, left.n_numbers + right.n_numbers + _PLACE, steps))
    return min(told, key=lambda fit: fit.score(len(values)))


def _place_of_step(values: np.ndarray, sigma: float) -> int | None:
    """Return where two medians leave least, when they differ enough to be a step."""
    if len(values) < 4 or np.ptp(values) < _least_height(sigma, len(values) / 2, len(values) / 2):
        return None
    left = _left_overs(values)[1:-2] + _left_overs(values[::-1])[::-1][2:-1]
    # The first of those that are equal but for rounding.
    at = 2 + int((left <= left.min() + _ROUNDING * np.abs(left).max()).argmax())
    height = abs(_median(values[at:]) - _median(values[:at]))
    return at if height >= _least_height(sigma, at, len(values) - at) else None


def _least_height(sigma: float, n_before: float, n_after: float) -> float:
    """Return how high a step between so many values must be; in the middle of a stretch the least is asked."""
    error = _MEDIAN_TO_MEAN * sigma * sqrt(1 / n_before + 1 / n_after)
    return max(_STEP_AT * error, _STEP_SIGMAS * sigma)


def _median(values: np.ndarray) -> float:
    """Return the median of values that are all finite, shape (n,), in a quarter of the time that a general one takes."""
    ordered, half = np.sort(values), len(values) // 2
    return float(ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _left_over(values: np.ndarray) -> float:
    return float(np.abs(values - _median(values)).sum())


def _left_overs(values: np.ndarray) -> np.ndarray:
    """Return `_left_over` of the first value, of the first two, and so on to all; shape (n,).

    The values below and above the running median stand in two heaps, so each costs log n instead of a median of its own.
    """
    below: list[float] = []  # negative, so that the greatest comes first
    above: list[float] = []
    sum_below = sum_above = 0.0
    told = []
    for value in (values - _median(values)).tolist():
        if len(below) == len(above):
            moved = heappushpop(above, value)
            sum_above += value - moved
            heappush(below, -moved)
            sum_below += moved
            told.append(sum_above - sum_below - below[0])
        else:
            moved = -heappushpop(below, -value)
            sum_below += value - moved
            heappush(above, moved)
            sum_above += moved
            told.append(sum_above - sum_below)
    return np.array(told)


def _drift(days: np.ndarray, values: np.ndarray, at: datetime) -> Drift | None:
    """Return the median of all pairwise slopes when its 95 % interval leaves zero out."""
    n = len(values)
    is_pair = days > days[:, np.newaxis]
    n_slopes = np.count_nonzero(is_pair)
    if n < N_LEAST or not n_slopes:
        return None
    half = 1.96 * sqrt(n * (n - 1) * (2 * n + 5) / 18) / 2
    rank_low, rank_high = int(n_slopes / 2 - half), int(n_slopes / 2 + half) + 1
    rise = values - values[:, np.newaxis]
    # Signs alone say whether the interval leaves zero out; most series end here.
    n_not_up, n_down = np.count_nonzero(is_pair & (rise <= 0)), np.count_nonzero(is_pair & (rise < 0))
    if rank_low < n_not_up and rank_high >= n_down:
        return None
    middle = ((n_slopes - 1) // 2, n_slopes // 2)
    ranks = [rank for rank in (rank_low, rank_high) if 0 <= rank < n_slopes]
    slopes = np.partition(rise[is_pair] / (days - days[:, np.newaxis])[is_pair], [*ranks, *middle])
    low = float(slopes[rank_low]) if rank_low >= 0 else -inf
    high = float(slopes[rank_high]) if rank_high < n_slopes else inf
    slope = float(slopes[middle[0] : middle[1] + 1].mean())
    level = _median(values + slope * (days[-1] - days))
    return Drift(slope, low, high, at, level)
