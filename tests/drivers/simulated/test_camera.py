"""The camera against plain statistics of its frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.simulated.camera import LEAST_SHARED

CLEAN = {"offset_spread_adu": 0.0, "read_noise_spread": 0.0, "response_spread": 0.0}


def frames(microscope, n, exposure_ms):
    microscope.camera = replace(microscope.camera, exposure_ms=exposure_ms)
    return np.stack([microscope.expose() for _ in range(n)]).astype(np.float64)


def dark_frames(microscope, n, exposure_ms):
    microscope.shutter_open = False
    taken = frames(microscope, n, exposure_ms)
    microscope.shutter_open = True
    return taken


@pytest.mark.parametrize("mode", ["16-bit", "12-bit", "8-bit"])
def test_photon_transfer_gives_the_gain(make_microscope, flat, mode: str) -> None:
    microscope = make_microscope((120, 150), sensor=CLEAN, illumination=flat)
    microscope.slide = "uniform"
    microscope.camera = replace(microscope.camera, mode=mode)
    well_e = min(
        microscope.mode.full_well_e, (microscope.mode.max_adu - 100) * microscope.mode.gain_e_per_adu
    )
    ceiling_ms = 0.7 * well_e / (microscope.expected_e().mean() / microscope.camera.exposure_ms)
    means, variances = [], []
    for exposure_ms in np.linspace(0.05, 1, 8) * ceiling_ms:
        first, second = frames(microscope, 2, float(exposure_ms))
        means.append((first.mean() + second.mean()) / 2)
        variances.append((first - second).var() / 2)
    slope, _ = np.polyfit(means, variances, 1, w=1 / np.array(variances))
    assert 1 / slope == pytest.approx(microscope.mode.gain_e_per_adu, rel=0.02)
    offset = np.polyval(np.polyfit(np.linspace(0.05, 1, 8), means, 1), 0)
    assert offset == pytest.approx(100, abs=0.004 * means[-1])


def test_frames_hold_the_electrons_that_are_expected(make_microscope) -> None:
    microscope = make_microscope(sensor=CLEAN)
    microscope.slide = "uniform"
    taken = frames(microscope, 40, 30.0)
    expected_adu = microscope.expected_e() / microscope.mode.gain_e_per_adu + 100
    error = taken.mean(axis=0) / expected_adu - 1
    assert abs(error.mean()) < 2e-4
    assert error.std() == pytest.approx(1 / np.sqrt(40 * microscope.expected_e().mean()), rel=0.1)


def test_dark_frames_give_offset_read_noise_and_their_maps(make_microscope) -> None:
    microscope = make_microscope()
    taken = dark_frames(microscope, 300, 0.01)
    noise_e = taken.std(axis=0, ddof=1) * microscope.mode.gain_e_per_adu
    truth_e = microscope.mode.read_noise_e * microscope.pixels.read_noise
    quantisation_e2 = microscope.mode.gain_e_per_adu**2 / 12
    assert np.median(noise_e) == pytest.approx(np.sqrt(np.median(truth_e) ** 2 + quantisation_e2), rel=0.01)
    assert np.corrcoef(noise_e.ravel(), truth_e.ravel())[0, 1] > 0.95
    assert taken.mean(axis=0) == pytest.approx(microscope.pixels.offset_adu, abs=6 * 8 / np.sqrt(300))
    assert taken.mean() == pytest.approx(microscope.pixels.offset_adu.mean(), abs=0.02), (
        "rounded, not cut off"
    )


def test_dark_current_grows_with_exposure(make_microscope) -> None:
    microscope = make_microscope(sensor={"dark_current_e_per_s": 3.0})
    exposures_s = np.array([0.1, 4.0, 11.0])
    means_e = [
        dark_frames(microscope, 12, 1000 * s).mean() * microscope.mode.gain_e_per_adu for s in exposures_s
    ]
    assert np.polyfit(exposures_s, means_e, 1)[0] == pytest.approx(3.0, rel=0.01)
    assert microscope.pixels.dark_e_per_s.mean() == pytest.approx(3.0, rel=0.01)


def test_response_differs_between_pixels_as_stated(make_microscope, flat) -> None:
    microscope = make_microscope(sensor={"response_spread": 0.02}, illumination=flat)
    microscope.slide = "uniform"
    lit = frames(microscope, 60, 100.0).mean(axis=0) - dark_frames(microscope, 60, 0.01).mean(axis=0)
    assert lit.std() / lit.mean() == pytest.approx(0.02, rel=0.05)
    assert np.corrcoef(lit.ravel(), microscope.pixels.response.ravel())[0, 1] > 0.98


def test_defects_are_where_they_are_said_to_be_and_nowhere_else(make_microscope) -> None:
    counts = {"n_hot": 7, "n_dead": 5, "n_blinking": 6}
    healthy, damaged = make_microscope(), make_microscope(sensor=counts)
    for microscope in (healthy, damaged):
        microscope.slide = "uniform"
    dark = [dark_frames(m, 30, 500.0) for m in (healthy, damaged)]
    lit = [frames(m, 30, 50.0) for m in (healthy, damaged)]
    pixels = damaged.pixels
    hot, dead, blinking = (tuple(p.T) for p in (pixels.hot_yx, pixels.dead_yx, pixels.blinking_yx))
    assert (len(hot[0]), len(dead[0]), len(blinking[0])) == (7, 5, 6)
    excess_e = (dark[1].mean(axis=0) - 100)[hot] * damaged.mode.gain_e_per_adu
    assert excess_e == pytest.approx(0.5 * 2000, rel=0.03)
    assert np.all(lit[1].mean(axis=0)[dead] - 100 < 0.03 * lit[1].mean())
    two_levels_e = dark[1].std(axis=0)[blinking] * damaged.mode.gain_e_per_adu
    assert two_levels_e == pytest.approx(15, rel=0.15), "half the step of 30 e"
    others = np.ones(lit[1].shape[1:], bool)
    for places in (hot, dead, blinking):
        others[places] = False
    assert np.array_equal(lit[0][:, others], lit[1][:, others])
    assert np.array_equal(dark[0][:, others], dark[1][:, others])


def test_full_well_and_converter_saturate(make_microscope) -> None:
    microscope = make_microscope(sensor=CLEAN)
    microscope.slide = "uniform"
    (by_well,) = frames(microscope, 1, 5000.0)
    well_adu = 30_000 / 0.46 + 100
    assert np.median(by_well) == pytest.approx(well_adu, abs=1) and well_adu < 2**16
    microscope.camera = replace(microscope.camera, mode="12-bit")
    (by_converter,) = frames(microscope, 1, 5000.0)
    assert np.all(by_converter == 4095)


def test_eight_bits_are_bytes(make_microscope) -> None:
    microscope = make_microscope()
    microscope.camera = replace(microscope.camera, mode="8-bit")
    assert microscope.expose().dtype == np.uint8
    microscope.camera = replace(microscope.camera, mode="12-bit")
    assert microscope.expose().dtype == np.uint16


def test_region_is_a_cutting_of_the_full_frame(make_microscope) -> None:
    whole, part = make_microscope(), make_microscope()
    part.set_roi(x=33, y=12, width=51, height=20)
    full, cut = whole.expose(), part.expose()
    assert cut.shape == (20, 51)
    assert np.array_equal(cut, full[12:32, 33:84])


def test_large_frame_read_on_several_cores_is_the_one_read_piece_by_piece(make_microscope) -> None:
    shape = (730, 810)
    large, small = make_microscope(shape), make_microscope(shape)
    assert shape[0] * shape[1] > LEAST_SHARED
    whole = large.expose()
    for x, y, width, height in ((0, 0, 810, 200), (37, 180, 600, 390), (5, 600, 700, 130)):
        small.set_roi(x, y, width, height)
        small.n_frames = 0
        assert np.array_equal(small.expose(), whole[y : y + height, x : x + width])


def test_binning_adds_pixels_and_keeps_one_offset(make_microscope) -> None:
    single, binned = make_microscope((91, 140)), make_microscope((91, 140))
    binned.camera = replace(binned.camera, binning=2)
    fine = single.expose().astype(np.int64)[:90] - 100
    expected = fine.reshape(45, 2, 70, 2).sum(axis=(1, 3)) + 100
    assert np.array_equal(binned.expose(), np.clip(expected, 0, 65535))


def test_region_of_a_binned_camera_is_in_binned_pixels(make_microscope) -> None:
    whole, part = make_microscope(), make_microscope()
    for microscope in (whole, part):
        microscope.camera = replace(microscope.camera, binning=4)
    part.set_roi(x=3, y=5, width=20, height=9)
    assert np.array_equal(part.expose(), whole.expose()[5:14, 3:23])


@pytest.mark.parametrize("roi", [(-1, 0, 5, 5), (0, 0, 0, 5), (100, 0, 41, 5), (0, 80, 5, 11)])
def test_region_outside_the_sensor_is_refused(make_microscope, roi) -> None:
    microscope = make_microscope()
    with pytest.raises(ValueError, match="not within the sensor"):
        microscope.set_roi(*roi)
    assert microscope.camera.roi is None


def test_multiplication_doubles_the_variance_of_the_electrons(make_microscope, flat) -> None:
    """Means grow by the multiplication, and shot noise by F² = 2, whatever else the pixel adds afterwards."""
    microscope = make_microscope((120, 150), sensor=CLEAN, illumination=flat)
    microscope.slide = "uniform"
    microscope.camera = replace(microscope.camera, exposure_ms=1.0, multiplication=20.0)
    electrons = float(microscope.expected_e().mean())
    first, second = frames(microscope, 2, 1.0)
    gain = 20.0 / microscope.mode.gain_e_per_adu
    assert first.mean() - 100 == pytest.approx(gain * electrons, rel=0.02)
    assert (first - second).var() / 2 == pytest.approx(2 * gain**2 * electrons, rel=0.04)
