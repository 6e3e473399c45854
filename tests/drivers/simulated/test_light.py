"""Light source, power meter and thermometer over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.simulated.light import steady_power_mw
from drivers.simulated.truth import Channel, Light, Room

CHANNEL = Channel("FITC", 475, 520, full_power_mw=20.0)


def test_power_is_linear_but_for_the_stated_bend() -> None:
    light = Light(nonlinearity=0.1, hours=0.0, warm_up_fraction=0.0)
    set_points = np.linspace(0, 1, 11)
    power_mw = np.array([steady_power_mw(light, CHANNEL, s, 1e9) for s in set_points])
    assert power_mw[[0, -1]] == pytest.approx([0.0, 20.0])
    assert (power_mw - 20 * set_points).max() == pytest.approx(20 * 0.1 / 4)


def test_lamp_warms_up_and_ages() -> None:
    light = Light(warm_up_fraction=0.2, warm_up_s=300.0, hours=2000.0, decay_per_1000_h=0.1)
    cold, part, warm = (steady_power_mw(light, CHANNEL, 1.0, s) for s in (0.0, 300.0, 1e6))
    assert warm == pytest.approx(20 * np.exp(-0.2))
    assert cold / warm == pytest.approx(0.8)
    assert part / warm == pytest.approx(1 - 0.2 / np.e)


def test_switching_the_lamp_off_and_on_starts_the_warm_up_again(make_microscope) -> None:
    microscope = make_microscope(light=Light(flicker=0.0))
    cold_mw = microscope.power_mw()
    microscope.clock.sleep(7200)
    warm_mw = microscope.power_mw()
    microscope.switch_lamp(True)
    assert microscope.power_mw() == warm_mw, "it was on"
    microscope.switch_lamp(False)
    assert microscope.power_mw() == 0
    microscope.switch_lamp(True)
    assert microscope.power_mw() == pytest.approx(cold_mw) and cold_mw < warm_mw


def test_frames_and_readings_flicker(make_microscope) -> None:
    microscope = make_microscope(light=Light(flicker=0.03, warm_up_fraction=0.0))
    microscope.slide = "uniform"
    means = np.array([microscope.expose().mean() - 100 for _ in range(250)])
    assert means.std() / means.mean() == pytest.approx(0.03, rel=0.15)
    microscope.slide = "power meter"
    readings_mw = np.array([microscope.read_power_mw() for _ in range(250)])
    assert readings_mw.std() / readings_mw.mean() == pytest.approx(0.03, rel=0.15)
    assert abs(np.corrcoef(means, readings_mw)[0, 1]) < 0.25


def test_meter_reads_the_power_behind_the_objective(make_microscope) -> None:
    microscope = make_microscope()
    microscope.slide = "power meter"
    truth = microscope.truth
    for label in ("10x/0.30", "100x/1.45 oil"):
        microscope.objective = label
        readings_mw = [microscope.read_power_mw() for _ in range(50)]
        expected_mw = microscope.power_mw() * truth.objective(label).transmission + truth.light.meter_zero_mw
        assert np.mean(readings_mw) == pytest.approx(expected_mw, abs=4 * 0.002 / np.sqrt(50))
    assert microscope.expose().mean() == pytest.approx(100, abs=1), "the camera sees no light then"


@pytest.mark.parametrize(("slide", "is_open"), [("uniform", True), ("power meter", False)])
def test_meter_reads_its_zero_without_light(make_microscope, slide: str, is_open: bool) -> None:
    microscope = make_microscope()
    microscope.slide, microscope.shutter_open = slide, is_open
    readings_mw = [microscope.read_power_mw() for _ in range(50)]
    assert np.mean(readings_mw) == pytest.approx(0.001, abs=4 * 0.002 / np.sqrt(50))


def test_each_line_has_its_own_power(make_microscope) -> None:
    microscope = make_microscope()
    microscope.set_points["DAPI"] = 0.25
    fitc_mw = microscope.power_mw()
    microscope.channel = "DAPI"
    assert microscope.power_mw() / fitc_mw == pytest.approx(8.0 * 0.25 / (10.0 * 0.5))


def test_temperature_swings_by_day(make_microscope) -> None:
    microscope = make_microscope(room=replace(Room(), noise_degc=0.0))
    readings = []
    for _ in range(48):
        readings.append(microscope.read_temperature_degc())
        microscope.clock.sleep(1800)
    assert np.ptp(readings) == pytest.approx(0.8, abs=0.01)
    assert np.mean(readings) == pytest.approx(22.5, abs=0.01)
