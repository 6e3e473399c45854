"""Camera characterisation against simulated sensors whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from qc_routines import InputError
from qc_routines.camera import (
    Defect,
    measure_dark_current,
    measure_dark_noise,
    measure_defects,
    measure_linearity,
    measure_photon_transfer,
    measure_uniformity,
    pixel_moments,
)
from qc_routines.camera.moments import PixelMoments
from qc_routines.camera.spatial import spatial_variances
from qc_routines.levels import SATURATING

SHAPE = (200, 312)
GAIN = 0.47
READ_NOISE_E = 2.5


@dataclass
class Sensor:
    """A sensor with fixed pattern, 60 hot pixels, and a lamp that drifts by 2 %."""

    seed: int = 0
    n_hot: int = 60
    drift: float = 0.02
    full_e: float = 115_000.0

    def __post_init__(self) -> None:
        rng = self.rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        self.flat = 1 - 0.3 * ((y / SHAPE[0] - 0.4) ** 2 + (x / SHAPE[1] - 0.6) ** 2)
        self.response = 1 + rng.normal(0, 0.01, SHAPE)
        self.offset = 100 + rng.normal(0, 1.5, SHAPE) + rng.normal(0, 0.8, (SHAPE[0], 1))
        self.hot = np.zeros(SHAPE)
        self.hot.flat[rng.choice(self.hot.size, self.n_hot, replace=False)] = 20_000.0

    def frame(self, light_e: float) -> np.ndarray:
        lamp = 1 + self.drift * self.rng.uniform(-0.5, 0.5)
        electrons = self.rng.poisson(self.flat * self.response * light_e * lamp + self.hot)
        electrons = np.minimum(electrons, self.full_e) + self.rng.normal(0, READ_NOISE_E, SHAPE)
        return np.clip(np.rint(self.offset + GAIN * electrons), 0, 65_535).astype(np.uint16)

    def frames(self, light_e: float, n: int) -> list[np.ndarray]:
        return [self.frame(light_e) for _ in range(n)]


@pytest.fixture(scope="module")
def dark() -> tuple[Sensor, object]:
    sensor = Sensor()
    return sensor, pixel_moments(sensor.frames(0, 50))


# ---- dark noise


def test_dark_noise_is_within_two_percent_with_hot_pixels(dark) -> None:
    measured = measure_dark_noise(dark[1], 1 / GAIN)
    assert measured.value("dark_noise_e") == pytest.approx(READ_NOISE_E, rel=0.02)
    assert measured.value("read_noise_rms_e") > measured.value("dark_noise_e")
    assert 60 <= measured.value("n_pixels_left_out") <= 70


def test_dsnu_is_given_with_and_without_defects_and_by_rows(dark) -> None:
    measured, sensor = measure_dark_noise(dark[1]), dark[0]
    rows = (sensor.offset.mean(axis=1)).std()
    assert measured.value("dsnu") == pytest.approx(sensor.offset.std(), rel=0.02)
    assert measured.value("dsnu_row") == pytest.approx(rows, rel=0.05)
    assert measured.value("dsnu_column") < 0.1
    assert measured.value("dsnu_all") > 100 * measured.value("dsnu")


def test_offset_and_its_drift() -> None:
    rng = np.random.default_rng(1)
    drifting = [rng.normal(100 + 0.05 * i, 3, SHAPE).round().astype(np.uint16) for i in range(40)]
    measured = measure_dark_noise(drifting)
    assert measured.value("offset") == pytest.approx(100 + 0.05 * 19.5, abs=0.05)
    assert measured.value("offset_range") == pytest.approx(0.05 * 39, rel=0.05)
    assert measured.value("dark_noise") == pytest.approx(3.0, rel=0.01), "drift of the frame is not noise"


def test_without_a_conversion_there_are_no_electrons(dark) -> None:
    assert measure_dark_noise(dark[1]).value("dark_noise_e") is None


@pytest.mark.parametrize("n_frames", [8, 20, 100])
def test_noise_of_unequal_pixels_scatters_as_it_says_and_knows_few_frames(n_frames: int) -> None:
    """Runs of one and the same sensor: its pixels' noises are log-normal, and sample variances follow chi squared."""
    rng = np.random.default_rng(n_frames)
    sigma_adu = 3.5 * np.exp(0.25 * rng.standard_normal((60, 80)))
    means = 100 + 0.01 * rng.standard_normal(n_frames)
    truth = {"read_noise_median": np.median(sigma_adu), "read_noise_mean": sigma_adu.mean()}
    found = {name: [] for name in truth}
    for _ in range(200):
        variance = sigma_adu**2 * rng.chisquare(n_frames - 1, sigma_adu.shape) / (n_frames - 1)
        level = np.full(sigma_adu.shape, 100.0, np.float32)
        moments = PixelMoments(n_frames, {}, level, variance.astype(np.float32), level, level, means)
        measured = measure_dark_noise(moments)
        for name, figures in found.items():
            figures.append((measured.value(name), measured.figure(name).uncertainty))
    for name, figures in found.items():
        values, claimed = np.array(figures).T
        assert values.mean() == pytest.approx(truth[name], rel=0.004), name
        assert 0.8 < values.std(ddof=1) / claimed.mean() < 1.25, name


