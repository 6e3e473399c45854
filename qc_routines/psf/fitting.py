"""Fits of all beads of a stack, and what follows from them: widths, axes and their standard errors.

Frame: micrometres, axes z, y, x, origin at the centre of voxel (0, 0, 0). Angles in the image plane are counted
from +x towards +y (rows downwards), in [-90, 90) degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._threads import available_cores, side_by_side, spans
from qc_routines.psf._beads import FIT_COLUMNS, fit_beads
from qc_routines.psf._gaussian import N_PARAMETERS
from qc_routines.theory import FWHM_PER_SIGMA

ALL_FREE = np.ones(N_PARAMETERS, bool)
IN_PLANE = np.array([1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 1], bool)
ON_LINE = {
    "z": np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0], bool),
    "y": np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0], bool),
    "x": np.array([1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0], bool),
}
"""Parameters that a fit of one plane and of one line is free in; order as in `_gaussian`."""

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Axes of the six elements of the inverse covariance, in the order of the parameters."""


@dataclass(frozen=True, slots=True)
class Fits:
    """Gaussians fitted to n beads, voxels and counts.

    Attributes
    ----------
    parameters : ndarray, shape (n, 11)
        As in `_gaussian`; background and amplitude in the electrons of the noise model. NaN where not fitted.
    covariance : ndarray, shape (n, 11, 11)
        Of the parameters, widened by the reduced chi^2 under the fit's own weights where that is above 1.
    quality : dict of ndarray, shape (n,)
        Columns of FIT_COLUMNS, and `reduced_chi2`, `r_squared`, `r_squared_possible` (what noise alone leaves).
    """

    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    quality: dict[str, NDArray[np.float64]]


def fit(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    starts: NDArray[np.float64],
    half_zyx: NDArray[np.float64],
    noise: NDArray[np.float64],
    is_free: NDArray[np.bool_] = ALL_FREE,
    others_zyx: NDArray[np.float64] | None = None,
    other_radius: float = 0.0,
) -> Fits:
    """Return the fits of all beads, in threads; arguments as of `_beads.fit_beads`."""
    n = len(starts)
    fits, information = np.full((n, N_PARAMETERS), np.nan), np.zeros((n, N_PARAMETERS, N_PARAMETERS))
    quality = np.zeros((n, len(FIT_COLUMNS)))
    others = np.empty((0, 3)) if others_zyx is None else np.ascontiguousarray(others_zyx)

    def part(span: tuple[int, int]) -> None:
        s = slice(*span)
        fit_beads(
            stack, is_defect, starts[s], is_free, half_zyx, others, other_radius, noise,
            fits[s], information[s], quality[s],
        )  # fmt: skip

    side_by_side(part, spans(n, 4 * available_cores()))
    return _assessed(fits, information, quality, is_free)


def _assessed(
    fits: NDArray[np.float64],
    information: NDArray[np.float64],
    columns: NDArray[np.float64],
    is_free: NDArray[np.bool_],
) -> Fits:
    quality = dict(zip(FIT_COLUMNS, columns.T, strict=True))
    degrees = np.maximum(quality["n_voxels"] - is_free.sum(), 1)
    total = np.where(quality["total_e2"] > 0, quality["total_e2"], np.nan)
    quality["reduced_chi2"] = quality["chi2"] / degrees
    quality["r_squared"] = 1 - quality["residual_e2"] / total
    quality["r_squared_possible"] = 1 - quality["noise_e2"] / total
    covariance = _inverse(information)
    covariance *= np.maximum(quality["chi2_weighted"] / degrees, 1.0)[:, None, None]
    covariance[:, ~is_free] = 0.0
    covariance[:, :, ~is_free] = 0.0
    return Fits(fits, covariance, quality)


