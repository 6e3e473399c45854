"""Detectors of point scanners against frames of known photons, gain and excess noise."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from qc_routines.detector import measure_point_detector
from qc_routines.errors import InputError
from qc_routines.results import Measurement

SETTINGS = (500.0, 600.0, 700.0, 800.0)
POWER_LAW, GAIN_AT_500_ADU = 7.0, 40.0
SHAPE, N_FRAMES, OFFSET_ADU = (48, 60), 16, 50.0
EXCESS = 1.25
"""F²: each photon gives a gamma-distributed number of counts, of this mean square over squared mean."""


def true_gain_adu(setting: float) -> float:
    """ADU for each photon that was detected."""
    return GAIN_AT_500_ADU * (setting / 500) ** POWER_LAW


def field() -> np.ndarray:
    y, x = np.ogrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    uneven = 1 - 0.2 * (x**2 + y**2)
    return uneven / uneven.mean()


def frames(
    rng: np.random.Generator, gain_adu: float, photons: float, bleaching: float = 0.1, flicker: float = 0.0,
    excess: float = EXCESS, n: int = N_FRAMES,
) -> np.ndarray:  # fmt: skip
    """Return frames of so many photons a pixel; `bleaching` is lost from first to last, of the mean."""
    course = 1 - bleaching * np.linspace(-0.5, 0.5, n) + flicker * rng.standard_normal(n)
    detected = rng.poisson(photons * course[:, None, None] * field())
    counts = rng.gamma(np.maximum(detected / (excess - 1), 1e-12), gain_adu * (excess - 1))
    counts += OFFSET_ADU + rng.normal(0, 3, counts.shape)
    return np.clip(np.round(counts), 0, 65_535).astype(np.uint16)


def run(seed: int, photons: float = 4.0, **more: Any) -> Measurement:
    rng = np.random.default_rng(seed)
    series = [frames(rng, true_gain_adu(setting), photons, **more) for setting in SETTINGS]
    dark = [frames(rng, true_gain_adu(setting), 0.0, n=N_FRAMES) for setting in SETTINGS]
    return measure_point_detector(series, SETTINGS, dark)


@cache
def healthy() -> Measurement:
    return run(0)


def test_gain_photons_and_gain_law_are_the_true_ones() -> None:
    for setting in SETTINGS:
        gain, photons = (healthy().figure(f"{name}[{setting:g}]") for name in ("gain", "photons"))
        assert gain.value == pytest.approx(EXCESS * true_gain_adu(setting), abs=4 * gain.uncertainty)
        assert photons.value == pytest.approx(4 / EXCESS, abs=4 * photons.uncertainty)
        assert gain.uncertainty < 0.02 * gain.value
    slope = healthy().figure("gain_slope")
    assert slope.value == pytest.approx(POWER_LAW, abs=4 * slope.uncertainty)
    assert slope.uncertainty < 0.05 and healthy().value("gain_r2") > 0.999


def test_noise_and_what_stands_still_are_told_apart() -> None:
    noise = (EXCESS / 4 + (3 / (4 * true_gain_adu(700))) ** 2) ** 0.5
    assert healthy().value("cv_noise[700]") == pytest.approx(100 * noise, rel=0.02)
    assert healthy().value("cv_fixed[700]") == pytest.approx(100 * field().std(), rel=0.1)
    assert healthy().value("cv[700]") == pytest.approx(100 * np.hypot(noise, field().std()), rel=0.02)
    assert healthy().value("snr[700]") == pytest.approx(1 / noise, rel=0.02)
    assert healthy().value("bleaching[700]") == pytest.approx(100 * 0.1 / 1.05, abs=1.5)
    assert healthy().value("neighbour_correlation[700]") == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("photons", "more"),
    [(4.0, {}), (0.3, {}), (30.0, {"excess": 1.02}), (4.0, {"flicker": 0.03}), (4.0, {"n": 4})],
    ids=["as usual", "dim", "bright", "flicker", "four frames"],
)
def test_95_percent_intervals_hold_the_truth_as_often_as_they_say(
    photons: float, more: dict[str, Any]
) -> None:
    excess, n, held = more.get("excess", EXCESS), 25, {}
    truth = {
        "gain[700]": excess * true_gain_adu(700),
        "photons[600]": photons / excess,
        "gain_slope": POWER_LAW,
    }
    truth |= {"mean[500]": photons * GAIN_AT_500_ADU, "photons[800]": photons / excess}
    for seed in range(n):
        found = run(seed, photons, **more)
        for name, true in truth.items():
            figure = found.figure(name)
            held[name] = held.get(name, 0) + (abs(figure.value - true) < 1.96 * figure.uncertainty)
    assert min(held.values()) >= 0.8 * n, held
    assert 0.90 <= sum(held.values()) / (n * len(held)) <= 0.995, held


def test_ratio_to_the_best_knows_that_chance_chose_the_best_and_that_light_flickers() -> None:
    own = [EXCESS / 4 + (3 / (4 * true_gain_adu(setting))) ** 2 for setting in SETTINGS]
    cv = np.sqrt(np.array(own) + field().std() ** 2)
    held = []
    for seed in range(25):
        found = run(seed, flicker=0.03)
        figures = [found.figure(f"relative_cv[{setting:g}]") for setting in SETTINGS]
        for figure, true in zip(figures, cv / cv.min(), strict=True):
            if figure.uncertainty is not None:
                held.append(abs(figure.value - true) < 1.96 * figure.uncertainty)
    assert len(held) == 75 and 0.9 <= np.mean(held) <= 0.995


def test_specks_do_not_rule_the_figures() -> None:
    rng = np.random.default_rng(1)
    clean = frames(rng, 400.0, 4.0)
    specked = clean.copy()
    specked[:, ::17, ::19] = 65_535
    dark = frames(rng, 400.0, 0.0)
    one, other = (measure_point_detector([series], [700], [dark]) for series in (clean, specked))
    assert other.table["n_pixels_left_out"].tolist() == [12]
    for name in ("gain[700]", "photons[700]", "cv[700]", "snr[700]"):
        assert other.value(name) == pytest.approx(one.value(name), rel=0.01)
    assert other.value("saturated_fraction[700]") == 0


def test_saturated_setting_is_said_and_is_never_the_best() -> None:
    rng = np.random.default_rng(2)
    series = [frames(rng, gain, 20.0) for gain in (100.0, 4000.0)]
    found = measure_point_detector(series, ["low", "high"], offset_adu=OFFSET_ADU)
    assert found.value("saturated_fraction[high]") > 10
    assert found.value("gain[high]") is None and found.value("photons[high]") is None
    assert found.parameters["best_setting"] == "low" and found.value("relative_cv[low]") == 1
    assert any("high" in remark and "full scale" in remark for remark in found.remarks)


def test_averaged_pixels_are_noticed() -> None:
    """Electronics slower than the dwell make a photon out of two: the correlation of a mean of two neighbours is a half."""
    series = frames(np.random.default_rng(3), 400.0, 4.0).astype(np.float32)
    smeared = (series[:, :, 1:] + series[:, :, :-1]) / 2
    found = measure_point_detector([smeared], [700], offset_adu=OFFSET_ADU)
    assert found.value("neighbour_correlation[700]") == pytest.approx(0.5, abs=0.03)
    assert any("neighbouring pixels" in remark for remark in found.remarks)


def test_detectors_are_compared_by_name() -> None:
    rng = np.random.default_rng(4)
    series = [frames(rng, 200.0, photons) for photons in (2.0, 8.0)]
    found = measure_point_detector(series, ["PMT 1", "HyD 2"], offset_adu=OFFSET_ADU)
    assert found.parameters["best_setting"] == "HyD 2" and found.value("gain_slope") is None
    assert found.value("relative_cv[PMT 1]") == pytest.approx(
        found.value("cv[PMT 1]") / found.value("cv[HyD 2]")
    )


def test_frames_and_settings_that_fail_fail_none_of_the_others() -> None:
    rng = np.random.default_rng(5)
    good, blank = frames(rng, 200.0, 4.0), frames(rng, 200.0, 0.0)
    shut = good.copy()
    shut[3] = blank[3]
    found = measure_point_detector([shut, blank], [500, 600], [frames(rng, 200.0, 0.0)])
    assert found.n_rejected == {
        "other level than the others": 1,
        "frames of a setting that cannot be measured": N_FRAMES,
    }
    assert found.value("gain[500]") == pytest.approx(EXCESS * 200, rel=0.05)
    assert found.value("gain[600]") is None
    assert any("600 cannot be measured: expected light" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("series", "settings", "dark", "message"),
    [
        ([], [], (), "one series for each setting; got 0 and 0"),
        ([np.ones((5, 32, 32), np.uint16)], [1, 2], (), "got 1 and 2"),
        ([np.ones((5, 32, 32), np.uint16)] * 2, [1, 1], (), "every setting once"),
        ([np.ones((5, 32, 32), np.uint16)] * 3, [1, 2, 3], [np.ones((5, 32, 32), np.uint16)] * 2, "got 2"),
        ([np.ones((5, 32, 32), np.uint16)], [1], (), "got 0, left out: 5 one single value"),
        ([np.arange(512, dtype=np.uint16).reshape(2, 16, 16)], [1], (), "at least 3 usable frames"),
        ([np.tile(np.arange(256, dtype=np.uint16).reshape(16, 16), (5, 1, 1))], [1], (), "got equal ones"),
        ([np.zeros((5, 8, 8), np.uint16)], [1], (), "16 x 16 pixels"),
        ([np.zeros((32, 32), np.uint16)], [1], (), "3 axes"),
        (["frames"], [1], (), "numpy array"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(series: Any, settings: Any, dark: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure_point_detector(series, settings, dark)
