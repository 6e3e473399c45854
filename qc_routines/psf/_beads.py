"""Kernels that go through beads: a first look at each, and the fits. Each bead is on its own; none fails the others.

Frame and parameters as in `_gaussian`. Distances between beads are in units of the ellipsoid that is fitted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel
from qc_routines.psf._gaussian import climb, gather, goodness, model_e

Array = NDArray[Any]

LOOK_COLUMNS = ("background_adu", "amplitude_adu", "z", "y", "x", "n_saturated", "peak_adu", "sharpness")
FIT_COLUMNS = ("n_voxels", "chi2", "residual_e2", "total_e2", "noise_e2", "has_converged", "chi2_weighted")


@kernel
def first_looks(
    stack: Array, is_defect: Array, centres_zyx: Array, half_zyx: Array, full_scale_adu: float, looks: Array
) -> None:
    """Fill `looks` (n, 8), columns as in LOOK_COLUMNS, from the voxels about each centre.

    Background: mean of the dimmer half of the ellipsoid's outer shell. Centre: of the light above half the peak,
    within half the ellipsoid. Saturated voxels are counted there. Sharpness: share of its amplitude that the
    brightest voxel has over the mean of the six beside it; of light that came through a lens it is small.
    """
    for bead in range(centres_zyx.shape[0]):
        values, places = gather(stack, is_defect, centres_zyx[bead], half_zyx, centres_zyx[:0], 0.0, 0.0, 1.0)
        radius2 = np.empty(values.size)
        for i in range(values.size):
            radius2[i] = 0.0
            for axis in range(3):
                step = (places[i, axis] - centres_zyx[bead, axis]) / max(half_zyx[axis], 0.5)
                radius2[i] += step * step
        looks[bead, :] = np.nan
        shell = np.sort(values[radius2 > 0.64])
        is_core = radius2 < 0.25
        core, inside = values[is_core], places[is_core]
        if core.size == 0 or shell.size == 0:
            continue
        background = shell[: max(1, shell.size // 2)].mean()
        peak = np.argmax(core)
        looks[bead, 0], looks[bead, 6] = background, core[peak]
        looks[bead, 1] = core[peak] - background
        looks[bead, 5] = np.sum(core >= full_scale_adu)
        looks[bead, 7] = _sharpness(stack, is_defect, inside[peak], background)
        _light_centre(core, inside, background, looks[bead, 2:5])


@kernel
def _light_centre(values: Array, places: Array, background: float, centre_zyx: Array) -> None:
    """Fill the centre of the light above half the peak."""
    half = 0.5 * (values.max() - background)
    weight = 0.0
    centre_zyx[:] = 0.0
    for i in range(values.size):
        light = values[i] - background - half
        if light >= 0.0:
            light += 1e-9
            weight += light
            for axis in range(3):
                centre_zyx[axis] += light * places[i, axis]
    centre_zyx /= weight


@kernel
def _sharpness(stack: Array, is_defect: Array, place: Array, background: float) -> float:
    z, y, x = int(place[0]), int(place[1]), int(place[2])
    total, n = 0.0, 0
    for dz, dy, dx in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)):
        zz, yy, xx = z + dz, y + dy, x + dx
        if 0 <= zz < stack.shape[0] and 0 <= yy < stack.shape[1] and 0 <= xx < stack.shape[2]:
            value = float(stack[zz, yy, xx])
            if not is_defect[yy, xx] and np.isfinite(value):
                total += value
                n += 1
    height = float(stack[z, y, x]) - background
    return 1.0 - (total / n - background) / height if n > 0 and height > 0.0 else 0.0


@kernel
def fit_beads(
    stack: Array,
    is_defect: Array,
    starts: Array,
    is_free: Array,
    half_zyx: Array,
    others_zyx: Array,
    other_radius: float,
    camera: Array,
    fits: Array,
    information: Array,
    quality: Array,
) -> None:
    """Fit one Gaussian to each bead.

    Parameters
    ----------
    starts : (n, 11) float64
        First guess, electrons and voxels. The voxels are those about its centre.
    is_free : (11,) bool
        Parameters that are fitted.
    others_zyx : (m, 3) float64
        Everything bright, the beads themselves included: voxels within `other_radius` of another are left out.
    camera : (4,) float64
        Offset (ADU), conversion (e-/ADU), read noise variance (e-^2), misfit as a share of the amplitude.
    fits, information, quality : (n, 11), (n, 11, 11), (n, 7) float64
        Filled: parameters, Fisher information, and columns as in FIT_COLUMNS.
    """
    n_free = np.sum(is_free)
    for bead in range(starts.shape[0]):
        centre = starts[bead, 2:5].copy()
        near = _near(others_zyx, centre, half_zyx, other_radius)
        electrons, indices = gather(
            stack, is_defect, centre, half_zyx, near, other_radius, camera[0], camera[1]
        )
        quality[bead, :] = 0.0
        quality[bead, 0] = electrons.size
        fits[bead] = np.nan
        if electrons.size <= n_free:
            continue
        variance_e2 = camera[2] + (camera[3] * starts[bead, 1]) ** 2
        fits[bead], information[bead], has_converged = climb(
            starts[bead], is_free, electrons, indices, variance_e2
        )
        quality[bead, 1:5] = goodness(fits[bead], electrons, indices, camera[2])
        quality[bead, 5] = has_converged
        quality[bead, 6] = goodness(fits[bead], electrons, indices, variance_e2)[0]


@kernel
def _near(others_zyx: Array, centre: Array, half_zyx: Array, other_radius: float) -> Array:
    """Return those of the others whose ellipsoid reaches the one about the centre; the bead itself is no other."""
    near = np.empty_like(others_zyx)
    n = 0
    for k in range(others_zyx.shape[0]):
        distance2 = 0.0
        for axis in range(3):
            distance2 += ((others_zyx[k, axis] - centre[axis]) / max(half_zyx[axis], 0.5)) ** 2
        if 0.1 < distance2 < (1.0 + other_radius) ** 2:
            near[n] = others_zyx[k]
            n += 1
    return near[:n]


@kernel
def noise_bins(
    stack: Array,
    is_defect: Array,
    fits: Array,
    half_zyx: Array,
    camera: Array,
    edges_e: Array,
    counts: Array,
    models_e: Array,
    squares_e2: Array,
) -> None:
    """Add up, by level of the model, how many voxels there are, their model and their squared residuals."""
    for bead in range(fits.shape[0]):
        electrons, indices = gather(
            stack, is_defect, fits[bead, 2:5], half_zyx, fits[:0, 2:5], 0.0, camera[0], camera[1]
        )
        for i in range(electrons.size):
            mean = model_e(fits[bead], indices[i, 0], indices[i, 1], indices[i, 2])
            level = min(np.searchsorted(edges_e, mean), counts.size - 1)
            counts[level] += 1.0
            models_e[level] += mean
            squares_e2[level] += (electrons[i] - mean) ** 2


@kernel
def spread_out(
    stack: Array,
    is_defect: Array,
    fits: Array,
    half_zyx: Array,
    others_zyx: Array,
    other_radius: float,
    camera: Array,
    fine: float,
    totals: Array,
    squares: Array,
    counts: Array,
) -> None:
    """Add every bead, its centre moved to the middle of the fine grid, in units of its amplitude.

    A voxel at r lands at (r - c) x `fine` from the middle: what lies above the centre stays above it. No value is
    interpolated; each goes to the nearest point of the grid, which is `fine` times finer than the voxels.
    """
    middle_z, middle_y, middle_x = totals.shape[0] // 2, totals.shape[1] // 2, totals.shape[2] // 2
    for bead in range(fits.shape[0]):
        near = _near(others_zyx, fits[bead, 2:5], half_zyx, other_radius)
        values, indices = gather(
            stack, is_defect, fits[bead, 2:5], half_zyx, near, other_radius, camera[0], camera[1]
        )
        for i in range(values.size):
            z = middle_z + int(np.rint((indices[i, 0] - fits[bead, 2]) * fine))
            y = middle_y + int(np.rint((indices[i, 1] - fits[bead, 3]) * fine))
            x = middle_x + int(np.rint((indices[i, 2] - fits[bead, 4]) * fine))
            value = (values[i] - fits[bead, 0]) / fits[bead, 1]
            if 0 <= z < totals.shape[0] and 0 <= y < totals.shape[1] and 0 <= x < totals.shape[2]:
                totals[z, y, x] += value
                squares[z, y, x] += value * value
                counts[z, y, x] += 1.0
