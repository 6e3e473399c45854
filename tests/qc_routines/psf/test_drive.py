"""What a drive that misses its planes does to what is measured on beads."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qc_routines.conditions import Camera, VoxelSize
from qc_routines.psf import measure_psf
from qc_routines.psf.beads import find_and_fit
from qc_routines.psf.drive import drive_effect
from qc_routines.psf.selection import Rules


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


VOXEL, CAMERA = VoxelSize(0.2, 0.065, 0.065), Camera(0.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("scatter_um", "stated_um"),
    [(0.0, None), (0.03, None), (0.03, 0.03)],
    ids=["perfect drive", "drive that misses", "known to miss"],
)
def test_uncertainties_know_what_the_drive_does_to_all_beads(
    scatter_um: float, stated_um: float | None
) -> None:
    rng = np.random.default_rng(4)
    runs = [
        measure_psf(missed_planes(rng, scatter_um), VOXEL, camera=CAMERA, z_repeatability_um=stated_um)
        for _ in range(24)
    ]
    # asymmetry is read between two planes on either side: what of that some beads show is more than what all do
    for name, least in (("fwhm_z", 0.6), ("fwhm_z_line", 0.6), ("axial_asymmetry", 0.4), ("fwhm_x", 0.6)):
        figures = [run.figure(name) for run in runs]
        scatter = np.std([figure.value for figure in figures], ddof=1)
        told = np.median([figure.uncertainty for figure in figures])
        assert least < scatter / told < 1.4, name


def test_drives_part_is_that_of_fits_to_planes_that_are_missed_and_in_proportion() -> None:
    rng = np.random.default_rng(1)
    beads = find_and_fit(missed_planes(rng, 0.0), VOXEL, None, CAMERA, Rules())
    told = drive_effect(missed_planes(np.random.default_rng(1), 0.0), beads, VOXEL, 0.02)
    widths = [
        find_and_fit(missed_planes(rng, 0.02), VOXEL, None, CAMERA, Rules()).widths.fwhm_zyx_um[:, 0].mean()
        for _ in range(24)
    ]
    assert told.uncertainty("fwhm_z_um") == pytest.approx(np.std(widths, ddof=1), rel=0.35)
    assert told.uncertainty("fwhm_x_um") < 0.05 * told.uncertainty("fwhm_z_um"), (
        "a Gaussian is as wide in every plane"
    )
    twice = drive_effect(missed_planes(np.random.default_rng(1), 0.0), beads, VOXEL, 0.04)
    assert twice.uncertainty("fwhm_z_um") == pytest.approx(2 * told.uncertainty("fwhm_z_um"))
