"""What a drive that misses its planes does to an axial width."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import curve_fit

from qc_routines.conditions import Camera, VoxelSize
from qc_routines.psf import measure_psf
from qc_routines.psf.drive import drive_uncertainty_um


def gaussian(z: np.ndarray, height: float, centre: float, sigma: float) -> np.ndarray:
    return height * np.exp(-(((z - centre) / sigma) ** 2) / 2)


@pytest.mark.parametrize(("fwhm_um", "step_um"), [(0.5, 0.14), (0.5, 0.25), (1.5, 0.2)])
def test_drive_uncertainty_is_the_scatter_of_fits_to_planes_that_are_missed(fwhm_um, step_um) -> None:
    rng, scatter_um, widths = np.random.default_rng(1), 0.01, []
    heights = step_um * np.arange(-14, 15)
    for _ in range(400):
        centre = step_um * rng.uniform(-0.5, 0.5)
        light = gaussian(heights + scatter_um * rng.standard_normal(29), 1.0, centre, fwhm_um / 2.3548)
        fitted, _ = curve_fit(gaussian, heights, light, p0=(1, 0, fwhm_um / 2))
        widths.append(2.3548 * fitted[2])
    assert np.std(widths) == pytest.approx(drive_uncertainty_um(fwhm_um, step_um, scatter_um), rel=0.15)
    assert np.mean(widths) == pytest.approx(fwhm_um, rel=0.01)


def test_drive_uncertainty_grows_with_the_scatter_and_is_nought_without() -> None:
    assert drive_uncertainty_um(0.5, 0.1, 0.0) == 0
    assert drive_uncertainty_um(0.5, 0.1, 0.02) == pytest.approx(2 * drive_uncertainty_um(0.5, 0.1, 0.01))


def missed_planes(rng: np.random.Generator, scatter_um: float) -> np.ndarray:
    """Twelve beads on a slide, each plane a little beside where it should be."""
    z_um = 0.2 * np.arange(21) + rng.normal(0, scatter_um, 21)
    y, x = np.mgrid[:90.0, :120.0]
    stack = np.full((21, 90, 120), 30.0)
    for row, column in product((15, 45, 75), (15, 45, 75, 105)):
        away_y, away_x = y - row - rng.uniform(-0.5, 0.5), x - column - rng.uniform(-0.5, 0.5)
        disc = 3000 * np.exp(-(away_y**2 + away_x**2) / 2 / 1.6**2)
        axial = np.exp(-((z_um - 2.0 - rng.uniform(-0.05, 0.05)) ** 2) / 2 / 0.34**2)
        stack += axial[:, None, None] * disc
    return rng.poisson(stack).astype(np.uint16)


@pytest.mark.parametrize("scatter_um", [0.0, 0.03], ids=["perfect drive", "drive that misses"])
def test_axial_width_knows_what_all_beads_share(scatter_um: float) -> None:
    rng, voxel, camera = np.random.default_rng(4), VoxelSize(0.2, 0.065, 0.065), Camera(0.0, 1.0, 0.0)
    figures = [
        measure_psf(missed_planes(rng, scatter_um), voxel, camera=camera).figure("fwhm_z") for _ in range(40)
    ]
    scatter = np.std([figure.value for figure in figures], ddof=1)
    told = np.sqrt(np.mean([figure.uncertainty**2 for figure in figures]))
    assert 0.6 < scatter / told < 1.4
