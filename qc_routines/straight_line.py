"""A straight line through points, with the uncertainty of what is read from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.errors import InputError
from qc_routines.few import widened


@dataclass(frozen=True, slots=True, eq=False)
class StraightLine:
    """y = intercept + slope x.

    Attributes
    ----------
    slope, intercept : float
        In units of y/x and of y.
    slope_uncertainty, intercept_uncertainty : float
        One sigma, from the scatter about the line; of few points widened by Student's t, infinite with two.
    r2 : float
        Coefficient of determination, weighted as the fit was.
    residuals : ndarray, float64
        y - line, for each point.
    """

    slope: float
    intercept: float
    slope_uncertainty: float
    intercept_uncertainty: float
    r2: float
    residuals: NDArray[np.float64]

    @property
    def scatter(self) -> float:
        """Standard deviation about the line, with two degrees of freedom taken off; NaN with two points."""
        n_free = self.residuals.size - 2
        return sqrt(float(np.sum(self.residuals**2)) / n_free) if n_free > 0 else float("nan")


def fit_line(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> StraightLine:
    """Return the least-squares line; `weights` multiply squared residuals.

    Raises
    ------
    InputError
        Fewer than two different finite x.

    Examples
    --------
    >>> line = fit_line([0, 1, 2], [1, 3, 5])
    >>> line.slope, line.intercept, line.r2
    (2.0, 1.0, 1.0)
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"expected as many x as y in one row; got shapes {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or np.unique(x).size < 2:
        raise InputError(
            f"expected finite numbers at two different x or more; got x = {np.unique(x)[:5].tolist()}"
        )
    w = np.ones_like(x) if weights is None else np.asarray(weights, float)
    x_mean, y_mean = np.average(x, weights=w), np.average(y, weights=w)
    sxx = float(np.sum(w * (x - x_mean) ** 2))
    slope = float(np.sum(w * (x - x_mean) * (y - y_mean))) / sxx
    residuals = y - y_mean - slope * (x - x_mean)
    remaining, all_of_it = float(np.sum(w * residuals**2)), float(np.sum(w * (y - y_mean) ** 2))
    n_free = x.size - 2
    sigma = widened(sqrt(remaining / n_free), n_free) if n_free > 0 else float("inf")
    return StraightLine(
        slope=slope,
        intercept=float(y_mean - slope * x_mean),
        slope_uncertainty=sigma / sqrt(sxx),
        intercept_uncertainty=sigma * sqrt(1 / float(np.sum(w)) + x_mean**2 / sxx),
        r2=1 - remaining / all_of_it if all_of_it > 0 else 1.0,
        residuals=residuals,
    )


def fit_known_points(x: ArrayLike, y: ArrayLike, sigma: NDArray[np.float64]) -> StraightLine:
    """Return the line through points that say how uncertain they are, one sigma each.

    Its slope is as uncertain as they say; as they scatter about the line, where that is more than chance does. (A point
    far from all others all but makes the slope, and its own error shows in no residual.)

    Raises
    ------
    InputError
        Fewer than two different finite x.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    weights = 1 / np.square(np.maximum(sigma, 1e-9 * max(float(np.max(np.abs(y))), 1e-9)))
    line = fit_line(x, y, weights)
    of_points = float(np.sum(weights * (x - np.average(x, weights=weights)) ** 2)) ** -0.5
    n_free = line.residuals.size - 2
    by_chance = widened(_chance(n_free) * of_points, n_free) if n_free > 0 else float("inf")
    return line if line.slope_uncertainty > by_chance else replace(line, slope_uncertainty=of_points)


def _chance(n_free: int) -> float:
    """Return the ratio of scatter to expectation that chance exceeds once in forty: chi² after Wilson & Hilferty 1931."""
    spread = 2 / (9 * n_free)
    return float((1 - spread + 1.96 * spread**0.5) ** 1.5)


def widening(residuals: NDArray[np.float64]) -> float:
    """Return by how much correlation of neighbours widens an uncertainty that takes them for independent.

    sqrt((1 + r)/(1 - r)), r the correlation of neighbouring residuals where positive: that of a mean or slope over a
    first-order autoregressive series, Bartlett 1935, doi:10.2307/2342284.
    """
    square = float(np.sum(residuals**2))
    r = float(np.sum(residuals[1:] * residuals[:-1])) / square if square > 0 else 0.0
    r = min(max(r, 0.0), 0.95)
    return sqrt((1 + r) / (1 - r))
