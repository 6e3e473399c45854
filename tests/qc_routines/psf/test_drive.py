"""What a drive that misses its planes does to an axial width."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

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
