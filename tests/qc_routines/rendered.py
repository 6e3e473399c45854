"""The PSF that the simulation draws, measured independently: no noise, no drive, no neighbours, SciPy instead of ours."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from drivers.simulated import SimulatedMicroscope
from drivers.simulated.rendering import place_objects
from drivers.simulated.scene import stack_for
from drivers.simulated.slides import SLIDES

N = 25
FWHM_PER_SIGMA = 2.354820045
REACH_FWHM = 2.0


def bead(scope: SimulatedMicroscope, slide: str, defocus_um: np.ndarray, middle_px: float) -> np.ndarray:
    """Return one bead at these heights, float64, shape (planes, N, N)."""
    stack, at = stack_for(scope.view(), SLIDES[slide]), np.array([middle_px])
    planes = np.zeros((len(defocus_um), N, N), np.float32)
    for plane, height in zip(planes, defocus_um, strict=True):
        place_objects(plane, stack, at, at, np.array([height]), np.ones(1))
    return planes.astype(np.float64)


def gaussian_fwhm_um(scope: SimulatedMicroscope, slide: str) -> np.ndarray:
    """Return FWHM z, y, x of the 3D Gaussian nearest to the bead, all voxels alike, within twice its own FWHM."""
    fwhm_z, fwhm_x = half_maximum_fwhm_um(scope, slide)
    heights = fwhm_z / 10 * np.arange(-40, 41)
    drawn, middle = bead(scope, slide, heights, 12.3), 12.3
    across = scope.truth.pixel_size_um(scope.objective) * (np.arange(N) - middle)
    z, y, x = np.meshgrid(heights, across, across, indexing="ij")
    fwhm = np.array([fwhm_z, fwhm_x, fwhm_x])
    for _ in range(6):
        inside = (z / fwhm[0]) ** 2 + (y / fwhm[1]) ** 2 + (x / fwhm[2]) ** 2 < REACH_FWHM**2
        places, light = np.stack([z[inside], y[inside], x[inside]]), drawn[inside] / drawn.max()

        def misfit(p: np.ndarray, places: np.ndarray = places, light: np.ndarray = light) -> np.ndarray:
            return p[0] + p[1] * np.exp(-((places / p[2:, None]) ** 2).sum(axis=0) / 2) - light

        fwhm = FWHM_PER_SIGMA * np.abs(least_squares(misfit, [0, 1, *(fwhm / FWHM_PER_SIGMA)]).x[2:])
    return fwhm


def half_maximum_fwhm_um(scope: SimulatedMicroscope, slide: str) -> tuple[float, float]:
    """Return the full widths at half maximum of the bead's axial and diagonal lateral profiles."""
    heights, shifts = np.arange(-2, 2, 0.005), np.arange(-4, 4, 0.02)
    axial = bead(scope, slide, heights, 12.0)[:, 12, 12]
    lateral = np.array([bead(scope, slide, np.zeros(1), 12.0 + shift)[0, 12, 12] for shift in shifts])
    diagonal_um = shifts * 2**0.5 * scope.truth.pixel_size_um(scope.objective)
    return _full_width(heights, axial), _full_width(diagonal_um, lateral)


def _full_width(places: np.ndarray, profile: np.ndarray) -> float:
    top, half = int(np.argmax(profile)), profile.max() / 2
    low = np.interp(half, profile[: top + 1], places[: top + 1])
    return float(np.interp(-half, -profile[top:], places[top:]) - low)