def test_noise_below_half_a_count_states_no_uncertainty() -> None:
    rng = np.random.default_rng(0)
    frames = np.rint(100 + 0.3 * rng.standard_normal((20, 40, 40))).astype(np.uint8)
    found = measure_dark_noise(frames)
    for name in ("read_noise_median", "read_noise_mean", "dark_noise"):
        assert found.figure(name).uncertainty is None, name


def test_dark_noise_uncertainty_covers_the_truth() -> None:
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        series = rng.normal(100, 4, (6, 40, 50)).round().astype(np.uint16)
        figure = measure_dark_noise(series).figure("dark_noise")
        covered.append(abs(figure.value - 4) <= 1.96 * figure.uncertainty)
    assert 0.88 <= np.mean(covered) <= 1.0


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_dark_frames_are_refused(n: int) -> None:
    with pytest.raises(InputError, match=r"usable|at least one"):
        measure_dark_noise(np.random.default_rng(0).integers(90, 110, (n, 9, 8)).astype(np.uint16))


def test_spatial_variances_add_up_and_find_columns() -> None:
    rng = np.random.default_rng(0)
    pattern = rng.normal(0, 3, (1, 400)) + rng.normal(0, 2, (300, 400))
    found = spatial_variances(pattern, np.ones(pattern.shape, bool), noise_adu2=1.0)
    assert found.total == pytest.approx(found.row + found.column + found.pixel)
    assert found.column == pytest.approx(pattern.mean(axis=0).var(), rel=0.02)
    assert found.pixel == pytest.approx(4.0 - 1.0, rel=0.02)


# ---- photon transfer


def transfer(sensor: Sensor, dark, n_levels: int = 30):
    levels = np.linspace(0.04, 1.2, n_levels) * sensor.full_e
    return measure_photon_transfer(dark, (sensor.frames(light, 2) for light in levels))


def test_gain_is_right_with_hot_pixels_and_drifting_lamp(dark) -> None:
    measured = transfer(*dark)
    gain = measured.figure("gain")
    assert gain.value == pytest.approx(GAIN, rel=0.004)
    assert gain.uncertainty < 0.002 * GAIN
    assert measured.value("conversion") == pytest.approx(1 / GAIN, rel=0.004)
    assert measured.value("saturation_signal") == pytest.approx(dark[0].full_e, rel=0.01)
    well = measured.figure("full_well")
    assert well.value == pytest.approx(dark[0].full_e, abs=5 * well.uncertainty)
    assert well.uncertainty < 0.005 * dark[0].full_e
    assert measured.value("dynamic_range") == pytest.approx(20 * np.log10(1.1e5 / (2.55 + 0.5)), abs=1.0)


def test_gain_uncertainty_covers_the_truth() -> None:
    covered, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def pair(light_e: float, rng: np.random.Generator = rng) -> list[np.ndarray]:
            lamps = light_e * (1 + rng.uniform(-0.01, 0.01, 2))
            return [(100 + 2 * rng.poisson(lamp, (60, 70)) + rng.normal(0, 2, (60, 70))).round().astype(np.uint16)
                    for lamp in lamps]  # fmt: skip

        gain = measure_photon_transfer(pair(0), [pair(light) for light in np.linspace(500, 8000, 8)]).figure(
            "gain"
        )
        covered.append(abs(gain.value - 2) <= 1.96 * gain.uncertainty)
        errors.append(gain.value - 2)
    assert 0.87 <= np.mean(covered) <= 1.0
    assert abs(np.mean(errors)) < 3 * np.std(errors) / 40**0.5, "no bias"


