"""Bead stacks with exact truth: Gaussians sampled at voxel centres, Poisson and read noise, one seed, one stack."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FWHM_PER_SIGMA = 2 * np.sqrt(2 * np.log(2))
BACKGROUND_E, OFFSET_ADU, READ_NOISE_E = 50.0, 100.0, 1.6


def covariance(fwhm_zyx: tuple[float, float, float], angle_deg: float = 0.0, lean: float = 0.0) -> NDArray:
    """Return the covariance of a Gaussian, voxels^2: x axis turned to +y by the angle, z axis sheared along x."""
    turn = np.radians(angle_deg)
    axes = np.array([[1, 0, 0], [0, np.cos(turn), np.sin(turn)], [0, -np.sin(turn), np.cos(turn)]])
    axes = np.array([[1, 0, 0], [0, 1, 0], [lean, 0, 1]]) @ axes
    return axes @ np.diag((np.array(fwhm_zyx) / FWHM_PER_SIGMA) ** 2) @ axes.T


def places(
    shape: tuple[int, int, int],
    n: int,
    apart: float,
    seed: int,
    margin_zyx: tuple[float, float, float],
    flat: bool = False,
) -> NDArray:
    """Return centres (n, 3) off the voxel grid, laterally at least so far apart; on a tilted plane unless flat."""
    rng = np.random.default_rng(seed)
    found: list[NDArray] = []
    size = np.array(shape) - 1.0
    margin = np.array(margin_zyx)
    for _ in range(200_000):
        if len(found) == n:
            break
        place = rng.uniform(margin, size - margin)
        if all(np.hypot(*(place - other)[1:]) >= apart for other in found):
            found.append(place)
    centres = np.array(found).reshape(-1, 3)
    if flat and len(centres):
        slope = 6 * (centres[:, 1] / size[1] - 0.5) + 4 * (centres[:, 2] / size[2] - 0.5)
        centres[:, 0] = size[0] / 2 + slope + rng.uniform(-0.5, 0.5, len(centres))
    return centres


def light_e(
    shape: tuple[int, int, int], centres: NDArray, shape_matrix: NDArray, peak_e: float | NDArray
) -> NDArray[np.float32]:
    """Return the mean electrons (z, y, x) of beads on the background."""
    light = np.full(shape, BACKGROUND_E, np.float32)
    precision = np.linalg.inv(shape_matrix)
    reach = np.ceil(6.5 * np.sqrt(np.diag(shape_matrix))).astype(int)
    for centre, peak in zip(centres, np.broadcast_to(peak_e, len(centres)), strict=True):
        low = np.maximum(0, np.rint(centre).astype(int) - reach)
        high = np.minimum(shape, np.rint(centre).astype(int) + reach + 1)
        grid = (
            np.stack(np.mgrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], axis=-1) - centre
        )
        bell = np.exp(-0.5 * np.einsum("zyxi,ij,zyxj->zyx", grid, precision, grid))
        light[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] += (peak * bell).astype(np.float32)
    return light


def photographed(light: NDArray[np.float32], seed: int, e_per_adu: float = 1.0) -> NDArray[np.uint16]:
    """Return what a camera of 16 bits makes of it, plane by plane."""
    rng = np.random.default_rng(seed)
    counts = np.empty(light.shape, np.uint16)
    for z, plane in enumerate(light):
        electrons = rng.poisson(plane) + rng.normal(0, READ_NOISE_E, plane.shape)
        counts[z] = np.clip(np.rint(OFFSET_ADU + electrons / e_per_adu), 0, 65535)
    return counts


def diffracted(
    shape: tuple[int, int, int],
    voxel_um: tuple[float, float, float],
    numerical_aperture: float,
    wavelength_um: float,
    spherical_waves: float = 0.0,
    centre: tuple[float, float, float] | None = None,
) -> NDArray[np.float64]:
    """Return the image of a point in oil (z, y, x), peak about 1: scalar Debye integral over the pupil.

    `spherical_waves` is the coefficient of rho^4 with its best defocus, in waves.
    """
    index, middle = 1.518, centre or tuple((n - 1) / 2 for n in shape)
    rho = (np.arange(48) + 0.5) / 48
    around = (np.arange(40) + 0.5) * np.pi / 40
    radius = np.linspace(0, np.hypot(shape[1] * voxel_um[1], shape[2] * voxel_um[2]), 400)
    wave = 2 * np.pi / wavelength_um
    bessel = np.cos(wave * numerical_aperture * radius[:, None, None] * rho[:, None] * np.sin(around)).mean(
        axis=2
    )
    z = (np.arange(shape[0]) - middle[0]) * voxel_um[0]
    path = z[:, None] * np.sqrt(index**2 - (numerical_aperture * rho) ** 2) / wavelength_um
    pupil = np.exp(2j * np.pi * (path + spherical_waves * (rho**4 - rho**2)))
    field = np.einsum("zp,rp,p->zr", pupil, bessel, rho) / rho.sum()
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    away = np.hypot((rows - middle[1]) * voxel_um[1], (columns - middle[2]) * voxel_um[2])
    return np.stack([np.interp(away, radius, np.abs(plane) ** 2) for plane in field])
