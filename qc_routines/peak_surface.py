"""The top of a smooth surface: a Gaussian for the whole of it, a paraboloid for its top alone.

Both are quadratic polynomials in y and x, of the logarithm or of the values themselves:
q = c0 + c1 v + c2 u + c3 v² + c4 v u + c5 u², v and u being y and x scaled to -1..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_TERMS = 6
TUKEY_SIGMAS = 4.685
"""Residuals beyond this many robust sigma get no weight; 95 % efficient for normal noise (Beaton & Tukey 1974,
doi:10.1080/00401706.1974.10489171)."""
ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Peak:
    """Top of a surface.

    Attributes
    ----------
    centre_yx : tuple of float
        In the units of the positions given.
    uncertainty_yx : tuple of float
        One sigma, from the scatter about the surface.
    height : float
        Value at the centre.
    height_uncertainty : float
        One sigma.
    """

    centre_yx: tuple[float, float]
    uncertainty_yx: tuple[float, float]
    height: float
    height_uncertainty: float


def gaussian_peak(values: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> Peak | None:
    """Return the top of the Gaussian through positive values (n_y, n_x); None when there is no top.

    Weights are the values themselves: the variance of the logarithm of shot-noise limited light is 1/value.
    """
    is_usable = np.isfinite(values) & (values > 0)
    logs = np.log(np.where(is_usable, values, 1.0))
    peak = _fitted(logs, np.where(is_usable, values, 0.0), y, x)
    if peak is None:
        return None
    height = float(np.exp(peak.height))
    return Peak(peak.centre_yx, peak.uncertainty_yx, height, height * peak.height_uncertainty)


def parabola_peak(values: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> Peak | None:
    """Return the top of the paraboloid through values (n_y, n_x); None when there is no top."""
    return _fitted(np.nan_to_num(values), np.isfinite(values).astype(float), y, x)


def _fitted(
    values: NDArray[np.float64], weights: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]
) -> Peak | None:
    """Fit robustly (iteratively re-weighted, Tukey's biweight) and find the stationary point."""
    (y_mid, y_half), (x_mid, x_half) = _scale(y), _scale(x)
    v, u = np.meshgrid((y - y_mid) / y_half, (x - x_mid) / x_half, indexing="ij")
    v, u, z, base = v.ravel(), u.ravel(), values.ravel(), weights.ravel()
    design = np.stack([np.ones_like(v), v, u, v * v, v * u, u * u], axis=1)
    if np.count_nonzero(base) < 2 * N_TERMS:
        return None
    weight = stiffness = base
    for _ in range(ROUNDS):
        normal = design.T @ (design * weight[:, None])
        coefficients = np.linalg.lstsq(normal, design.T @ (weight * z), rcond=None)[0]
        residuals = np.sqrt(base) * (z - design @ coefficients)
        sigma = 1.4826 * np.median(np.abs(residuals[base > 0]))
        if sigma <= 1e-12 * max(np.abs(z).max(), 1e-300):
            break
        inside = np.clip(1 - (residuals / (TUKEY_SIGMAS * sigma)) ** 2, 0, None)
        weight, stiffness = base * inside**2, base * inside * (5 * inside - 4)
    covariance = _covariance(design, residuals, weight, stiffness, base)
    return _stationary(coefficients, covariance, (y_mid, x_mid), (y_half, x_half))


def _scale(positions: NDArray[np.float64]) -> tuple[float, float]:
    middle, half = (positions[0] + positions[-1]) / 2, (positions[-1] - positions[0]) / 2
    return float(middle), max(float(half), 1e-9)


def _covariance(
    design: NDArray[np.float64],
    residuals: NDArray[np.float64],
    weight: NDArray[np.float64],
    stiffness: NDArray[np.float64],
    base: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the sandwich covariance, honest also when the weights are not the inverse variances.

    The equations give way by the slope of residual x weight (`stiffness`), not by the weight; Huber 1967. Residuals are
    divided by 1 - leverage (HC3; MacKinnon & White 1985, doi:10.1016/0304-4076(85)90158-7).
    """
    bread = np.linalg.pinv(design.T @ (design * stiffness[:, None]))
    leverage = np.clip(weight * np.einsum("ni,ij,nj->n", design, bread, design), 0.0, 0.9)
    influence = (
        np.divide(weight, np.sqrt(base), where=base > 0, out=np.zeros_like(base)) * residuals / (1 - leverage)
    )
    filling = (design * influence[:, None]).T @ (design * influence[:, None])
    return bread @ filling @ bread


def _stationary(
    c: NDArray[np.float64],
    covariance: NDArray[np.float64],
    middle_yx: tuple[float, float],
    half_yx: tuple[float, float],
) -> Peak | None:
    hessian = np.array([[2 * c[3], c[4]], [c[4], 2 * c[5]]])
    if not np.all(np.linalg.eigvalsh(hessian) < 0):
        return None
    inverse = np.linalg.inv(hessian)
    v, u = -inverse @ c[1:3]
    by_gradient = np.array(
        [[0, 1, 0, 2 * v, u, 0], [0, 0, 1, 0, v, 2 * u]]
    )  # of the gradient by the coefficients
    spread = inverse @ by_gradient @ covariance @ by_gradient.T @ inverse
    terms = np.array([1, v, u, v * v, v * u, u * u])
    sigma_v, sigma_u = np.sqrt(np.maximum(np.diag(spread), 0.0))
    return Peak(
        (float(middle_yx[0] + v * half_yx[0]), float(middle_yx[1] + u * half_yx[1])),
        (float(sigma_v * half_yx[0]), float(sigma_u * half_yx[1])),
        float(terms @ c),
        float(np.sqrt(max(terms @ covariance @ terms, 0.0))),
    )
