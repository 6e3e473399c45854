"""The linear map between two sets of points, robust to bad ones, with uncertainties.

target = matrix @ source + offset. Sources and targets are rows (y, x); the matrix acts on columns (y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import atan2, degrees, hypot

import numpy as np
from numpy.typing import NDArray

from qc_routines.errors import InputError

LEAST_POINTS = 4
OUTLIER_SIGMAS = 6.0
ROUNDS = 10
MOST_TRIPLE_POINTS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A fitted linear map.

    Attributes
    ----------
    matrix : ndarray, float64, (2, 2)
        Of columns (y, x).
    offset : ndarray, float64, (2,)
        Target of the source (0, 0).
    covariance : ndarray, float64, (4, 4)
        Of the matrix in reading order.
    residuals : ndarray, float64, (n, 2)
        target - map(source) of every point; NaN where it was not known.
    is_used : ndarray, bool, (n,)
        Points that entered.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    covariance: NDArray[np.float64]
    residuals: NDArray[np.float64]
    is_used: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Parts:
    """An affine in words; each a pair of value and one sigma.

    Attributes
    ----------
    scale_x, scale_y : tuple of float
        Length of what a unit along x, or y, becomes.
    rotation_deg : tuple of float
        Of the x axis, clockwise as seen in the image (from x towards y, y being down).
    shear_deg : tuple of float
        By how much the angle between the axes exceeds 90 deg.
    is_mirrored : bool
        Whether the map turns left into right.
    """

    scale_x: tuple[float, float]
    scale_y: tuple[float, float]
    rotation_deg: tuple[float, float]
    shear_deg: tuple[float, float]
    is_mirrored: bool


def fit_affine(source_yx: NDArray[np.float64], target_yx: NDArray[np.float64]) -> Affine:
    """Return the least-squares affine; points off by more than six robust sigma are left out.

    Raises
    ------
    InputError
        Fewer than four known points, or points that lie on one line.
    """
    source, target = np.asarray(source_yx, float), np.asarray(target_yx, float)
    if source.ndim != 2 or source.shape[1] != 2 or source.shape != target.shape:
        raise InputError(f"expected two lists of points (n, 2); got {source.shape} and {target.shape}")
    known = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1)
    design = np.column_stack([source, np.ones(len(source))])
    _check_spread(source[known])
    used = _near_best_triple(design, target, known)
    for _ in range(ROUNDS):
        _check_spread(source[used])
        found, *_ = np.linalg.lstsq(design[used], target[used], rcond=None)
        residuals = target - design @ found
        closer = known & _is_near(residuals, known)
        if np.array_equal(closer, used) or closer.sum() < LEAST_POINTS:
            break
        used = closer
    n_free = 2 * int(used.sum()) - 6
    noise = float(np.sum(residuals[used] ** 2)) / n_free if n_free > 0 else float("nan")
    each = np.linalg.inv(design[used].T @ design[used])[:2, :2] * noise
    return Affine(found[:2].T.copy(), found[2], np.kron(np.eye(2), each), residuals, used)


def _near_best_triple(
    design: NDArray[np.float64], target: NDArray[np.float64], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the points near the map through that triple of points which half of all points agree with best.

    Least median of squares (Rousseeuw 1984, doi:10.1080/01621459.1984.10477105): a far-off point cannot pull it. Of
    many points evenly spread triples are tried.
    """
    indices = np.flatnonzero(known)
    indices = indices[:: max(1, indices.size // MOST_TRIPLE_POINTS)][:MOST_TRIPLE_POINTS]
    triples = np.array(list(combinations(indices, 3)))
    volume = np.abs(np.linalg.det(design[triples]))
    triples = triples[volume > 0.05 * volume.max()]
    maps = np.linalg.solve(design[triples], target[triples])
    distances = np.linalg.norm(target[known] - design[known] @ maps, axis=2)
    best = int(np.argmin(np.median(distances, axis=1)))
    near = known & _is_near(target - design @ maps[best], known)
    return near if near.sum() >= LEAST_POINTS else known


def _is_near(residuals: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which residuals are within six robust sigma; 1.1774 sigma is the median distance in two dimensions.

    The factor for few points is that of Rousseeuw & Leroy 1987, doi:10.1002/0471725382.
    """
    distance = np.hypot(*residuals.T)
    sigma = float(np.median(distance[known])) / 1.1774 * (1 + 5 / max(int(known.sum()) - 3, 1))
    return distance <= OUTLIER_SIGMAS * max(sigma, 1e-9 * float(np.max(distance[known])), 1e-12)


def _check_spread(source: NDArray[np.float64]) -> None:
    if len(source) < LEAST_POINTS:
        raise InputError(f"expected at least {LEAST_POINTS} known points; got {len(source)}")
    smallest, largest = np.linalg.svd(source - source.mean(axis=0), compute_uv=False)[::-1]
    if not smallest > 1e-3 * largest:
        raise InputError(
            "expected points in two dimensions; got points on one line. Move along x and along y."
        )


def parts(affine: Affine) -> Parts:
    """Return scales, rotation and shear with uncertainties carried over from the matrix."""
    values = _values(affine.matrix.ravel())
    step = 1e-6 * max(np.abs(affine.matrix).max(), 1e-12)
    slopes = np.stack(
        [(_turned(_values(affine.matrix.ravel() + step * unit) - values)) / step for unit in np.eye(4)],
        axis=1,
    )
    sigmas = np.sqrt(np.diag(slopes @ affine.covariance @ slopes.T))
    pairs = [(float(v), float(s)) for v, s in zip(values, sigmas, strict=True)]
    return Parts(*pairs, is_mirrored=bool(np.linalg.det(affine.matrix) < 0))


def _values(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scale x, scale y, rotation and shear of (yy, yx, xy, xx)."""
    yy, yx, xy, xx = matrix
    rotation = degrees(atan2(yx, xx))
    of_y = degrees(atan2(yy, xy))
    is_mirrored = yy * xx - yx * xy < 0
    between = (of_y - rotation) * (-1 if is_mirrored else 1)
    return np.array([hypot(yx, xx), hypot(yy, xy), rotation, (between + 180) % 360 - 180 - 90])


def _turned(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return differences with angles brought to -180..180 deg."""
    difference[2:] = (difference[2:] + 180) % 360 - 180
    return difference
