"""Stacks and their placing against brute-force integration of the intensity."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from drivers.simulated.psf import PsfStack, Shape, psf_stack
from drivers.simulated.pupil import intensity, pupil_field
from drivers.simulated.rendering import line_profile, place_objects
from drivers.simulated.truth import Pupil, Truth

OBJECTIVE = Truth().objective("60x/1.40 oil")
PIXEL_UM = 6.5 / 60


@cache
def stack(shape: Shape) -> PsfStack:
    return psf_stack(OBJECTIVE, Pupil(coma_nm=35.0, coma_angle_deg=20.0), 520, PIXEL_UM, shape)


@cache
def field():
    return pupil_field(OBJECTIVE, Pupil(coma_nm=35.0, coma_angle_deg=20.0), 520, 8.0)


def placed(shape, row, column, defocus_um, size=(41, 47)):
    image = np.zeros(size, np.float32)
    place_objects(image, stack(shape), *(np.array([v]) for v in (row, column, defocus_um, 1.0)))
    return image


def integrated(points_zyx_um, row, column, defocus_um, size=(41, 47), n=8):
    """Mean over points of the intensity, integrated over each pixel by n x n midpoints."""
    image = np.zeros(size)
    sub = (np.arange(n) + 0.5) / n - 0.5
    for z_um, y_um, x_um in points_zyx_um:
        side = max(size)
        offsets = (np.arange(side)[:, None] + sub).ravel() * PIXEL_UM
        # one square grid for both axes: shift the field instead of the grid
        phase_y = np.exp(2j * np.pi / 0.52 * (row * PIXEL_UM + y_um) * field().rho)[:, None]
        phase_x = np.exp(2j * np.pi / 0.52 * (column * PIXEL_UM + x_um) * field().rho)[None, :]
        moved = type(field())(
            (field().components * phase_y * phase_x).astype(np.complex64),
            field().axial_rad_per_um,
            field().rho,
            field().wavelength_um,
            field().energy,
        )
        fine = intensity(moved, defocus_um - z_um, offsets) * PIXEL_UM**2
        image += fine.reshape(side, n, side, n).mean(axis=(1, 3))[: size[0], : size[1]]
    return image / len(points_zyx_um)


@pytest.mark.parametrize(
    ("row", "column", "defocus_um"), [(20, 23, 0), (19.37, 24.81, 0.21), (21.5, 22.13, -0.83)]
)
def test_point_between_pixels_is_the_integrated_intensity(
    row: float, column: float, defocus_um: float
) -> None:
    ours = placed(Shape(), row, column, defocus_um)
    exact = integrated([(0.0, 0.0, 0.0)], row, column, defocus_um)
    assert ours == pytest.approx(exact, abs=4e-3 * float(exact.max()))


def test_sphere_is_the_sum_of_its_points() -> None:
    grid = (np.arange(-4, 5)) * 0.0625
    lattice = np.stack(np.meshgrid(grid, grid, grid), axis=-1).reshape(-1, 3)
    points = lattice[np.sum(lattice**2, axis=1) <= 0.25**2]
    ours = placed(Shape("sphere", 0.5), 20.3, 22.6, 0.3)
    exact = integrated(points, 20.3, 22.6, 0.3, n=4)
    assert ours == pytest.approx(exact, abs=0.02 * float(exact.max()))


def test_ring_is_the_sum_of_its_points() -> None:
    angles = np.arange(60) * 2 * np.pi / 60
    points = np.stack([0 * angles, np.sin(angles), np.cos(angles)], axis=1)
    ours = placed(Shape("ring", 2.0), 20.3, 22.6, -0.2)
    assert ours == pytest.approx(integrated(points, 20.3, 22.6, -0.2, n=5), abs=5e-3 * float(ours.max()))


@pytest.mark.parametrize("defocus_um", [-2.4, -1.0, 0.0, 0.31, 1.9])
def test_energy_does_not_depend_on_focus(defocus_um: float) -> None:
    image = placed(Shape("sphere", 0.1), 151.2, 160.7, defocus_um, (310, 320))
    assert 0.965 < image.sum() < 1, "the rest lies outside the window"


def test_far_out_of_focus_fades_and_stays_finite() -> None:
    sums = [placed(Shape(), 100.0, 100.0, z, (200, 200)).max() for z in (3.0, 6.0, 60.0, -500.0)]
    assert sums[0] > sums[1] > sums[2] > sums[3] > 0


def test_objects_at_and_beyond_the_border_are_cut_not_wrapped() -> None:
    wide = placed(Shape(), 30.0 + 10, 2.25 + 20, 0.4, (60, 80))
    assert placed(Shape(), 30.0, 2.25, 0.4, (50, 60)) == pytest.approx(wide[10:, 20:], abs=1e-7)
    assert not placed(Shape(), -300.0, 5.0, 0.0).any()


def test_line_is_the_sum_of_points_along_it() -> None:
    profile = line_profile(61, stack(Shape()), np.array([29.6]), 0.2, np.array([2.5]))
    image = np.zeros((1, 61), np.float32)
    rows = np.arange(-60, 61, 0.5)
    ones = np.ones_like(rows)
    place_objects(image, stack(Shape()), rows, 29.6 * ones, 0.2 * ones, 1.25 * ones)
    assert profile == pytest.approx(image[0], abs=2e-3 * float(profile.max()))
    assert profile.sum() == pytest.approx(2.5, rel=0.04)