def _inverse(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverses, scaled to unit diagonals on the way; NaN for what has none."""
    scale = np.sqrt(np.abs(np.einsum("nii->ni", matrices)))
    is_good = (scale > 0).all(axis=1) & np.isfinite(matrices).all(axis=(1, 2))
    inverses = np.full_like(matrices, np.nan)
    outer = scale[:, :, None] * scale[:, None, :]
    for i in np.flatnonzero(is_good):
        try:
            inverses[i] = np.linalg.inv(matrices[i] / outer[i]) / outer[i]
        except np.linalg.LinAlgError:
            continue
    return inverses


def in_um(fits: Fits, voxel_um: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return parameters and their covariance with lengths in um."""
    scale = np.ones(N_PARAMETERS)
    scale[2:5] = voxel_um
    scale[5:] = [1 / (voxel_um[i] * voxel_um[j]) for i, j in _PAIRS]
    return fits.parameters * scale, fits.covariance * np.outer(scale, scale)


def precision_matrices(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse covariances (n, 3, 3) from rows of parameters."""
    matrices = np.empty((len(parameters), 3, 3))
    for column, (i, j) in enumerate(_PAIRS, start=5):
        matrices[:, i, j] = matrices[:, j, i] = parameters[:, column]
    return matrices


@dataclass(frozen=True, slots=True)
class Widths:
    """Full widths at half maximum and axes of n beads, with standard errors; um and degrees.

    Attributes
    ----------
    fwhm_zyx_um, fwhm_zyx_error_um : ndarray, shape (n, 3)
        Along the axes of the microscope: of the marginal, the whole extent of the bead in that direction.
    principal_um, principal_error_um : ndarray, shape (n, 3)
        Along the bead's own axes in space, longest first.
    lateral_um, lateral_error_um : ndarray, shape (n, 2)
        Along the longest and shortest direction in the image plane, of the marginal.
    angle_deg, angle_error_deg : ndarray, shape (n,)
        Of the longest direction in the image plane.
    tilt_deg, tilt_azimuth_deg : ndarray, shape (n,)
        Between the bead's axis next to z and z, and the direction in the image plane it leans to with growing z.
    """

    fwhm_zyx_um: NDArray[np.float64]
    fwhm_zyx_error_um: NDArray[np.float64]
    principal_um: NDArray[np.float64]
    principal_error_um: NDArray[np.float64]
    lateral_um: NDArray[np.float64]
    lateral_error_um: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    angle_error_deg: NDArray[np.float64]
    tilt_deg: NDArray[np.float64]
    tilt_azimuth_deg: NDArray[np.float64]


def widths_um(parameters: NDArray[Any], covariance: NDArray[Any]) -> Widths:
    """Return widths and axes of beads whose parameters are finite, with errors carried over to first order.

    With C the bead's covariance and P its inverse, dC = -C dP C; so for unit vectors a and b
    d(a C b) = -(Ca) dP (Cb), which is all that is needed for marginals, eigenvalues and angles.
    """
    shapes = np.linalg.inv(precision_matrices(parameters))
    of_precision = covariance[:, 5:, 5:]
    unit = np.broadcast_to(np.eye(3), shapes.shape)
    marginal = np.einsum("nii->ni", shapes)
    values, vectors = np.linalg.eigh(shapes)
    values, vectors = values[:, ::-1], vectors[:, :, ::-1]
    plane_values, plane_vectors = np.linalg.eigh(shapes[:, 1:, 1:])
    plane_values = plane_values[:, ::-1]
    across = np.zeros((len(shapes), 3, 2))
    across[:, 1:] = plane_vectors[:, :, ::-1]
    angle_variance = _carried(shapes, of_precision, across[:, :, 0], across[:, :, 1])
    gap = np.maximum(plane_values[:, 0] - plane_values[:, 1], 1e-300)
    tilt, azimuth = _tilt_deg(vectors)
    return Widths(
        *_fwhm(marginal, shapes, of_precision, unit),
        *_fwhm(values, shapes, of_precision, vectors),
        *_fwhm(plane_values, shapes, of_precision, across),
        _direction_deg(across[:, 1, 0], across[:, 2, 0]),
        np.degrees(np.sqrt(angle_variance) / gap),
        tilt,
        azimuth,
    )


def _fwhm(
    values: NDArray[Any],
    shapes: NDArray[Any],
    of_precision: NDArray[Any],
    vectors: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return FWHM and standard error for variances along unit vectors (n, 3, k)."""
    fwhm = FWHM_PER_SIGMA * np.sqrt(values)
    variances = [
        _carried(shapes, of_precision, vectors[:, :, k], vectors[:, :, k]) for k in range(values.shape[1])
    ]
    return fwhm, fwhm / (2 * values) * np.sqrt(np.stack(variances, axis=1))


def _carried(
    shapes: NDArray[Any],
    of_precision: NDArray[Any],
    a: NDArray[Any],
    b: NDArray[Any],
) -> NDArray[Any]:
    """Return the variance of a C b that the errors of P cause."""
    left, right = np.einsum("nij,nj->ni", shapes, a), np.einsum("nij,nj->ni", shapes, b)
    slopes = [left[:, i] * right[:, j] + (left[:, j] * right[:, i] if i != j else 0.0) for i, j in _PAIRS]
    gradient = np.stack(slopes, axis=1)
    return np.maximum(np.einsum("ni,nij,nj->n", gradient, of_precision, gradient), 0.0)


def _tilt_deg(vectors: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    nearest = np.argmax(np.abs(vectors[:, 0]), axis=1)
    axis = np.take_along_axis(vectors, nearest[:, None, None], axis=2)[:, :, 0]
    axis = axis * np.where(axis[:, :1] < 0, -1.0, 1.0)
    lean = np.hypot(axis[:, 1], axis[:, 2])
    return np.degrees(np.arctan2(lean, axis[:, 0])), np.degrees(np.arctan2(axis[:, 1], axis[:, 2]))


def _direction_deg(y: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    return (np.degrees(np.arctan2(y, x)) + 90.0) % 180.0 - 90.0
