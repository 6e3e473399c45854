"""Maximum-likelihood fit of one 3D Gaussian with full covariance to camera counts.

Frame: voxel indices, axes z, y, x; the centre of voxel (0, 0, 0) is the origin. The model is

    m(r) = b + A exp(-q/2),  q = (r - c)^T P (r - c)

with b background and A amplitude in electrons, c the centre and P the inverse of the covariance. Its eleven
parameters stand in one row: b, A, cz, cy, cx, Pzz, Pyy, Pxx, Pzy, Pzx, Pyx. A 2D or 1D Gaussian is the same model on
one plane or one line of voxels with the other parameters held.

Noise: Poisson of m electrons plus read noise of variance v. A Poisson variable of mean m + v has the same mean and
variance once v is added to the counts (Huang et al. 2013, doi:10.1038/nmeth.2488, Online Methods), so the merit
is the Poisson deviance of d + v given m + v. Its minimum is unbiased and reaches the Cramer-Rao bound; weights from
the counts themselves would not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_routines._jit import kernel

Array = NDArray[Any]

N_PARAMETERS = 11
LEAST_VARIANCE_E2 = 0.25
"""Floor of the variance in weights: a voxel of no light at all may not outweigh all others."""

MOST_STEPS = 60
CONVERGED = 1e-7
"""Change of the deviance, relative to it, below which the fit has arrived; far below one noise unit."""


@kernel
def gather(
    stack: Array,
    is_defect: Array,
    centre_zyx: Array,
    half_zyx: Array,
    neighbours_zyx: Array,
    neighbour_radius: float,
    offset_adu: float,
    e_per_adu: float,
) -> tuple[Array, Array]:
    """Return the electrons (n,) and indices (n, 3) of an ellipsoid of voxels, float64.

    Left out: what is outside the stack, in the ellipsoid of `neighbour_radius` x half axes about a neighbour, on a
    defect pixel, or not finite.
    """
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        low[axis] = max(0, int(np.ceil(centre_zyx[axis] - half_zyx[axis])))
        high[axis] = min(stack.shape[axis] - 1, int(np.floor(centre_zyx[axis] + half_zyx[axis])))
    size = 1
    for axis in range(3):
        size *= max(0, high[axis] - low[axis] + 1)
    electrons, indices = np.empty(size), np.empty((size, 3))
    n = 0
    for z in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            for x in range(low[2], high[2] + 1):
                if is_defect[y, x] or _distance2(z, y, x, centre_zyx, half_zyx) > 1.0:
                    continue
                is_free = True
                for k in range(neighbours_zyx.shape[0]):
                    if _distance2(z, y, x, neighbours_zyx[k], half_zyx) < neighbour_radius**2:
                        is_free = False
                        break
                value = float(stack[z, y, x])
                if is_free and np.isfinite(value):
                    electrons[n] = (value - offset_adu) * e_per_adu
                    indices[n, 0], indices[n, 1], indices[n, 2] = z, y, x
                    n += 1
    return electrons[:n], indices[:n]


@kernel
def _distance2(z: float, y: float, x: float, centre_zyx: Array, half_zyx: Array) -> float:
    """Return the squared distance from a centre in units of the half axes; an axis of no extent counts nothing."""
    dz = (z - centre_zyx[0]) / max(half_zyx[0], 0.5)
    dy = (y - centre_zyx[1]) / max(half_zyx[1], 0.5)
    dx = (x - centre_zyx[2]) / max(half_zyx[2], 0.5)
    return dz * dz + dy * dy + dx * dx


@kernel
def model_e(parameters: Array, z: float, y: float, x: float) -> float:
    """Return the model at one place, electrons."""
    p = parameters
    dz, dy, dx = z - p[2], y - p[3], x - p[4]
    q = p[5] * dz * dz + p[6] * dy * dy + p[7] * dx * dx
    q += 2.0 * (p[8] * dz * dy + p[9] * dz * dx + p[10] * dy * dx)
    return p[0] + p[1] * np.exp(-0.5 * q)


@kernel
def deviance(parameters: Array, electrons: Array, indices: Array, variance_e2: float) -> float:
    """Return the Poisson deviance of the voxels, both sides raised by the read noise variance."""
    total = 0.0
    for i in range(electrons.size):
        mean = model_e(parameters, indices[i, 0], indices[i, 1], indices[i, 2]) + variance_e2
        mean = max(mean, LEAST_VARIANCE_E2)
        count = electrons[i] + variance_e2
        total += mean - count
        if count > 0.0:
            total -= count * np.log(mean / count)
    return 2.0 * total


@kernel
def normal_equations(
    parameters: Array, electrons: Array, indices: Array, variance_e2: float, matrix: Array, gradient: Array
) -> None:
    """Fill the Fisher information (11, 11) and the score (11,) at the parameters."""
    p = parameters
    slope = np.empty(N_PARAMETERS)
    matrix[:] = 0.0
    gradient[:] = 0.0
    slope[0] = 1.0
    for i in range(electrons.size):
        dz, dy, dx = indices[i, 0] - p[2], indices[i, 1] - p[3], indices[i, 2] - p[4]
        gz = p[5] * dz + p[8] * dy + p[9] * dx
        gy = p[8] * dz + p[6] * dy + p[10] * dx
        gx = p[9] * dz + p[10] * dy + p[7] * dx
        bell = np.exp(-0.5 * (gz * dz + gy * dy + gx * dx))
        light = p[1] * bell
        slope[1] = bell
        slope[2], slope[3], slope[4] = light * gz, light * gy, light * gx
        half = -0.5 * light
        slope[5], slope[6], slope[7] = half * dz * dz, half * dy * dy, half * dx * dx
        slope[8], slope[9], slope[10] = -light * dz * dy, -light * dz * dx, -light * dy * dx
        mean = p[0] + light
        weight = 1.0 / max(mean + variance_e2, LEAST_VARIANCE_E2)
        pull = weight * (electrons[i] - mean)
        for j in range(N_PARAMETERS):
            gradient[j] += pull * slope[j]
            weighted = weight * slope[j]
            for k in range(j + 1):
                matrix[j, k] += weighted * slope[k]
    for j in range(N_PARAMETERS):
        for k in range(j):
            matrix[k, j] = matrix[j, k]


@kernel
def hold(matrix: Array, gradient: Array, is_free: Array) -> None:
    """Take the held parameters out of the normal equations: they get no step and no correlation."""
    for j in range(N_PARAMETERS):
        if is_free[j]:
            continue
        for k in range(N_PARAMETERS):
            matrix[j, k] = 0.0
            matrix[k, j] = 0.0
        matrix[j, j] = 1.0
        gradient[j] = 0.0


@kernel
def is_bell(p: Array) -> bool:
    """Tell whether amplitude and all principal minors are positive: a bump, not a hole, a ridge or a saddle."""
    minor = p[5] * p[6] - p[8] * p[8]
    determinant = p[5] * (p[6] * p[7] - p[10] * p[10])
    determinant += -p[8] * (p[8] * p[7] - p[10] * p[9]) + p[9] * (p[8] * p[10] - p[6] * p[9])
    return p[1] > 0.0 and p[5] > 0.0 and minor > 0.0 and determinant > 0.0


@kernel
def solve_positive(matrix: Array, right: Array) -> Array:
    """Solve a symmetric positive system by Cholesky; the first element is NaN when it is not positive."""
    n = right.size
    lower = np.zeros((n, n))
    solution = np.empty(n)
    for j in range(n):
        for k in range(j + 1):
            total = matrix[j, k]
            for i in range(k):
                total -= lower[j, i] * lower[k, i]
            if j == k:
                if not total > 0.0:
                    solution[:] = np.nan
                    return solution
                lower[j, j] = np.sqrt(total)
            else:
                lower[j, k] = total / lower[k, k]
    for j in range(n):
        total = right[j]
        for k in range(j):
            total -= lower[j, k] * solution[k]
        solution[j] = total / lower[j, j]
    for j in range(n - 1, -1, -1):
        total = solution[j]
        for k in range(j + 1, n):
            total -= lower[k, j] * solution[k]
        solution[j] = total / lower[j, j]
    return solution


@kernel
def climb(
    start: Array, is_free: Array, electrons: Array, indices: Array, variance_e2: float
) -> tuple[Array, Array, bool]:
    """Return parameters, Fisher information and whether the fit converged: Levenberg-Marquardt on the deviance."""
    parameters = start.copy()
    matrix, gradient = np.empty((N_PARAMETERS, N_PARAMETERS)), np.empty(N_PARAMETERS)
    merit = deviance(parameters, electrons, indices, variance_e2)
    damping, has_converged, is_fresh = 1e-3, False, False
    for _ in range(MOST_STEPS):
        if not is_fresh:
            normal_equations(parameters, electrons, indices, variance_e2, matrix, gradient)
            hold(matrix, gradient, is_free)
            is_fresh = True
        damped = matrix.copy()
        for j in range(N_PARAMETERS):
            damped[j, j] *= 1.0 + damping
        trial = parameters + solve_positive(damped, gradient)
        trial_merit = np.inf
        if is_bell(trial):
            trial_merit = deviance(trial, electrons, indices, variance_e2)
        change = abs(trial_merit - merit)
        if trial_merit <= merit:
            parameters, merit, is_fresh = trial, trial_merit, False
            damping = max(damping * 0.1, 1e-12)
        else:
            damping *= 10.0
        has_converged = change <= CONVERGED * merit + 1e-9  # also from below: rounding may hide the last fall
        if has_converged or damping > 1e10:
            break
    normal_equations(parameters, electrons, indices, variance_e2, matrix, gradient)
    hold(matrix, gradient, is_free)
    return parameters, matrix, has_converged


@kernel
def goodness(
    parameters: Array, electrons: Array, indices: Array, variance_e2: float
) -> tuple[float, float, float, float]:
    """Return chi^2, residual and total sum of squares (e-^2) and the sum of the noise variances (e-^2)."""
    chi2, residual, total, noise, mean = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(electrons.size):
        mean += electrons[i] / electrons.size
    for i in range(electrons.size):
        expected = model_e(parameters, indices[i, 0], indices[i, 1], indices[i, 2])
        variance = max(expected + variance_e2, LEAST_VARIANCE_E2)
        square = (electrons[i] - expected) ** 2
        chi2 += square / variance
        residual += square
        noise += variance
        total += (electrons[i] - mean) ** 2
    return chi2, residual, total, noise
