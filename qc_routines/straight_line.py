"""A straight line through points, with the uncertainty of what is read from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qc_routines.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class StraightLine:
    """y = intercept + slope x.

    Attributes
    ----------
    slope, intercept : float
        In units of y/x and of y.
    slope_uncertainty, intercept_uncertainty : float
        One sigma, from the scatter about the line; infinite with two points.
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
    s2 = remaining / (x.size - 2) if x.size > 2 else float("inf")
    return StraightLine(
        slope=slope,
        intercept=float(y_mean - slope * x_mean),
        slope_uncertainty=sqrt(s2 / sxx),
        intercept_uncertainty=sqrt(s2 * (1 / float(np.sum(w)) + x_mean**2 / sxx)),
        r2=1 - remaining / all_of_it if all_of_it > 0 else 1.0,
        residuals=residuals,
    )


def widening(residuals: NDArray[np.float64]) -> float:
    """Return by how much correlation of neighbours widens an uncertainty that takes them for independent.

    sqrt((1 + r)/(1 - r)), r the correlation of neighbouring residuals where positive: that of a mean or slope over a
    first-order autoregressive series, Bartlett 1935, doi:10.2307/2342284.
    """
    square = float(np.sum(residuals**2))
    r = float(np.sum(residuals[1:] * residuals[:-1])) / square if square > 0 else 0.0
    r = min(max(r, 0.0), 0.95)
    return sqrt((1 + r) / (1 - r))
