"""Expected values against numbers worked out by hand and against the other forms of the same formula."""

from __future__ import annotations

from math import asin, atan2, cos, erf, exp, hypot, sin, sqrt

import numpy as np
import pytest

from qc_routines import theory
from qc_routines.conditions import Camera, Mode, Optics, VoxelSize
from qc_routines.errors import InputError
from qc_routines.psf.fitting import ON_LINE, fit

OIL = {"numerical_aperture": 1.4, "immersion_index": 1.518, "emission_nm": 520, "excitation_nm": 488}
AIR = {"numerical_aperture": 0.5, "immersion_index": 1.0, "emission_nm": 600, "excitation_nm": 800}


@pytest.mark.parametrize(
    ("mode", "lens", "lateral_um", "axial_um", "nyquist_um"),
    [
        ("widefield", OIL, 0.51 * 0.52 / 1.4, 1.77 * 1.518 * 0.52 / 1.96, 0.52 / 5.6),
        ("confocal", OIL, 0.51 * 0.488 / 1.4, 0.88 * 0.488 / (1.518 - sqrt(1.518**2 - 1.96)), 0.488 / 11.2),
        ("spinning disk", OIL, 0.51 * 0.52 / 1.4, 0.52 / (1.518 - sqrt(1.518**2 - 1.96)), 0.52 / 5.6),
        (
            "multiphoton",
            OIL,
            0.383 * 0.488 / 1.4**0.91,
            0.626 * 0.488 / (1.518 - sqrt(1.518**2 - 1.96)),
            0.488 / 11.2,
        ),
        ("multiphoton", AIR, 0.377 * 0.8 / 0.5, 0.626 * 0.8 / (1 - sqrt(0.75)), 0.8 / 4),
        ("widefield", AIR, 0.612, 4.248, 0.3),
    ],
)
def test_widths_and_sampling(
    mode: str, lens: dict, lateral_um: float, axial_um: float, nyquist_um: float
) -> None:
    optics = Optics(mode, **lens)
    z, y, x = theory.expected_fwhm(optics)
    assert (z.value, y.value, x.value) == pytest.approx((axial_um, lateral_um, lateral_um))
    assert theory.nyquist_lateral_um(optics) == pytest.approx(nyquist_um)
    assert z.formula_id == f"{mode.replace(' ', '_')}_axial_fwhm"
    assert all(expected.source for expected in (z, y, x))


def test_axial_sampling() -> None:
    angle = asin(1.4 / 1.518)
    assert theory.nyquist_axial_um(Optics("widefield", **OIL)) == pytest.approx(
        0.52 / (2 * 1.518 * (1 - cos(angle)))
    )
    assert theory.nyquist_axial_um(Optics("confocal", **OIL)) == pytest.approx(
        0.488 / (4 * 1.518 * (1 - cos(angle)))
    )


def test_depth_of_field() -> None:
    assert theory.depth_of_field_um(Optics("widefield", **AIR), 0.325) == pytest.approx(
        0.6 / 0.25 + 0.325 / 0.5
    )


@pytest.mark.parametrize("shift", [(0.1, 0.2, -0.3), (-1, 0, 0), (0, 0.5, 0), (2, -3, 4)], ids=str)
def test_reference_distance_equals_the_form_with_angles(shift: tuple[float, float, float]) -> None:
    """As written in MetroloJ_QC: theta from the z axis, phi from the x axis."""
    (rz, ry, rx), (z, y, x) = (0.8, 0.3, 0.2), shift
    theta, phi = atan2(hypot(x, y), z), atan2(y, x)
    under = (ry * rz * cos(phi) * sin(theta)) ** 2 + (rx * rz * sin(phi) * sin(theta)) ** 2
    expected = rx * ry * rz / sqrt(under + (rx * ry * cos(theta)) ** 2)
    assert theory.reference_distance_um(shift, (rz, ry, rx)) == pytest.approx(expected)


@pytest.mark.parametrize(("diameter_um", "tolerance"), [(0.1, 0.0005), (0.2, 0.007)])
def test_bead_size_is_taken_off_as_quadrature_says(diameter_um: float, tolerance: float) -> None:
    """Line through the middle of a Gaussian PSF convolved with a filled sphere, by sums, and a Gaussian fitted to it.

    Each chord of the sphere along z adds its share of the PSF: of axial FWHM 0.8 um, an error function.
    """
    fwhm_um, step_um = 0.25, 0.005
    sigma, sigma_z = (width / theory.FWHM_PER_SIGMA for width in (fwhm_um, 0.80))
    line, inside = np.arange(-100, 101) * step_um, np.arange(-20, 21) * step_um
    image = np.zeros(line.size)
    for x in inside:
        chords2 = [(y, diameter_um**2 / 4 - x**2 - y**2) for y in inside]
        share = sum(exp(-0.5 * (y / sigma) ** 2) * erf(sqrt(c2 / 2) / sigma_z) for y, c2 in chords2 if c2 > 0)
        image += share * np.exp(-0.5 * ((line - x) / sigma) ** 2)
    image /= image.max()
    start = np.array([[0, image.max(), 0, 0, 100, 1, 1, (step_um / sigma) ** 2, 0, 0, 0]])
    even = np.array([0.0, 1.0, 1e4])  # a variance far above the values weights all alike
    fits = fit(
        image[None, None],
        np.zeros((1, 201), bool),
        start,
        np.array([0.0, 0, 2 * fwhm_um / step_um]),
        even,
        ON_LINE["x"],
    )
    measured_um = theory.FWHM_PER_SIGMA / np.sqrt(fits.parameters[0, 7]) * step_um
    assert measured_um > fwhm_um * 1.005
    assert theory.bead_corrected_fwhm_um(measured_um, diameter_um) == pytest.approx(fwhm_um, rel=tolerance)


def test_what_the_bead_explains_has_no_width() -> None:
    assert np.isnan(theory.bead_corrected_fwhm_um(0.2, 1.0))
    assert np.isnan(theory.pixel_corrected_fwhm_um(0.1, 0.5))
    assert theory.pixel_corrected_fwhm_um(0.25, 1e-9) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("mode", "missing", "which"),
    [("widefield", "emission_nm", "emission"), ("confocal", "excitation_nm", "excitation")],
)
def test_missing_wavelength_is_named(mode: str, missing: str, which: str) -> None:
    with pytest.raises(InputError, match=f"an {which} wavelength for {mode}"):
        theory.lateral_fwhm_um(Optics(mode, **OIL | {missing: None}))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Optics("widefield", 1.4, 1.33, 520),
        lambda: Optics("widefield", 0, 1.0, 520),
        lambda: Optics("widefield", 0.5, 1.0, -520),
        lambda: Optics("telepathy", 0.5, 1.0, 520),
        lambda: VoxelSize(0.2, 0.0, 0.1),
        lambda: VoxelSize(0.2, None, 0.1),
        lambda: VoxelSize(float("nan"), 0.1, 0.1),
        lambda: Camera(100, 0, 1.6),
        lambda: Camera(100, 1, -1),
        lambda: Camera(float("nan"), 1, 1),
    ],
    ids=range(10),
)
def test_impossible_conditions_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"expected|valid"):
        make()


def test_mode_may_be_given_as_a_word() -> None:
    assert Optics("spinning disk", **OIL).mode is Mode.SPINNING_DISK
