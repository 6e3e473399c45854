"""The pupil model against integrals written in another way."""

from __future__ import annotations

from dataclasses import replace
from math import exp, pi, sqrt

import numpy as np
import pytest

from drivers.simulated.pupil import intensity, pupil_field
from drivers.simulated.truth import OBJECTIVES, Pupil, Truth

TRUTH = Truth()


def bessel(order, x):
    """J_n by Bessel's integral, on a grid that is exact to rounding for the arguments used here."""
    t = (np.arange(256) + 0.5) * pi / 256
    return np.cos(order * t - np.asarray(x)[..., None] * np.sin(t)).mean(axis=-1)


def radial_intensity(objective, wavelength_um, r_um, z_um, path_um=lambda rho: 0 * rho):
    """Richards and Wolf's three integrals for freely rotating dipoles (doi:10.1098/rspa.1959.0200, eq. 2.31)."""
    n, aperture = objective.immersion_index, objective.numerical_aperture
    nodes, weights = np.polynomial.legendre.leggauss(200)
    rho = aperture * (nodes + 1) / 2
    sine = rho / n
    cosine = np.sqrt(1 - sine**2)
    k = 2 * pi / wavelength_um
    common = weights * rho / np.sqrt(cosine) * np.exp(1j * k * (z_um * n * cosine + path_um(rho)))
    argument = k * np.outer(r_um, rho)
    i0 = (common * (1 + cosine) / 2 * bessel(0, argument)).sum(axis=1)
    i1 = (common * sine * bessel(1, argument)).sum(axis=1)
    i2 = (common * (1 - cosine) / 2 * bessel(2, argument)).sum(axis=1)
    return 2 * np.abs(i0) ** 2 + np.abs(i1) ** 2 + 2 * np.abs(i2) ** 2


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.label)
@pytest.mark.parametrize("depth", [0.0, -0.7, 1.6])
def test_intensity_is_that_of_richards_and_wolf(objective, depth: float) -> None:
    wavelength_um = 0.59
    axial_um = wavelength_um / (
        objective.immersion_index - sqrt(objective.immersion_index**2 - objective.numerical_aperture**2)
    )
    r_um = np.linspace(0, 2.5 * wavelength_um / objective.numerical_aperture, 31)
    field = pupil_field(objective, Pupil(), 590, 6 * r_um[-1])
    plane = intensity(field, depth * axial_um, np.concatenate([-r_um[:0:-1], r_um]))
    expected = radial_intensity(objective, wavelength_um, r_um, depth * axial_um)
    peak = radial_intensity(objective, wavelength_um, np.zeros(1), 0.0)[0]
    centre_peak = intensity(field, 0.0, np.zeros(1))[0, 0]
    assert plane[30, 30:] / float(centre_peak) == pytest.approx(expected / peak, abs=3e-3)
    assert plane[30:, 30] == pytest.approx(plane[30, 30:], rel=1e-3, abs=1e-3 * float(centre_peak)), "round"


def test_whole_plane_holds_the_collected_energy() -> None:
    objective = TRUTH.objective("20x/0.75")
    offsets_um = np.arange(-8, 8.001, 0.1)
    field = pupil_field(objective, Pupil(), 520, 8.0)
    for defocus_um in (0.0, 2.0, -4.0):
        assert intensity(field, defocus_um, offsets_um).sum() * 0.01 == pytest.approx(1, abs=0.03)


def fwhm(x, profile):
    above = np.flatnonzero(profile >= profile.max() / 2)
    first, last = above[0], above[-1]
    half = profile.max() / 2

    def crossing(i, j):
        return x[i] + (half - profile[i]) / (profile[j] - profile[i]) * (x[j] - x[i])

    return crossing(last, last + 1) - crossing(first - 1, first)


@pytest.mark.parametrize(
    ("label", "allowed"),
    [("10x/0.30", 0.03), ("20x/0.75", 0.07), ("60x/1.40 oil", 0.12), ("100x/1.45 oil", 0.13)],
)
def test_width_is_the_formulas_and_wider_at_high_aperture(label: str, allowed: float) -> None:
    """0.51 lambda / NA and 0.88 lambda / (n - sqrt(n^2 - NA^2)) hold for scalar, paraxial light."""
    objective, wavelength_um = TRUTH.objective(label), 0.52
    n, aperture = objective.immersion_index, objective.numerical_aperture
    lateral_um, axial_um = (
        0.51 * wavelength_um / aperture,
        0.88 * wavelength_um / (n - sqrt(n**2 - aperture**2)),
    )
    field = pupil_field(objective, Pupil(), 520, 3 * axial_um)
    x_um = np.linspace(-2 * lateral_um, 2 * lateral_um, 201)
    z_um = np.linspace(-1.5 * axial_um, 1.5 * axial_um, 101)
    across = intensity(field, 0.0, x_um)[100]
    along = np.array([intensity(field, z, np.zeros(1))[0, 0] for z in z_um])
    assert 1 <= fwhm(x_um, across) / lateral_um < 1 + allowed
    assert fwhm(z_um, along) / axial_um == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("pupil", [Pupil(), Pupil(spherical_nm=40.0, coverslip_error_um=15.0)])
