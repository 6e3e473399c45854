"""What is known of a stack's noise: from the camera's calibration, else from the beads themselves.

A noise model is a row of four: offset (ADU), conversion (e-/ADU), read noise variance (e-^2), misfit. A voxel of mean
count m has variance (m - offset)/conversion + variance/conversion^2, ADU^2: a straight line a + b m. Where the camera is
unknown, a and b are fitted to the squared residuals of some beads; then offset 0, conversion 1/b and variance a/b^2
stand for that line, and nothing else.

The misfit is what a Gaussian leaves of a real PSF, root mean square over the voxels of the fit, as a share of the
amplitude. It is no noise, but the weights must know it: under those of the noise alone the rings and tails of a bright
bead, where there is hardly any noise, rule the fit, and the width says more of the camera than of the lens. With it a
bright bead of a real PSF is weighted evenly; of a true Gaussian the misfit is nought and the weights are those of the
noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qc_routines.conditions import Camera
from qc_routines.psf._beads import noise_bins
from qc_routines.psf.fitting import Fits

N_LEVELS = 24
MOST_EXCESS = 2.0
LEAST_SLOPE = 1e-3
"""Smallest share of the variance at a bead's peak that is taken to be shot noise; keeps 1/b finite."""


def of_camera(camera: Camera) -> NDArray[np.float64]:
    """Return the noise model of a calibrated camera."""
    return np.array([camera.offset_adu, camera.conversion_e_per_adu, camera.read_noise_e**2, 0.0])


def of_line(a_adu2: float, b_adu: float) -> NDArray[np.float64]:
    """Return the noise model of a line of variance against mean count."""
    return np.array([0.0, 1 / b_adu, a_adu2 / b_adu**2, 0.0])


def guessed(stack: NDArray[np.generic], background_adu: float, amplitude_adu: float) -> NDArray[np.float64]:
    """Return a noise model that is good enough to start with: measured at the background, fourfold at the peak.

    The measured part is the median difference of neighbouring pixels of one row in the middle plane's neighbourhood,
    which beads hardly touch.
    """
    some = stack[:: max(1, stack.shape[0] // 8), :: max(1, stack.shape[1] // 64)]
    steps = np.abs(np.diff(some.astype(np.float64), axis=2))
    steps = steps[np.isfinite(steps)]
    noise_adu = float(np.median(steps)) / 0.954 if steps.size else 0.0
    noise_adu = max(noise_adu, 1e-4 * amplitude_adu)
    slope = 3 * noise_adu**2 / amplitude_adu
    return of_line(noise_adu**2 - slope * background_adu, slope)


def from_beads(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    parameters: NDArray[np.float64],
    half_zyx: NDArray[np.float64],
    model: NDArray[np.float64],
    guess: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the noise model that the residuals of fitted beads show; the guess where they show none.

    `parameters` (n, 11) are finite fits made under `model`. Squared residuals are averaged by level of the model
    and a line is fitted to them, weighted with the inverse of their own variance 2 v^2/n. It goes through the darkest
    level, which most voxels are at: where a PSF is no Gaussian the others also hold what the model leaves. Where even
    that level has more than `MOST_EXCESS` times the variance of the background by the guess, the residuals are those
    of the model and show no noise at all.
    """
    offset_adu, e_per_adu = model[:2]
    lowest, highest = parameters[:, 0].min(), (parameters[:, 0] + parameters[:, 1]).max()
    edges = lowest + (highest - lowest) * np.linspace(0, 1, N_LEVELS + 1)[1:] ** 2
    sums = np.zeros((3, N_LEVELS))
    noise_bins(stack, is_defect, parameters, half_zyx, model, edges, *sums)
    counts, models, squares = sums[:, sums[0] >= 30]
    if counts.size < 3 or not squares.min() > 0:
        return guess
    mean_adu = models / counts / e_per_adu + offset_adu
    variance_adu2 = squares / counts / e_per_adu**2
    guessed_adu2 = (mean_adu[0] - guess[0]) / guess[1] + guess[2] / guess[1] ** 2
    if variance_adu2[0] > MOST_EXCESS * guessed_adu2:
        return guess
    weight = counts / 2 / variance_adu2**2
    rise, run = variance_adu2 - variance_adu2[0], mean_adu - mean_adu[0]
    slope = (weight * rise * run).sum() / (weight * run**2).sum()
    slope = max(float(slope), LEAST_SLOPE * variance_adu2[0] / float(run[-1]))
    return of_line(variance_adu2[0] - slope * mean_adu[0], slope)


def misfit(fits: Fits, model: NDArray[np.float64], *, is_known: bool) -> float:
    """Return what the Gaussian leaves of these beads: typical r.m.s. residual less noise, as a share of the amplitude.

    Of an unknown camera, whose noise model was fitted to these very residuals, only the noise of the background is
    taken off: what shot noise then passes for misfit is spread over so many voxels that it costs a Gaussian bead 2 %
    of its precision.
    """
    p, quality = fits.parameters, fits.quality
    noise_e2 = quality["noise_e2"]
    if not is_known:
        noise_e2 = np.minimum(noise_e2, quality["n_voxels"] * np.maximum(p[:, 0] + model[2], 0.0))
    left = (quality["residual_e2"] - noise_e2) / np.maximum(quality["n_voxels"], 1) / p[:, 1] ** 2
    return float(np.sqrt(max(np.median(left), 0.0)))
