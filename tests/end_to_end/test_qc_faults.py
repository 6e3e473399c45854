"""Closed loop, fault by fault: frames through the real core, measured healthy and faulty, judged and explained.

The microscope's clock jumps and all its chance follows from a seed, so that every run of a test sees the same frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

from agent.quality.assess import limits, routine_named
from drivers.simulated import SimulatedMicroscope, Truth, open_simulated
from qc_routines.advice import likely_causes
from qc_routines.camera import photon_transfer_point, pixel_moments
from qc_routines.camera.moments import PixelMoments
from qc_routines.focus import best_focus
from qc_routines.image_positions import image_positions
from qc_routines.results import Measurement
from qc_routines.theory import Expected
from qc_routines.verdict import Status, Verdict, judge

SHAPE = (272, 352)
CONVERSION = Truth().mode("16-bit").gain_e_per_adu


class Bench:
    """A core with the simulated microscope, and what a person would do at it."""

    def __init__(self, core: Any, microscope: SimulatedMicroscope) -> None:
        self.core, self.microscope = core, microscope

    def put_up(self, slide: str, objective: str, shape: tuple[int, int] = SHAPE, fault: str = "") -> None:
        """Start anew with this slide, and with this fault switched on."""
        sensor = replace(Truth().sensor, height_px=shape[0], width_px=shape[1])
        self.microscope.set_up_anew(Truth(seed=5, sensor=sensor))
        for device, label in (("Slide", slide), ("Objective", objective), ("FilterCube", "FITC")):
            self.core.setStateLabel(device, label)
        if fault:
            self.core.setProperty("Faults", fault, "On")
        self.core.setProperty("FocusLock", "Lock", "On")
        self.light(is_on=slide != "dark")

    def light(self, *, is_on: bool) -> None:
        self.core.setAutoShutter(is_on)
        self.core.setShutterOpen(False)

    def frames(self, exposure_ms: float, n: int) -> Iterator[np.ndarray]:
        self.core.setExposure(exposure_ms)
        for _ in range(n):
            self.core.snapImage()
            yield self.core.getImage()

    def moments(self, exposure_ms: float, n: int) -> PixelMoments:
        return pixel_moments(self.frames(exposure_ms, n))

    def wait(self, duration_s: float) -> None:
        self.microscope.clock.sleep(duration_s)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(*open_simulated(seed=5))


def judged(
    measured: Measurement, expected: tuple[Expected, ...] = (), baseline: Mapping[str, float] | None = None
) -> Verdict:
    return judge(measured, limits(), expected, baseline)


def data_sheet(figure: str, value: float, unit: str) -> Expected:
    return Expected(figure, value, unit, "data sheet", "the simulated camera's")


def first_advice(verdict: Verdict) -> str:
    return likely_causes(verdict, routine_named(verdict.measurement.routine).causes)[0].finding


def time_zero(measured: Measurement) -> dict[str, float]:
    return {figure.name: figure.value for figure in measured.figures if figure.value is not None}


# ---- camera


def test_dark_noise_of_a_camera_with_a_light_leak_names_light(bench: Bench) -> None:
    def measured(fault: str = "") -> Measurement:
        bench.put_up("dark", "60x/1.40 oil", fault=fault)
        return routine_named("dark_noise").measure(bench.moments(1.0, 30), CONVERSION)

    healthy = measured()
    median_e, spread = bench.microscope.mode.read_noise_e, bench.microscope.truth.sensor.read_noise_spread
    assert healthy.value("read_noise_median_e") == pytest.approx(median_e, rel=0.03)
    rms_e = float(np.hypot(median_e * np.exp(spread**2), CONVERSION / 12**0.5))
    given = (data_sheet("dark_noise_e", rms_e, "e-"),), time_zero(healthy)
    assert judged(healthy, *given).status is Status.PASS
    assert healthy.value("dark_noise_e") == pytest.approx(rms_e, rel=0.02)
    leaking = judged(measured("light leak"), *given)
    assert leaking.status is Status.WARN
    assert first_advice(leaking) == "light reaches the camera"
    stray_e = bench.microscope.truth.sensor.stray_light_e_per_s / 1000
    rise = leaking.measurement.value("offset") - healthy.value("offset")
    assert rise == pytest.approx(stray_e / CONVERSION, rel=0.01)


def levels(bench: Bench) -> tuple[PixelMoments, dict[float, PixelMoments]]:
    """Return dark frames and pairs at rising exposures, the last of them saturated."""
    bench.light(is_on=False)
    dark = bench.moments(1.0, 16)
    bench.light(is_on=True)
    return dark, {t_ms: bench.moments(t_ms, 4) for t_ms in np.linspace(25.0, 500.0, 20).tolist()}


def test_photon_transfer_of_a_camera_in_another_gain_names_the_gain(bench: Bench) -> None:
    given = (data_sheet("conversion", CONVERSION, "e-/ADU"),)

    def verdict(fault: str = "") -> Verdict:
        bench.put_up("uniform", "20x/0.75", fault=fault)
        dark, pairs = levels(bench)
        return judged(routine_named("photon_transfer").measure(dark, pairs.values()), given)

    healthy, faulty = verdict(), verdict("camera gain off")
    assert (healthy.status, faulty.status) == (Status.PASS, Status.WARN)
    for found, truth in ((healthy, CONVERSION), (faulty, 1.3 * CONVERSION)):
        conversion = found.measurement.figure("conversion")
        assert conversion.value == pytest.approx(truth, abs=5 * conversion.uncertainty)
        assert conversion.uncertainty < 0.003 * truth
    assert first_advice(faulty) == "other gain or readout mode than on the data sheet"


def test_linearity_with_a_restless_lamp_names_the_lamp(bench: Bench) -> None:
    def verdict(fault: str = "") -> Verdict:
        bench.put_up("uniform", "20x/0.75", fault=fault)
        bench.wait(3600)
        dark, pairs = levels(bench)
        signal = [photon_transfer_point(pair, dark).signal_adu for pair in pairs.values()]
        return judged(routine_named("linearity").measure(list(pairs), signal))

    healthy, faulty = verdict(), verdict("lamp unstable")
    assert (healthy.status, faulty.status) == (Status.PASS, Status.WARN)
    assert first_advice(faulty) == "the lamp drifts or flickers during the series"


def test_uniformity_with_a_dusty_window_names_dust(bench: Bench) -> None:
    def verdict(fault: str = "") -> Verdict:
        bench.put_up("uniform", "20x/0.75", fault=fault)
        bench.light(is_on=False)
        dark = bench.moments(200.0, 16)
        bench.light(is_on=True)
        return judged(routine_named("uniformity").measure(dark, bench.moments(200.0, 40)))

    healthy, faulty = verdict(), verdict("sensor window dusty")
    assert (healthy.status, faulty.status) == (Status.PASS, Status.WARN)
    true_percent = 100 * bench.microscope.truth.sensor.response_spread
    assert healthy.measurement.value("prnu") == pytest.approx(true_percent, rel=0.05)
    assert first_advice(faulty).startswith("dust or fingerprints")


def test_dark_current_of_a_warm_camera_names_the_cooling(bench: Bench) -> None:
    def measured(fault: str = "") -> Measurement:
        bench.put_up("dark", "60x/1.40 oil", fault=fault)
        series = {t_ms: bench.moments(t_ms, 10) for t_ms in (10.0, 1000.0, 10_000.0)}
        return routine_named("dark_current").measure(series, CONVERSION)

    healthy = measured()
    current = healthy.figure("dark_current")
    true_e = bench.microscope.truth.sensor.dark_current_e_per_s
    assert current.value == pytest.approx(true_e, abs=5 * current.uncertainty + 0.01 * true_e)
    assert judged(healthy, baseline=time_zero(healthy)).status is Status.PASS
    warm = judged(measured("camera warm"), baseline=time_zero(healthy))
    assert warm.status is Status.WARN
    assert warm.measurement.value("dark_current") == pytest.approx(40 * true_e, rel=0.02)
    assert first_advice(warm) == "sensor warmer than it should be"


# ---- geometry and motion


def test_grid_through_a_displaced_tube_lens_names_the_optics(bench: Bench) -> None:
    def verdict(fault: str = "") -> Verdict:
        bench.put_up("dot grid", "20x/0.75", (900, 1020), fault)
        (image,) = bench.frames(50.0, 1)
        return judged(routine_named("grid").measure(image, 15.0))

    healthy, faulty = verdict(), verdict("tube lens displaced")
    assert (healthy.status, faulty.status) == (Status.PASS, Status.WARN)
    assert first_advice(faulty).startswith("an optical element is not seated")


def test_drift_of_the_focus_names_temperature_first(bench: Bench) -> None:
    steps_um, minutes = 0.5 * np.arange(-4, 5), np.arange(7.0)

    def verdict(fault: str = "") -> Verdict:
        bench.put_up("multicolour beads 0.5 um", "60x/1.40 oil", (200, 260), fault)
        bench.core.setProperty("FocusLock", "Lock", "Off")
        bench.wait(4 * 3600)
        bench.core.setPosition(-bench.microscope.drift_zyx_um()[0])  # as a person who focuses
        zyx_um = [zyx_of(stack, steps_um) for stack in stacks(bench, steps_um, minutes)]
        across = image_positions([middle for _, middle in zyx_um], 6.5 / 60).yx_um
        positions = np.column_stack([[z for z, _ in zyx_um], across])
        return judged(routine_named("drift").measure(60 * minutes, positions, axes="zyx"))

    healthy, faulty = verdict(), verdict("focus drifts")
    assert (healthy.status, faulty.status) == (Status.PASS, Status.WARN)
    velocity = faulty.measurement.figure("velocity_z")
    true_nm_per_min = bench.microscope.truth.drift.steady_zyx_nm_per_min[0]
    assert velocity.value == pytest.approx(-true_nm_per_min, abs=5 * velocity.uncertainty)
    assert first_advice(faulty).startswith("temperature")


def stacks(bench: Bench, steps_um: np.ndarray, minutes: np.ndarray) -> Iterator[np.ndarray]:
    """Give one stack about the present place each minute, always from below."""
    start_s, middle_um = bench.microscope.clock.now_s(), bench.core.getPosition()
    for minute in minutes:
        bench.microscope.clock.has_reached(start_s + 60 * minute)
        bench.core.setPosition(middle_um + float(steps_um[0]) - 2)
        planes = []
        for step in steps_um:
            bench.core.setPosition(middle_um + float(step))
            bench.core.waitForDevice("ZStage")
            bench.wait(0.2)
            planes += list(bench.frames(30.0, 1))
        yield np.stack(planes)


def zyx_of(stack: np.ndarray, steps_um: np.ndarray) -> tuple[float, np.ndarray]:
    focus = best_focus(stack, steps_um)
    return focus.z_um, stack[int(np.argmin(np.abs(steps_um - focus.z_um)))]
