"""The microscope as a whole, without any core."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from drivers.simulated import JumpingClock, SimulatedMicroscope, SystemClock, Truth
from drivers.simulated.truth import Drift, Sensor


def story(microscope):
    """A little of everything that involves chance; returns all that came out."""
    stage, out = microscope.truth.stage, []
    microscope.x.move(30.0, stage.x)
    microscope.z.move(0.7, stage.z)
    out.append(microscope.expose())
    microscope.lock_focus(True)
    out.append(microscope.expose())
    microscope.slide = "power meter"
    out += [microscope.read_power_mw(), microscope.read_temperature_degc(), microscope.expose()]
    return out


def test_same_seed_is_the_same_story(make_microscope) -> None:
    first, again, other = (story(make_microscope(seed=seed)) for seed in (4, 4, 9))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_two_frames_differ_in_noise_alone(make_microscope) -> None:
    microscope = make_microscope()
    first, second = microscope.expose(), microscope.expose()
    assert not np.array_equal(first, second)
    difference = first.astype(float) - second
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(difference.size)


def test_exposure_passes_on_the_clock(make_microscope) -> None:
    microscope = make_microscope()
    microscope.camera = replace(microscope.camera, exposure_ms=2500.0)
    before_s = microscope.clock.now_s()
    microscope.expose()
    assert microscope.clock.now_s() - before_s == pytest.approx(2.5)


def test_system_clock_really_waits() -> None:
    clock = SystemClock()
    before_s = clock.now_s()
    clock.sleep(0.01)
    clock.sleep(-1.0)
    assert clock.now_s() - before_s >= 0.01
    assert clock.has_reached(before_s) and not clock.has_reached(before_s + 1e6)


def test_closed_shutter_and_lamp_off_are_dark(make_microscope) -> None:
    microscope = make_microscope()
    microscope.slide = "uniform"
    lit = microscope.expose().mean()
    microscope.shutter_open = False
    assert microscope.expose().mean() < 101 < lit
    microscope.shutter_open = True
    microscope.switch_lamp(False)
    assert microscope.expose().mean() < 101


def test_light_doubles_with_exposure_and_power(make_microscope) -> None:
    microscope = make_microscope()
    microscope.slide = "uniform"
    once = microscope.expected_e().sum()
    microscope.set_points["FITC"] = 1.0
    twice = microscope.expected_e().sum()
    microscope.camera = replace(microscope.camera, exposure_ms=2 * microscope.camera.exposure_ms)
    assert twice == pytest.approx(2 * once) and microscope.expected_e().sum() == pytest.approx(4 * once)


def test_focus_lock_finds_the_slide_and_follows_it(make_microscope) -> None:
    microscope = make_microscope()
    stage = microscope.truth.stage
    microscope.z.move(5.0, stage.z)
    errors_um = []
    for _ in range(300):
        microscope.lock_focus(True)
        z, y, x = microscope.stage_zyx_um()
        errors_um.append(z - microscope.view().focus_um(np.array([[y, x]]))[0])
    assert np.mean(errors_um) == pytest.approx(0, abs=0.01)
    assert np.std(errors_um) == pytest.approx(stage.focus_lock_um, rel=0.15)
    locked_um = microscope.stage_zyx_um()[0]
    microscope.x.move(5000.0, stage.x)
    assert microscope.stage_zyx_um()[0] - locked_um == pytest.approx(5000 * -0.0007, abs=0.01)
    here_um = microscope.stage_zyx_um()[0]
    microscope.lock_focus(False)
    assert microscope.stage_zyx_um()[0] == pytest.approx(here_um, abs=1e-9)
    microscope.lock_focus(False)


def test_drive_keeps_what_the_focus_lock_made_up_for(make_microscope) -> None:
    microscope = make_microscope(drift=Drift())
    stage = microscope.truth.stage
    microscope.lock_focus(True)
    microscope.clock.sleep(3600)
    assert abs(microscope.drift_zyx_um()[0]) > 1
    microscope.lock_focus(False)
    focused_um, said_um = microscope.stage_zyx_um()[0], microscope.z.reported_um(stage.z)
    microscope.z.move(said_um + 20, stage.z)
    microscope.z.move(said_um, stage.z)
    microscope.clock.sleep(1)
    errors_um = abs(stage.z.scale_error * said_um) + stage.z.backlash_um + 5 * stage.z.repeatability_um
    assert microscope.stage_zyx_um()[0] == pytest.approx(focused_um, abs=errors_um)


def test_frame_goes_into_the_array_that_is_given(make_microscope) -> None:
    microscope = make_microscope((30, 50))
    out = np.zeros((30, 50), np.uint16)
    assert microscope.expose(out) is out
    assert out.mean() > 90


def test_setting_up_anew_forgets_everything(make_microscope) -> None:
    microscope, fresh = make_microscope(), make_microscope()
    story(microscope)
    microscope.set_fault("camera warm", True)
    microscope.set_up_anew(fresh.healthy_truth)
    microscope.shutter_open = True
    assert np.array_equal(microscope.expose(), fresh.expose())


def test_truth_answers_in_numbers() -> None:
    truth = Truth()
    assert truth.pixel_size_um("20x/0.75") == pytest.approx(0.325)
    assert truth.collected_fraction("10x/0.30") == pytest.approx(0.023, abs=0.001)
    with pytest.raises(StopIteration):
        truth.objective("5x")


def test_default_microscope_has_the_defaults() -> None:
    microscope = SimulatedMicroscope(clock=JumpingClock())
    assert microscope.truth == Truth() and microscope.truth.sensor == Sensor()
    assert isinstance(SimulatedMicroscope().clock, SystemClock)


def test_importing_the_package_does_not_load_micro_manager(tmp_path) -> None:
    program = "import sys, drivers.simulated; print('pymmcore_plus' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_microscope_that_was_on_for_long_has_settled() -> None:
    """Its lamp is warm, and the slide, put on now, moves as slowly as it ever will."""
    microscope = SimulatedMicroscope(Truth(on_for_s=12 * 3600.0), clock=JumpingClock())
    drift, light = microscope.truth.drift, microscope.truth.light
    assert microscope.drift_zyx_um() == pytest.approx((0, 0, 0), abs=1e-12)
    microscope.clock.sleep(600)
    assert np.array(microscope.drift_zyx_um()) * 1000 / 10 == pytest.approx(
        drift.steady_zyx_nm_per_min, rel=1e-6
    )
    assert microscope.elapsed_s() > 60 * light.warm_up_s
    microscope.shutter_open = True
    warm_mw = microscope.power_mw()
    microscope.clock.sleep(600)
    assert microscope.power_mw() == pytest.approx(warm_mw, rel=1e-9)
