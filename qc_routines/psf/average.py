"""The mean of all beads, their centres brought together to a fraction of a voxel.

Every voxel of every bead is put where it lies relative to its bead's fitted centre, on a grid finer than the voxels,
and the values at one point of the grid are averaged: nothing is interpolated, so nothing is blurred but by half a
step of the fine grid, whose variance is known and taken off the widths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qc_routines.psf._beads import spread_out
from qc_routines.psf.beads import FIT_REACH_FWHM, KEPT_OUT_SHARE, Beads
from qc_routines.psf.fitting import fit, in_um, widths_um
from qc_routines.theory import FWHM_PER_SIGMA, pixel_corrected_fwhm_um

FINE = 2
"""Points of the average for each voxel, along each axis."""


@dataclass(frozen=True, slots=True)
class AveragePsf:
    """Mean and spread of all beads, background taken off, amplitude 1, centre in the middle of the array.

    Attributes
    ----------
    mean, sd : ndarray, shape (z, y, x), float32
        Mean and standard deviation over voxels at that place; NaN where no voxel came to lie.
    step_um : tuple of float
        Between points of the grid, z, y, x.
    fwhm_zyx_um : ndarray, shape (3,)
        Of the 3D Gaussian fitted to the mean, the grid's step taken off.
    residual_rms : float
        Of the mean about that Gaussian, share of the amplitude: how far the PSF is from a Gaussian.
    """

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    step_um: tuple[float, float, float]
    fwhm_zyx_um: NDArray[np.float64]
    residual_rms: float


def average_psf(
    stack: NDArray[np.generic], beads: Beads, voxel_zyx_um: tuple[float, float, float]
) -> AveragePsf | None:
    """Return the average of the beads of a stack (z, y, x); None when there are none."""
    if not beads.is_bead.any():
        return None
    totals, squares, counts = _sums(stack, beads)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = totals / counts
        variance = np.maximum(squares / counts - mean**2, 0) * counts / (counts - 1)
    steps_um = np.array(voxel_zyx_um) / FINE
    fwhm_um, residual_rms = _fit_of(mean, beads.fwhm_zyx * FINE, steps_um)
    return AveragePsf(
        mean=mean.astype(np.float32),
        sd=np.sqrt(variance).astype(np.float32),
        step_um=(float(steps_um[0]), float(steps_um[1]), float(steps_um[2])),
        fwhm_zyx_um=fwhm_um,
        residual_rms=residual_rms,
    )


def _sums(stack: NDArray[np.generic], beads: Beads) -> NDArray[np.float64]:
    """Return sums, sums of squares and counts (3, z, y, x) on the fine grid."""
    reach = np.ceil(beads.half_zyx).astype(int) * FINE
    sums = np.zeros((3, *(2 * reach + 1)))
    spread_out(
        stack, beads.is_defect, beads.fits.parameters, beads.half_zyx, beads.others_zyx, KEPT_OUT_SHARE,
        beads.noise, float(FINE), *sums,
    )  # fmt: skip
    return sums


def _fit_of(
    mean: NDArray[np.float64], fwhm_steps: NDArray[np.float64], steps_um: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    start = np.zeros((1, 11))
    start[0, 1], start[0, 2:5], start[0, 5:8] = (
        1.0,
        np.array(mean.shape) // 2,
        (FWHM_PER_SIGMA / fwhm_steps) ** 2,
    )
    even = np.array([0.0, 1.0, 100.0])  # a variance far above every value weights all places alike
    nothing = np.zeros(mean.shape[1:], bool)
    fits = fit(mean, nothing, start, FIT_REACH_FWHM * fwhm_steps, even)
    if not np.isfinite(fits.parameters).all():
        return np.full(3, np.nan), float("nan")
    sampled_um = widths_um(*in_um(fits, steps_um)).fwhm_zyx_um[0]
    corrected = [
        pixel_corrected_fwhm_um(width, step) for width, step in zip(sampled_um, steps_um, strict=True)
    ]
    rms = np.sqrt(fits.quality["residual_e2"][0] / fits.quality["n_voxels"][0])
    return np.array(corrected), float(rms / fits.parameters[0, 1])
