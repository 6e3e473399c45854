"""How the shift between two channels changes over the field: at its centre, magnification, rotation, axial tilt.

Frame: um, y down and x to the right from the field's centre. Rotation is counted from +x towards +y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines.few import widened

LEAST_BEADS = 4


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Map from one channel to another.

    Attributes
    ----------
    shift_zyx_um, shift_error_zyx_um : ndarray, shape (3,)
        At the field's centre, wherever the beads lie, with standard errors.
    scale, scale_error : float
        Magnification of the second channel over that of the first.
    rotation_deg, rotation_error_deg : float
        Of the second against the first.
    axial_tilt_deg : float
        Between the focal planes of the two.
    residual_um : float
        Root mean square distance in the image plane that the map leaves.
    """

    shift_zyx_um: NDArray[np.float64]
    shift_error_zyx_um: NDArray[np.float64]
    scale: float
    scale_error: float
    rotation_deg: float
    rotation_error_deg: float
    axial_tilt_deg: float
    residual_um: float


def field_map(place_yx_um: NDArray[np.float64], shift_zyx_um: NDArray[np.float64]) -> FieldMap | None:
    """Return the map of n beads from their places (n, 2) and shifts (n, 3), um; None of fewer than four.

    In the plane the similarity y' = y + ty + a y + b x, x' = x + tx + a x - b y with a = s cos t - 1, b = s sin t, which is
    linear in its four terms; along z a plane. Both by least squares; standard errors from the residuals, of few
    beads widened by Student's t.
    """
    n = len(place_yx_um)
    if n < LEAST_BEADS:
        return None
    y, x = place_yx_um.T
    none, one = np.zeros(n), np.ones(n)
    design = np.vstack([np.column_stack([one, none, y, x]), np.column_stack([none, one, x, -y])])
    (ty, tx, a, b), errors, residual = _least_squares(design, shift_zyx_um[:, 1:].T.ravel())
    (tz, along_y, along_x), z_errors, _ = _least_squares(np.column_stack([one, y, x]), shift_zyx_um[:, 0])
    scale = float(np.hypot(1 + a, b))
    return FieldMap(
        shift_zyx_um=np.array([tz, ty, tx]),
        shift_error_zyx_um=np.array([z_errors[0], errors[0], errors[1]]),
        scale=scale,
        scale_error=float(errors[2]),
        rotation_deg=float(np.degrees(np.arctan2(b, 1 + a))),
        rotation_error_deg=float(np.degrees(errors[3] / scale)),
        axial_tilt_deg=float(np.degrees(np.arctan(np.hypot(along_y, along_x)))),
        residual_um=float(np.sqrt((residual**2).sum() / n)),
    )


def _least_squares(
    design: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return terms, their standard errors and the residuals."""
    terms, *_ = np.linalg.lstsq(design, values, rcond=None)
    residual = values - design @ terms
    degrees = max(len(values) - len(terms), 1)
    covariance = (residual**2).sum() / degrees * np.linalg.pinv(design.T @ design)
    return terms, widened(1.0, degrees) * np.sqrt(np.diag(covariance)), residual
