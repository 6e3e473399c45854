"""What the other programs measure on a bead: line and plane fits, ratio of signal to background, axial asymmetry.

These throw most of the light away and are three to four times less precise than the 3D fit; they are kept because
baselines and limits of years were made with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel
from qc_routines.psf.fitting import IN_PLANE, ON_LINE, fit
from qc_routines.theory import FWHM_PER_SIGMA

Array = NDArray[Any]

GAP_UM, RING_UM = 0.5, 1.0
"""Between bead and annulus, and width of the annulus, as in MetroloJ_QC."""


def line_fwhm_um(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    parameters: NDArray[np.float64],
    half_zyx: NDArray[np.float64],
    noise: NDArray[np.float64],
    voxel_um: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return FWHM (n, 3) and R^2 (n, 3) of 1D Gaussians through the voxel nearest the centre, along z, y and x."""
    fwhm, r_squared = np.full((2, len(parameters), 3), np.nan)
    for axis, name in enumerate("zyx"):
        starts = _on_voxels(parameters, ON_LINE[name])
        half = np.where(np.arange(3) == axis, half_zyx, 0.0)
        fits = fit(stack, is_defect, starts, half, noise, ON_LINE[name])
        fwhm[:, axis] = FWHM_PER_SIGMA / np.sqrt(fits.parameters[:, 5 + axis]) * voxel_um[axis]
        r_squared[:, axis] = fits.quality["r_squared"]
        fwhm[fits.quality["has_converged"] == 0, axis] = np.nan
    return fwhm, r_squared


def plane_fwhm_um(
    stack: NDArray[np.generic],
    is_defect: NDArray[np.bool_],
    parameters: NDArray[np.float64],
    half_zyx: NDArray[np.float64],
    noise: NDArray[np.float64],
    voxel_um: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return major and minor FWHM (n, 2) and angle (n,) of a rotated 2D Gaussian in the plane nearest the centre."""
    starts = _on_voxels(parameters, IN_PLANE)
    half = half_zyx * [0, 1, 1]
    fits = fit(stack, is_defect, starts, half, noise, IN_PLANE)
    p = np.where(fits.quality["has_converged"][:, None] > 0, fits.parameters, np.nan)
    _, sy, sx = voxel_um
    a, b, c = p[:, 6] / sy**2, p[:, 7] / sx**2, p[:, 10] / (sy * sx)
    root = np.sqrt(((a - b) / 2) ** 2 + c**2)
    values = np.column_stack([(a + b) / 2 - root, (a + b) / 2 + root])
    angle = 0.5 * np.degrees(np.arctan2(-2 * c, a - b))
    return FWHM_PER_SIGMA / np.sqrt(values), (angle + 90.0) % 180.0 - 90.0


def _on_voxels(parameters: NDArray[np.float64], is_free: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return starts whose held coordinates lie on voxels and whose held cross terms are nought."""
    starts = np.where(is_free, parameters, 0.0)
    starts[:, 2:5] = np.where(is_free[2:5], parameters[:, 2:5], np.rint(parameters[:, 2:5]))
    starts[:, 5:8] = np.where(is_free[5:8], starts[:, 5:8], 1.0)
    return starts


def axial_asymmetry(
    stack: NDArray[np.generic], parameters: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return for n beads the half width at half maximum above the centre over that below; NaN where one is cut off.

    On the mean of the 3 x 3 columns about the centre, crossings by linear interpolation. 1 for a symmetric PSF;
    spherical aberration moves it, in opposite directions for a collar turned too far either way.
    """
    ratios = np.full(len(parameters), np.nan)
    for i, p in enumerate(parameters):
        y, x = np.rint(p[3:5]).astype(int)
        column = stack[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].astype(np.float64).mean(axis=(1, 2))
        light = (column - noise[0]) * noise[1] - p[0]
        top = int(np.argmax(light[max(0, int(p[2]) - 2) : int(p[2]) + 4])) + max(0, int(p[2]) - 2)
        half = light[top] / 2
        above, below = _crossing(light[top:], half), _crossing(light[top::-1], half)
        if above is not None and below is not None:
            up, down = top + above - p[2], p[2] - top + below
            ratios[i] = up / down if up > 0 and down > 0 else np.nan
    return ratios


def _crossing(falling: NDArray[np.float64], level: float) -> float | None:
    """Return where a profile that starts above a level first falls below it; None when it never does."""
    under = np.flatnonzero(falling < level)
    if under.size == 0 or under[0] == 0:
        return None
    i = int(under[0])
    return i - 1 + (falling[i - 1] - level) / (falling[i - 1] - falling[i])


@kernel
def signal_and_ring(
    stack: Array,
    is_defect: Array,
    centres_zyx: Array,
    radius_um: float,
    inner_um: float,
    outer_um: float,
    pixel_yx_um: Array,
    found: Array,
) -> None:
    """Fill mean counts in the bead and median counts in the annulus about it (n, 2), plane nearest the centre."""
    for bead in range(centres_zyx.shape[0]):
        z = int(np.rint(centres_zyx[bead, 0]))
        cy, cx = centres_zyx[bead, 1], centres_zyx[bead, 2]
        reach_y, reach_x = outer_um / pixel_yx_um[0], outer_um / pixel_yx_um[1]
        rows = range(max(0, int(cy - reach_y)), min(stack.shape[1], int(cy + reach_y) + 2))
        columns = range(max(0, int(cx - reach_x)), min(stack.shape[2], int(cx + reach_x) + 2))
        ring = np.empty(max(1, len(rows) * len(columns)))
        n_ring, n_inside, inside = 0, 0, 0.0
        for y in rows:
            for x in columns:
                value = float(stack[z, y, x])
                if is_defect[y, x] or not np.isfinite(value):
                    continue
                distance = np.hypot((y - cy) * pixel_yx_um[0], (x - cx) * pixel_yx_um[1])
                if distance <= radius_um:
                    inside += value
                    n_inside += 1
                elif inner_um <= distance <= outer_um:
                    ring[n_ring] = value
                    n_ring += 1
        found[bead, 0] = inside / n_inside if n_inside > 0 else np.nan
        found[bead, 1] = np.median(ring[:n_ring]) if n_ring > 0 else np.nan
