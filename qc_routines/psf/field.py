"""How a number of each bead changes over the field: maps of tiles, and the surface on which the beads are in focus.

Frame: um, x to the right and y down, origin at the field's centre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines.few import widened

N_TILES_YX = (3, 3)
LEAST_FOR_PLANE = 4
LEAST_FOR_CURVATURE = 12
OUTLIER_SIGMA = 4.0
LEAST_OVER_TERMS = 2
"""Points for each term of the surface that must be left for any to be called an outlier."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A plane or paraboloid through points.

    Attributes
    ----------
    tilt_deg, tilt_error_deg : float
        Steepest slope of the plane.
    azimuth_deg : float
        Direction in which z grows fastest, from +x towards +y.
    range_um : float
        Highest minus lowest of the fitted surface over the corners, edges and centre of the field.
    curvature_um : float
        Height of the field's corners over its centre that is left when the plane is taken off; NaN when there are
        too few points.
    residual_um : float
        Robust standard deviation of the points about the surface.
    n : int
        Points that entered; outliers are left out.
    """

    tilt_deg: float
    tilt_error_deg: float
    azimuth_deg: float
    range_um: float
    curvature_um: float
    residual_um: float
    n: int


def surface(
    y_um: NDArray[np.float64],
    x_um: NDArray[np.float64],
    z_um: NDArray[np.float64],
    size_yx_um: tuple[float, float],
) -> Surface | None:
    """Return the surface through points (n,), um from the field's centre; None of fewer than four."""
    if z_um.size < LEAST_FOR_PLANE:
        return None
    is_curved = z_um.size >= LEAST_FOR_CURVATURE
    design = _design(y_um, x_um, is_curved)
    keep = np.ones(z_um.size, bool)
    for _ in range(4):
        terms, *_ = np.linalg.lstsq(design[keep], z_um[keep], rcond=None)
        residual = z_um - design @ terms
        sigma = robust_sd(residual[keep])
        good = np.abs(residual) <= max(OUTLIER_SIGMA * sigma, 1e-12)
        if good.sum() < LEAST_OVER_TERMS * design.shape[1]:  # of few, most would be called odd
            break
        keep = good
    degrees = max(int(keep.sum()) - design.shape[1], 1)
    variance = float((residual[keep] ** 2).sum() / degrees) * np.linalg.pinv(design[keep].T @ design[keep])
    slope = float(np.hypot(terms[1], terms[2]))
    direction = terms[1:3] / slope if slope > 0 else np.array([1.0, 0.0])
    slope_error = float(np.sqrt(direction @ variance[1:3, 1:3] @ direction))
    corners_y, corners_x = (
        g.ravel() for g in np.meshgrid(*[np.array([-0.5, 0, 0.5]) * s for s in size_yx_um])
    )
    heights = _design(corners_y, corners_x, is_curved) @ terms
    bend = _design(corners_y, corners_x, is_curved)[:, 3:] @ terms[3:]
    is_corner = (corners_y != 0) & (corners_x != 0)
    return Surface(
        tilt_deg=float(np.degrees(np.arctan(slope))),
        tilt_error_deg=float(np.degrees(widened(slope_error, degrees) / (1 + slope**2))),
        azimuth_deg=float(np.degrees(np.arctan2(terms[1], terms[2]))),
        range_um=float(np.ptp(heights)),
        curvature_um=float(bend[is_corner].mean()) if is_curved else float("nan"),
        residual_um=sigma,
        n=int(keep.sum()),
    )


def _design(y: NDArray[np.float64], x: NDArray[np.float64], is_curved: bool) -> NDArray[np.float64]:
    columns = [np.ones_like(y), y, x]
    return np.column_stack([*columns, y * y, y * x, x * x] if is_curved else columns)


def tile_medians(
    y: NDArray[np.float64], x: NDArray[np.float64], values: NDArray[np.float64], size_yx: tuple[float, float]
) -> NDArray[np.float64]:
    """Return the medians of values by tile of the field (3, 3), NaN where there is none; y, x from the corner."""
    rows = np.clip((y / size_yx[0] * N_TILES_YX[0]).astype(int), 0, N_TILES_YX[0] - 1)
    columns = np.clip((x / size_yx[1] * N_TILES_YX[1]).astype(int), 0, N_TILES_YX[1] - 1)
    medians = np.full(N_TILES_YX, np.nan)
    for row in range(N_TILES_YX[0]):
        for column in range(N_TILES_YX[1]):
            inside = values[(rows == row) & (columns == column)]
            inside = inside[np.isfinite(inside)]
            if inside.size:
                medians[row, column] = np.median(inside)
    return medians


def robust_sd(values: NDArray[np.float64]) -> float:
    """Return 1.4826 times the median absolute deviation: the standard deviation of Gaussian values."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else float("nan")
