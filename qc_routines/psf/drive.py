"""What the focus drive adds to the uncertainty of an axial width.

A drive that misses each plane by a little moves that plane of all beads alike: their scatter does not show it, and more
beads do not help; finer steps do.
"""

from __future__ import annotations

import numpy as np

from qc_routines.theory import FWHM_PER_SIGMA

REACH_SIGMA = 4.0
N_PHASES = 8


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