@pytest.mark.parametrize("n", [41, 40])
def test_round_pupil_takes_a_short_cut_to_the_same_image(pupil: Pupil, n: int) -> None:
    objective, x_um = TRUTH.objective("60x/1.40 oil"), 0.05 * (np.arange(n) - n // 2)
    field = pupil_field(objective, pupil, 520, 3.0)
    whole = replace(field, is_round=False)
    image = intensity(field, 0.4, x_um)
    assert image == pytest.approx(intensity(whole, 0.4, x_um), abs=1e-5 * float(image.max()))
    if field.is_perfect:
        assert image == pytest.approx(intensity(whole, -0.4, x_um), abs=1e-5 * float(image.max()))


@pytest.mark.parametrize("mode", ["astigmatism_nm", "coma_nm", "spherical_nm", "trefoil_nm"])
def test_zernike_modes_have_the_stated_rms(mode: str) -> None:
    """Marechal: the peak falls to exp(-(2 pi rms / lambda)^2), whatever the mode."""
    objective, x_um = TRUTH.objective("10x/0.30"), np.linspace(-1.5, 1.5, 121)
    peaks = [
        intensity(pupil_field(objective, pupil, 520, 12.0), 0.0, x_um).max()
        for pupil in (Pupil(), Pupil(**{mode: 30.0}))
    ]
    assert peaks[1] / peaks[0] == pytest.approx(exp(-((2 * pi * 30 / 520) ** 2)), abs=0.02)


def test_astigmatism_lies_at_its_angle() -> None:
    objective, x_um = TRUTH.objective("20x/0.75"), np.linspace(-1.2, 1.2, 81)
    pupil = Pupil(astigmatism_nm=60.0, astigmatism_angle_deg=30.0)
    y, x = np.meshgrid(x_um, x_um, indexing="ij")
    angles = []
    for defocus_um in (-0.6, 0.6):
        plane = intensity(pupil_field(objective, pupil, 520, 6.0), defocus_um, x_um).astype(float)
        plane[plane < 0.2 * plane.max()] = 0
        yy, xx, xy = ((plane * m).sum() / plane.sum() for m in (y * y, x * x, x * y))
        angles.append(np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) % 180)
    assert sorted(angles) == pytest.approx([30, 120], abs=3)


@pytest.mark.parametrize(
    ("label", "pupil"),
    [("20x/0.75", Pupil(coverslip_error_um=-35.0)), ("60x/1.40 oil", Pupil(coverslip_error_um=60.0))],
    ids=["thin glass, dry", "thick glass, oil"],
)
def test_cover_glass_is_gibson_and_lannis(label: str, pupil: Pupil) -> None:
    objective, wavelength_um = TRUTH.objective(label), 0.52
    n, aperture = objective.immersion_index, objective.numerical_aperture
    nodes, weights = np.polynomial.legendre.leggauss(300)
    sampled = aperture * (nodes + 1) / 2

    def glass(rho):
        return pupil.coverslip_error_um * np.sqrt(1.5255**2 - rho**2)

    basis = np.stack([np.ones(300), np.sqrt(n**2 - sampled**2)], axis=1)
    root_weight = np.sqrt(weights * sampled)
    piston, defocus = np.linalg.lstsq(basis * root_weight[:, None], glass(sampled) * root_weight, rcond=None)[
        0
    ]
    z_um = np.linspace(-4, 5, 61) / aperture**2
    expected = np.array(
        [
            radial_intensity(
                objective,
                wavelength_um,
                np.zeros(1),
                z,
                lambda rho: glass(rho) - piston - defocus * np.sqrt(n**2 - rho**2),
            )[0]
            for z in z_um
        ]
    )
    field = pupil_field(objective, pupil, 520, 12.0)
    ours = np.array([intensity(field, z, np.zeros(1))[0, 0] for z in z_um])
    unspoiled = radial_intensity(objective, wavelength_um, np.zeros(1), 0.0)[0]
    scale = intensity(pupil_field(objective, Pupil(), 520, 12.0), 0.0, np.zeros(1))[0, 0]
    assert ours / float(scale) == pytest.approx(expected / unspoiled, abs=5e-3)
    assert expected.max() < 0.9 * unspoiled


def test_wrong_index_lengthens_the_image_of_oil_objectives_alone() -> None:
    pupil = Pupil(immersion_index_error=-0.01)
    for label, is_affected in (("60x/1.40 oil", True), ("20x/0.75", False)):
        objective = TRUTH.objective(label)
        field = pupil_field(objective, pupil, 520, 8.0)
        z_um = np.linspace(-5, 5, 201)
        along = np.array([intensity(field, z, np.zeros(1))[0, 0] for z in z_um])
        skew = np.sum(along * (z_um - z_um[along.argmax()]) ** 3) / np.sum(along)
        assert (abs(skew) > 0.1) == is_affected


def test_agrees_with_pyotf() -> None:
    pyotf = pytest.importorskip("pyotf.otf", exc_type=ImportError)
    objective, size, step_um = TRUTH.objective("60x/1.40 oil"), 129, 0.05
    z_um = np.array([-0.6, -0.3, 0.0, 0.3, 0.6])
    theirs = pyotf.HanserPSF(
        wl=520,
        na=1.4,
        ni=1.515,
        res=1000 * step_um,
        size=size,
        zrange=1000 * z_um,
        vec_corr="total",
        condition="sine",
    ).PSFi
    offsets_um = (np.arange(size) - size // 2) * step_um
    field = pupil_field(objective, Pupil(), 520, 3.3)
    ours = np.array([intensity(field, z, offsets_um) for z in z_um], np.float64)
    assert ours / ours.max() == pytest.approx(theirs / theirs.max(), abs=4e-3)