def test_a_level_with_a_closed_shutter_is_left_out(dark) -> None:
    sensor, moments = dark
    levels = [sensor.frames(light, 2) for light in np.linspace(4e3, 4e4, 8)]
    levels[3] = sensor.frames(0, 1) * 2
    levels.append([np.zeros(SHAPE, np.uint16)] * 2)
    levels.append([np.ones((3, 4), np.uint16), np.eye(3, 4).astype(np.uint16)])
    measured = measure_photon_transfer(moments, levels)
    assert measured.value("gain") == pytest.approx(GAIN, rel=0.01)
    assert sum(measured.n_rejected.values()) == 3
    assert measured.value("full_well") is None
    assert "saturation" in measured.remarks[0]


@pytest.mark.parametrize(
    ("lights", "message"),
    [([1e4], "at least 3 levels"), ([1e4] * 5, "differ by half"), ([], "at least 3 levels")],
)
def test_too_few_levels_are_refused(dark, lights: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_photon_transfer(dark[1], [dark[0].frames(light, 2) for light in lights])


def test_seven_levels_in_equal_steps_beyond_saturation_do_and_five_do_not(dark) -> None:
    sensor, moments = dark

    def levels(n: int):
        return [sensor.frames(1.25 * sensor.full_e * (k + 1) / n, 2) for k in range(n)]

    assert SATURATING.least_levels == 7
    seven = measure_photon_transfer(moments, levels(7))
    assert seven.n_used >= 3
    assert seven.value("gain") == pytest.approx(GAIN, rel=0.01)
    with pytest.raises(
        InputError, match=r"at least 3 levels with light up to 70% of saturation.*got 2 of .*ADU"
    ):
        measure_photon_transfer(moments, levels(5))


def test_why_levels_are_not_usable_is_said(dark) -> None:
    single = [[dark[0].frames(light, 1)[0]] for light in (1e3, 2e3, 3e3)]
    with pytest.raises(InputError, match="got 0 usable, left out: 3 fewer than 2 usable bright frames"):
        measure_photon_transfer(dark[1], single)


def test_averaged_or_invented_frames_are_refused(dark) -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 5, SHAPE)
    levels = [[(base + level).astype(np.uint16)] * 2 for level in (2000, 4000, 6000, 9000)]
    with pytest.raises(InputError, match="noise that grows with the light"):
        measure_photon_transfer(dark[1], levels)


# ---- linearity, dark current, uniformity


def test_linear_camera_is_linear_and_a_bent_one_is_not() -> None:
    exposure = np.linspace(1, 20, 20)
    straight = measure_linearity(exposure, 500 * exposure + 3)
    bent = measure_linearity(exposure, 500 * exposure * (1 - 0.002 * exposure), saturation_adu=10_000)
    assert straight.value("linearity_error") < 0.05
    assert straight.value("responsivity") == pytest.approx(500, rel=1e-6)
    assert bent.value("linearity_error") > 0.5
    assert bent.value("linearity_error_min") < 0 < bent.value("linearity_error_max")


def test_linearity_leaves_out_what_is_saturated_or_unknown() -> None:
    exposure = np.arange(1.0, 13)
    signal = np.minimum(1000 * exposure, 9600)
    signal[2] = np.nan
    measured = measure_linearity(exposure, signal, saturation_adu=9600)
    assert measured.n_rejected == {"not a number": 1, "outside 5 to 95 %": 3}
    assert measured.value("linearity_error") < 1e-6


@pytest.mark.parametrize("signal", [[1, 2], [0, 0, 0, 0], [np.nan] * 6], ids=["few", "dark", "NaN"])
def test_linearity_refuses(signal: list[float]) -> None:
    with pytest.raises(InputError):
        measure_linearity(np.arange(1.0, len(signal) + 1), signal)


