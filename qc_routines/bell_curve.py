"""A Gaussian on a level ground, fitted to a short profile by Levenberg and Marquardt's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDS = 60
SETTLED = 1e-10
N_UNKNOWNS = 4


@dataclass(frozen=True, slots=True, eq=False)
class BellCurve:
    """ground + height exp(-(x - centre)²/(2 sigma²)), one-sigma uncertainties from the scatter, and R².

    The uncertainties do not take the scatter to be alike everywhere: when it is x that is uncertain, as the position of
    a focus drive, the flanks scatter and peak and ground do not (HC2 of J. MacKinnon and H. White, 1985,
    doi:10.1016/0304-4076(85)90158-7).

    Attributes
    ----------
    influence : ndarray, float64, (n, 2)
        By how much each point's own error moves centre and sigma, one sigma. Where several curves share the errors of
        x, as tiles share the slices of a stack, what is computed of them is uncertain by the root of the sum of squares
        over the points, after the influences on all curves were added (clusters of K.-Y. Liang and S. L. Zeger, 1986,
        doi:10.1093/biomet/73.1.13).
    """

    centre: float
    sigma: float
    height: float
    ground: float
    centre_uncertainty: float
    sigma_uncertainty: float
    r2: float
    influence: NDArray[np.float64]


def fit_bell(x: NDArray[np.float64], y: NDArray[np.float64]) -> BellCurve | None:
    """Return the bell through more than four points; None when there is none, as through a constant."""
    if x.size <= N_UNKNOWNS or np.ptp(y) == 0:
        return None
    state, damping = _start(x, y), 1e-3
    model, slopes = _bell(x, state)
    square = float(np.sum((y - model) ** 2))
    for _ in range(ROUNDS):
        normal, gradient = slopes.T @ slopes, slopes.T @ (y - model)
        step = np.linalg.lstsq(normal + damping * np.diag(np.diag(normal)), gradient, rcond=None)[0]
        trial = state + step
        trial_model, trial_slopes = _bell(x, trial)
        trial_square = float(np.sum((y - trial_model) ** 2))
        if not trial_square <= square:
            damping *= 10
            if damping > 1e12:
                break
            continue
        is_settled = square - trial_square <= SETTLED * square
        state, model, slopes, square, damping = trial, trial_model, trial_slopes, trial_square, damping / 10
        if is_settled:
            break
    return _result(x, y, state, slopes, square)


def _start(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    ground = float(np.percentile(y, 20))
    light = np.clip(y - ground, 0, None)
    light = np.where(light > 0.3 * light.max(), light, 0.0)
    weight = light / light.sum()
    centre = float(np.sum(weight * x))
    sigma = float(np.sqrt(np.sum(weight * (x - centre) ** 2)))
    return np.array(
        [centre, max(sigma, 0.5 * float(np.min(np.abs(np.diff(x))))), float(y.max()) - ground, ground]
    )


def _bell(
    x: NDArray[np.float64], state: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curve and its derivatives by centre, sigma, height and ground."""
    centre, sigma, height, ground = state
    u = (x - centre) / sigma
    shape = np.exp(-0.5 * u**2)
    slopes = np.stack(
        [height * shape * u / sigma, height * shape * u**2 / sigma, shape, np.ones_like(x)], axis=1
    )
    return ground + height * shape, slopes


def _result(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    state: NDArray[np.float64],
    slopes: NDArray[np.float64],
    square: float,
) -> BellCurve | None:
    centre, sigma, height, ground = (float(s) for s in state)
    if not np.isfinite(state).all() or height <= 0 or not x.min() <= centre <= x.max():
        return None
    influence = _influence(slopes, y - _bell(x, state)[0])[:, :2] * (1.0, np.sign(sigma))
    of_centre, of_sigma = np.sqrt(np.sum(influence**2, axis=0))
    r2 = 1 - square / float(np.sum((y - y.mean()) ** 2))
    return BellCurve(centre, abs(sigma), height, ground, float(of_centre), float(of_sigma), r2, influence)


def _influence(slopes: NDArray[np.float64], residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the error of each point moves each unknown, (points, unknowns)."""
    inverse = np.linalg.pinv(slopes.T @ slopes)
    share = np.einsum("ij,jk,ik->i", slopes, inverse, slopes)  # of each point in its own model value, 0 to 1
    errors = residuals / np.sqrt(np.maximum(1 - share, 1e-3))
    return errors[:, None] * (slopes @ inverse)
