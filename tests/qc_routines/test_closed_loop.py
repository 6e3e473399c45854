"""Routines against the simulated microscope: what they find is what is true of it."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.simulated import SimulatedMicroscope
from qc_routines.camera import (
    measure_dark_noise,
    measure_defects,
    measure_photon_transfer,
    measure_uniformity,
    pixel_moments,
)
from qc_routines.grid import measure_grid
from qc_routines.illumination import measure_illumination
from qc_routines.image_positions import image_positions
from qc_routines.pixel_size import measure_pixel_size, shifts_of
from qc_routines.power import measure_power_linearity
from qc_routines.stage import DIRECTIONS, measure_stage


@pytest.fixture(scope="module")
def camera(runs) -> tuple[SimulatedMicroscope, object]:
    scope = runs.microscope("dark", n_hot=30, n_dead=5, n_blinking=20)
    dark = pixel_moments(runs.frames(scope, 20.0, 60))
    scope.slide, scope.shutter_open = "uniform", True
    return scope, dark


def test_camera_figures_are_those_of_the_sensor(runs, camera) -> None:
    scope, dark = camera
    sensor, mode = scope.truth.sensor, scope.truth.sensor.modes[0]
    measured = measure_photon_transfer(
        dark, (runs.frames(scope, t_ms, 2) for t_ms in np.linspace(20, 800, 20))
    )
    gain = measured.figure("conversion")
    assert gain.value == pytest.approx(mode.gain_e_per_adu, rel=0.004)
    assert measured.value("saturation_signal") == pytest.approx(mode.full_well_e, rel=0.02)
    noise = measure_dark_noise(dark, gain.value)
    assert noise.value("offset") == pytest.approx(sensor.offset_adu, abs=0.1)
    assert noise.value("read_noise_median_e") == pytest.approx(mode.read_noise_e, rel=0.02)
    assert noise.value("dsnu") == pytest.approx(sensor.offset_spread_adu, rel=0.02)


def test_defects_and_response_are_those_of_the_sensor(runs, camera) -> None:
    scope, dark = camera
    lit = pixel_moments(runs.frames(scope, 200.0, 30))
    assert measure_uniformity(dark, lit).value("prnu") == pytest.approx(
        100 * scope.truth.sensor.response_spread, rel=0.03
    )
    defects = measure_defects(dark, lit)
    assert defects.value("n_hot") >= 30
    assert defects.value("n_dead") + defects.value("n_cold") == 5
    assert 50 <= defects.value("n_defective") <= 58


def test_field_is_the_one_that_is_lit(runs, camera) -> None:
    scope, _ = camera
    (frame,) = runs.frames(scope, 200.0, 1)
    light = scope.expected_e()
    measured = measure_illumination(frame, scope.truth.sensor.offset_adu)
    n = int(0.1 * sum(runs.SHAPE) / 2)
    corners = [light[:n, :n], light[:n, -n:], light[-n:, :n], light[-n:, -n:]]
    assert measured.value("corner_ratio") == pytest.approx(
        np.mean([c.mean() for c in corners]) / light.max(), rel=0.005
    )
    brightest = np.unravel_index(np.argmax(light), light.shape)
    for axis, place in zip("yx", brightest, strict=True):
        assert measured.value(f"centre_fit_{axis}") == pytest.approx(place, abs=2.5)


# ---- PSF

PERFECT = {"scale_error": 0.0, "backlash_um": 0.0, "repeatability_um": 0.0, "settling_um": 0.0}


@pytest.mark.parametrize("is_known", [False, True], ids=["unknown camera", "known camera"])
@pytest.mark.parametrize("objective", ["60x/1.40 oil", "20x/0.75"])
def test_psf_is_that_of_the_rendered_bead(runs, rendered, objective: str, is_known: bool) -> None:
    measured = runs.psf_run(0, objective, camera=runs.CAMERA if is_known else None, **PERFECT)
    scope = runs.microscope("beads 0.2 um", objective)
    for axis, true_um in zip("zyx", rendered.gaussian_fwhm_um(scope, scope.slide), strict=True):
        assert measured.value(f"fwhm_{axis}") == pytest.approx(true_um, rel=0.03), axis
    true_z_um, true_x_um = rendered.half_maximum_fwhm_um(scope, scope.slide)
    assert measured.value("fwhm_z_line") == pytest.approx(true_z_um, rel=0.05)
    assert measured.value("fwhm_x_line") == pytest.approx(true_x_um, rel=0.05)


def test_axial_uncertainty_covers_what_the_drive_does(runs, rendered) -> None:
    objective = "60x/1.40 oil"
    scope = runs.microscope("beads 0.2 um", objective)
    true_um = rendered.gaussian_fwhm_um(scope, scope.slide)[0]
    found = [runs.psf_run(seed, objective, camera=None).figure("fwhm_z") for seed in range(20)]
    off = np.array([(figure.value - true_um) / figure.uncertainty for figure in found])
    assert np.count_nonzero(np.abs(off) < 1.96 + 0.02 * true_um / found[0].uncertainty) >= 18
    assert 0.5 < np.std(off) < 1.5


@pytest.mark.parametrize(("slide", "lattice"), [("dot grid", "square"), ("hexagonal dot grid", "hexagonal")])
def test_grid_gives_pixel_size_and_rotation(runs, slide: str, lattice: str) -> None:
    scope = runs.microscope(slide)
    measured = measure_grid(scope.expose(), pitch_um=15.0)
    assert measured.parameters["lattice"] == lattice
    true_um = scope.truth.sensor.pixel_pitch_um / 20
    assert measured.value("pixel_size_x") == pytest.approx(true_um, rel=1e-3)
    assert measured.value("pixel_size_y") == pytest.approx(true_um, rel=1e-3)
    assert measured.value("rotation") == pytest.approx(scope.truth.geometry.camera_rotation_deg, abs=0.05)


def test_stage_moves_give_pixel_size(runs) -> None:
    scope, images, stage_um = runs.microscope("beads 2 um"), [], []
    for y_um, x_um in [(0, 0), (0, 25), (0, -25), (18, 0), (-18, 0), (15, 20), (-15, 20), (15, -20)]:
        runs.go(scope, y_um, x_um)
        images.append(scope.expose())
        stage_um.append((y_um, x_um))
    shifts, reasons = shifts_of(images)
    measured = measure_pixel_size(stage_um, shifts, reasons)
    assert measured.value("pixel_size") == pytest.approx(6.5 / 20, rel=0.01)
    assert measured.n_used >= 7
    assert measured.value("is_mirrored") == 0
    assert abs(measured.value("affine_xx") + 6.5 / 20) < 0.01, "the content goes against the stage"


def test_stage_backlash_is_found_with_its_sign(runs) -> None:
    scope, images, came_from = runs.microscope("beads 2 um"), [], []
    away = {"left": (0, -300), "right": (0, 300), "back": (-300, 0), "front": (300, 0)}
    runs.go(scope, 1, 1)
    runs.go(scope, 0, 0)
    reference = scope.expose()
    for _ in range(8):
        for direction in DIRECTIONS:
            runs.go(scope, *away[direction])
            runs.go(scope, 0, 0)
            images.append(scope.expose())
            came_from.append(direction)
    positions = image_positions(images, 6.5 / 20, reference)
    measured = measure_stage(positions.yx_um, came_from, np.full(len(images), 300.0))
    for axis, true in (("x", scope.truth.stage.x), ("y", scope.truth.stage.y)):
        found = measured.figure(f"backlash_{axis}")
        assert (
            abs(found.value - true.backlash_um) < 3 * found.uncertainty
        )  # coming up it stops short: content ahead
        assert 0.5 < measured.value(f"sd_{axis}_one_direction") / true.repeatability_um < 1.6


def test_power_is_read_as_bent_as_it_is(runs) -> None:
    scope = runs.microscope("power meter")
    scope.clock.sleep(7200)
    readings, settings = [], [*range(0, 101, 10), *range(90, -1, -10)]
    for percent in settings:
        scope.set_points[scope.channel] = percent / 100
        readings.append(scope.read_power_mw())
    measured = measure_power_linearity(settings, readings)
    bend = 100 * scope.truth.light.nonlinearity / 4  # s (1 - s) is a quarter at most
    assert measured.value("largest_deviation") == pytest.approx(bend, abs=0.7 * bend)
    assert measured.value("r2") > 0.999