def test_dark_current_by_mean_and_by_variance() -> None:
    rng = np.random.default_rng(2)
    by_exposure = {
        t_ms: pixel_moments(
            (100 + rng.normal(0, 2, SHAPE) + 0.5 * rng.poisson(3 * t_ms / 1000, SHAPE))
            .round()
            .astype(np.uint16)
            for _ in range(10)
        )
        for t_ms in (10_000, 10, 1000, 4000)
    }
    measured = measure_dark_current(by_exposure, conversion_e_per_adu=2.0, sensor_temperature_c=-10)
    assert measured.value("dark_current") == pytest.approx(3, rel=0.01)
    assert measured.value("dark_current_by_variance") == pytest.approx(3, rel=0.03)
    assert measured.parameters["sensor_temperature_c"] == -10
    with pytest.raises(InputError, match="3 exposures"):
        measure_dark_current({10: by_exposure[10]}, 2.0)


def test_prnu_without_the_shape_of_the_light() -> None:
    sensor = Sensor(seed=4, drift=0.005)
    sensor.response *= 1 + np.random.default_rng(9).normal(0, 0.004, (1, SHAPE[1]))
    measured = measure_uniformity(sensor.frames(0, 20), sensor.frames(40_000, 30))
    assert measured.value("prnu_pixel") == pytest.approx(1.0, rel=0.03)
    assert measured.value("prnu_column") == pytest.approx(0.4, rel=0.15)
    assert measured.value("prnu_row") < 0.1
    with pytest.raises(InputError, match="light"):
        measure_uniformity(sensor.frames(0, 3), sensor.frames(0, 3))


# ---- defects


def test_each_kind_of_defect_is_found() -> None:
    rng, n = np.random.default_rng(5), 100
    places = rng.choice(SHAPE[0] * SHAPE[1], 190, replace=False)
    dead, cold, warm, hot, low, noisy, often, rarely = np.split(places, [10, 30, 50, 90, 95, 125, 150])[:8]
    offset, read, response = (
        np.full(SHAPE, 100.0) + rng.normal(0, 1.5, SHAPE),
        np.full(SHAPE, 2.5),
        np.ones(SHAPE),
    )
    response.flat[dead], response.flat[cold], response.flat[warm] = 0, 0.6, 1.4
    offset.flat[hot], offset.flat[low], read.flat[noisy] = 5000, 60, 30

    def frame(light: float) -> np.ndarray:
        adu = offset + rng.normal(0, 1, SHAPE) * read + 0.5 * rng.poisson(light * response)
        adu.flat[often] += 60 * (rng.random(often.size) < 0.4)
        adu.flat[rarely] += 200 * (rng.random(rarely.size) < 0.05)
        return np.clip(np.rint(adu), 0, 65_535).astype(np.uint16)

    measured = measure_defects((frame(0) for _ in range(n)), (frame(20_000) for _ in range(10)))
    found = measured.maps["defects"].ravel()
    for kind, where in {
        Defect.DEAD: dead,
        Defect.COLD: cold,
        Defect.WARM: warm,
        Defect.HOT: hot,
        Defect.LOW: low,
        Defect.NOISY: noisy,
        Defect.BLINKING: np.concatenate([often, rarely]),
    }.items():
        assert np.mean(found[where] & kind > 0) >= 0.95, kind
    assert measured.value("n_dead") == 10
    assert np.count_nonzero(np.delete(found, places)) == 0, "no false alarm among 60 000 good pixels"
    assert measured.table["y_px"].size == measured.value("n_defective")


@pytest.mark.parametrize(("n_frames", "n_maps"), [(10, 24), (20, 12), (100, 3)])
def test_of_millions_of_healthy_pixels_none_is_called_defective(n_frames: int, n_maps: int) -> None:
    """Pixels of an sCMOS sensor differ in offset and, by a log-normal factor, in noise; few frames tell little of it."""
    rng, shape = np.random.default_rng(n_frames), (400, 512)
    for _ in range(n_maps):
        offset = 100 + 0.8 * rng.standard_normal(shape, dtype=np.float32)
        noise = 3.5 * np.exp(0.25 * rng.standard_normal(shape, dtype=np.float32))
        frames = (
            np.rint(offset + noise * rng.standard_normal(shape, dtype=np.float32)).astype(np.uint16)
            for _ in range(n_frames)
        )
        assert measure_defects(frames).value("n_defective") == 0


def test_defects_need_frames_and_do_not_look_for_what_they_cannot_see() -> None:
    frames = np.random.default_rng(0).normal(100, 3, (12, 30, 41)).round().astype(np.uint16)
    assert measure_defects(frames).value("n_dead") is None
    with pytest.raises(InputError, match="at least 10"):
        measure_defects(frames[:5])
