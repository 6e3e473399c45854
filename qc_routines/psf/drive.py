"""What the focus drive adds to the uncertainty of an axial width.

A drive that misses each plane by a little moves that plane of all beads alike: their scatter does not show it, and more
beads do not help; finer steps do. Their residuals do show it: they are alike, plane by plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines.bell_curve import fit_bell
from qc_routines.theory import FWHM_PER_SIGMA

REACH_SIGMA = 4.0
N_PHASES = 8
MOST_BEADS = 64
"""Brightest beads that are asked; what they share, more do not tell better."""
CHANCE_SIGMAS = 3.0
"""What the beads share must be so far above what noise makes them share by chance, to count at all."""


def drive_uncertainty_um(fwhm_um: float, step_um: float, repeatability_um: float) -> float:
    """Return the standard uncertainty of an axial FWHM from the drive's repeatability.

    Parameters
    ----------
    fwhm_um, step_um : float
        Axial FWHM, and distance between the planes.
    repeatability_um : float
        Standard deviation of where a plane really is.

    Notes
    -----
    Least squares of a Gaussian's amplitude, centre and width to planes at z_i + e_i: the error of the count is g'(z_i)
    e_i, carried over to first order. Root mean square over where the planes fall on the bead.

    Examples
    --------
    Two planes within the width, and eight:

    >>> [round(drive_uncertainty_um(0.5, step, 0.02), 4) for step in (0.25, 0.0625)]
    [0.0215, 0.0107]
    """
    sigma_um = fwhm_um / FWHM_PER_SIGMA
    return (
        FWHM_PER_SIGMA
        * repeatability_um
        * float(
            np.sqrt(np.mean([_width_variance(step_um / sigma_um, k / N_PHASES) for k in range(N_PHASES)]))
        )
    )


def _width_variance(step: float, phase: float) -> float:
    """Return the variance of the fitted sigma for errors of unit variance; lengths in sigma."""
    n = int(np.ceil(REACH_SIGMA / step)) + 1
    u = step * (np.arange(-n, n + 1) + phase)
    bell = np.exp(-(u**2) / 2)
    slopes = np.stack([bell, bell * u, bell * u**2], axis=1)
    carried = np.linalg.pinv(slopes) * (bell * u)
    return float((carried[2] ** 2).sum())


def shared_width_uncertainty(
    stack: NDArray[np.generic], centre_zyx: NDArray[np.float64], half_z: float
) -> float:
    """Return the relative standard uncertainty of axial widths that all beads share, from what their residuals share.

    Parameters
    ----------
    stack : ndarray, shape (z, y, x)
        Counts.
    centre_zyx : ndarray, shape (n, 3)
        Of the beads, voxels, brightest first.
    half_z : float
        How far from the centre a bead is looked at, planes.

    Notes
    -----
    Influences of each plane on the width of a Gaussian through each bead's axis are added over the beads before they
    are squared (see `BellCurve.influence`); what noise alone gives, added after, is taken off. Where the PSF is no
    Gaussian, what that leaves is alike for all beads too, and the uncertainty is rather too large than too small.
    """
    influences = [_influence(stack, centre, half_z) for centre in centre_zyx[:MOST_BEADS]]
    each = np.array([influence for influence in influences if influence is not None])
    if len(each) < 2:
        return 0.0
    together, apart = np.sum(each.mean(axis=0) ** 2), np.sum(each**2) / len(each) ** 2
    n_planes = np.count_nonzero(each.any(axis=0))
    if together < (1 + CHANCE_SIGMAS * np.sqrt(2 / n_planes)) * apart:
        return 0.0
    return float(np.sqrt((together - apart) / (1 - 1 / len(each))))


def _influence(stack: NDArray[np.generic], centre: NDArray[Any], half_z: float) -> NDArray[np.float64] | None:
    """Return by what part of it each plane's own error moves a bead's axial width; None where no bell fits."""
    z, y, x = centre
    row, column = round(float(y)), round(float(x))
    planes = np.arange(max(0, int(np.ceil(z - half_z))), min(len(stack), int(z + half_z) + 1))
    light = stack[planes, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].astype(np.float64)
    means = light.mean(axis=(1, 2))
    bell = fit_bell(planes.astype(float), means) if np.isfinite(means).all() else None
    if bell is None:
        return None
    influence = np.zeros(len(stack))
    influence[planes] = bell.influence[:, 1] / bell.sigma
    return influence
