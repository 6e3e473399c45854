"""Closed loop: routines acquire on the simulated microscope through the real core and find what is true of it."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

from agent.errors import HardwareError
from agent.quality.assess import routine_named
from agent.quality.history import History
from agent.quality.restore import RESTORE_FILE, RestorePlan
from agent.quality.run import Outcome, Request, Watcher, own_hardware, run_routine
from agent.quality.scene import Scene
from agent.records import AcquisitionFinished, decode
from agent.settings import AgentSettings
from drivers.simulated import FAULTS, SimulatedMicroscope, Truth
from qc_routines.verdict import Status

ROWS, COLUMNS = 272, 352
HEALTHY = Truth()
TRUTH = replace(HEALTHY, sensor=replace(HEALTHY.sensor, height_px=ROWS, width_px=COLUMNS))
N_SIGMA = 5.0
"""One failure in a million: the lamp warms up in real time, so no two runs see the same photons."""
CALL_S = 60.0
NEVER_STILL = {"PowerMeter", "Thermometer"}
AIR_10X = {("Objective", "Label"): "10x/0.30"}
AIR_20X = {("Objective", "Label"): "20x/0.75"}


@pytest.fixture(scope="module")
def settings(settings_for: Callable[[int, int], AgentSettings]) -> AgentSettings:
    return settings_for(ROWS, COLUMNS)


@pytest.fixture(scope="module")
def rendered() -> ModuleType:
    """What the simulation draws, measured without noise, drive or core."""
    path = Path(__file__).parents[1] / "qc_routines" / "rendered.py"
    spec = importlib.util.spec_from_file_location("rendered", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_found(outcome: Outcome, figure: str, truth: float) -> None:
    """The truth lies within a few stated standard uncertainties."""
    found = outcome.verdict.measurement.figure(figure)
    assert found.value is not None and found.uncertainty is not None
    assert found.value == pytest.approx(truth, abs=N_SIGMA * found.uncertainty), figure


def first_advice(outcome: Outcome) -> str:
    return outcome.result.advice[0].finding


# ---- illumination


def test_illumination_finds_the_true_field(run):
    outcome = run("illumination", "uniform")
    assert outcome.verdict.status is Status.PASS
    field = SimulatedMicroscope(TRUTH).view().flat_field(np.arange(ROWS)[:, None], np.arange(COLUMNS))
    top_y, top_x = np.unravel_index(np.argmax(field), field.shape)
    value = outcome.verdict.measurement.value
    assert value("centre_fit_y") == pytest.approx(top_y, abs=2)
    assert value("centre_fit_x") == pytest.approx(top_x, abs=2)
    rows, columns = ROWS // 10, COLUMNS // 10
    corners = [field[y, x].mean() for y in (slice(rows), slice(-rows, None)) for x in (slice(columns), slice(-columns, None))]  # fmt: skip
    assert value("corner_ratio_least") == pytest.approx(min(corners) / field.max(), rel=0.005)


def test_illumination_misaligned_fails_and_names_the_diaphragm(run):
    outcome = run("illumination", "uniform", "misaligned illumination")
    assert outcome.verdict.status is Status.FAIL
    assert first_advice(outcome) == "the field diaphragm is off-centre"


# ---- PSF

BEADS = {"emission_nm": (520.0,), "bead_diameter_um": 0.2, "immersion_index": 1.515}


def test_psf_finds_the_beads_as_sharp_as_they_are(run, rendered):
    options = {**BEADS, "z_repeatability_um": HEALTHY.stage.z.repeatability_um}
    outcome = run("psf", "beads 0.2 um", options=options)
    assert outcome.verdict.status is Status.PASS
    assert outcome.result.n_used >= 3
    figure = outcome.verdict.measurement.figure
    true_um = rendered.gaussian_fwhm_um(SimulatedMicroscope(TRUTH), "beads 0.2 um")
    assert figure("fwhm_z").uncertainty < 0.06 * true_um[0]  # 0.029 where the drive repeats to 0.02 um
    for axis, truth_um in zip("zyx", true_um, strict=True):
        found = figure(f"fwhm_{axis}")
        assert found.value == pytest.approx(truth_um, abs=0.02 * truth_um + N_SIGMA * found.uncertainty), axis


def test_psf_of_a_damaged_objective_fails_and_names_the_front_lens(run):
    outcome = run("psf", "beads 0.2 um", "objective damaged", options=BEADS)
    assert outcome.verdict.status is Status.FAIL
    assert "front lens" in first_advice(outcome)


# ---- registration

COLOURS: dict[str, Any] = {
    "channels": ("FITC", "TRITC"),
    "options": {"emission_nm": (520.0, 590.0), "bead_diameter_um": 0.5, "exposure_ms": 30.0},
}


def test_registration_finds_the_true_shift(run):
    outcome = run("registration", "multicolour beads 0.5 um", **COLOURS)
    assert outcome.verdict.status is Status.PASS
    green, red = HEALTHY.channel("FITC"), HEALTHY.channel("TRITC")
    for axis, number in (("y", 0), ("x", 1)):
        shift_nm = 1000 * (red.lateral_shift_yx_um[number] - green.lateral_shift_yx_um[number])
        found = outcome.verdict.measurement.value(f"shift_{axis}[FITC-TRITC]")
        assert found == pytest.approx(shift_nm, abs=4), axis
    assert_found(outcome, "shift_z_median[FITC-TRITC]", 1000 * (red.axial_shift_um - green.axial_shift_um))
    assert outcome.verdict.measurement.figure("shift_z_median[FITC-TRITC]").uncertainty < 20


def test_registration_of_shifted_channels_fails_and_names_the_filters(run):
    outcome = run("registration", "multicolour beads 0.5 um", "chromatic shift", **COLOURS)
    assert outcome.verdict.status is Status.FAIL
    assert "filter cube" in first_advice(outcome)


# ---- camera


def test_dark_noise_finds_offset_and_read_noise(run):
    conversion = HEALTHY.mode("16-bit").gain_e_per_adu
    outcome = run("dark_noise", "dark", options={"conversion_e_per_adu": conversion, "n_frames": 40})
    value = outcome.verdict.measurement.value
    assert value("offset") == pytest.approx(HEALTHY.sensor.offset_adu, abs=0.02)
    assert value("read_noise_median_e") == pytest.approx(HEALTHY.mode("16-bit").read_noise_e, rel=0.02)


def test_photon_transfer_finds_the_true_conversion(run):
    outcome = run("photon_transfer", "uniform", options={"n_levels": 5, "longest_exposure_ms": 200.0})
    assert_found(outcome, "conversion", HEALTHY.mode("16-bit").gain_e_per_adu)


def test_defects_are_counted_and_warned_of(run):
    options = {"n_frames": 20, "shortest_exposure_ms": 100.0}
    healthy = run("defects", "dark", options=options)
    assert healthy.verdict.status is Status.PASS
    assert healthy.verdict.measurement.value("n_defective") == 0
    outcome = run("defects", "dark", "camera defect", options=options)
    faulty = FAULTS["camera defect"].apply(TRUTH).sensor
    assert outcome.verdict.status is Status.WARN
    n_restless = faulty.n_hot + faulty.n_blinking  # dead ones do not show in the dark
    assert outcome.verdict.measurement.value("n_defective") == pytest.approx(n_restless, abs=3)
    assert outcome.result.advice


# ---- stage


def test_stage_finds_the_true_backlash_before_and_after_it_has_grown(run):
    options = {"n_repeats": 1, "exposure_ms": 20.0, "wait_s": 0.2}
    healthy = run("stage", "beads 2 um", properties=AIR_20X, options=options)
    assert healthy.verdict.status is Status.PASS
    worn = run("stage", "beads 2 um", "backlash grown", properties=AIR_20X, options=options)
    assert worn.verdict.status is Status.WARN
    assert first_advice(worn) == "backlash of the drive"
    axis = FAULTS["backlash grown"].apply(HEALTHY).stage.x
    # two returns from either side: their means differ by the backlash, to one repeatability
    found_um = abs(worn.verdict.measurement.value("backlash_x") or 0)
    assert found_um == pytest.approx(axis.backlash_um, abs=N_SIGMA * axis.repeatability_um)


PITCH = {"exposure_ms": 50.0, "sensor_pitch_um": HEALTHY.sensor.pixel_pitch_um}


def test_pixel_size_finds_the_true_size_and_rotation(run):
    outcome = run("pixel_size", "beads 2 um", properties=AIR_10X, options=PITCH)
    assert outcome.verdict.status is Status.PASS
    for figure in ("pixel_size", "pixel_size_y", "pixel_size_x"):
        assert_found(outcome, figure, HEALTHY.pixel_size_um("10x/0.30"))
    rotation = outcome.verdict.measurement.figure("rotation")
    away_deg = (
        rotation.value + HEALTHY.geometry.camera_rotation_deg + 90
    ) % 180 - 90  # content goes against the stage
    assert abs(away_deg) < N_SIGMA * rotation.uncertainty
    assert rotation.uncertainty < 0.25  # the stage repeats to 0.15 um in 60 um, ten times: 0.08 in the mean


def test_pixel_size_of_another_objective_than_stated_is_warned_of(run):
    outcome = run("pixel_size", "beads 2 um", properties=AIR_10X, options={**PITCH, "magnification": 20})
    assert outcome.verdict.status is Status.WARN
    assert first_advice(outcome) == "the magnification is not what the settings say"


# ---- what a run leaves behind


def still(readings: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (reading["device"], reading["property"], reading["value"])
        for reading in readings
        if reading["device"] not in NEVER_STILL
    ]


def test_run_is_captured_kept_and_put_into_the_outbox(run, microscope, settings):
    from agent.outbox.inspect import lines

    outcome = run("illumination", "uniform")
    dataset = outcome.datasets["image"][0]
    stamp = decode(dataset.with_name(dataset.name + ".scopestamp.json").read_bytes())
    assert isinstance(stamp, AcquisitionFinished)
    assert outcome.result.acquisition_id == stamp.acquisition_id
    assert {file.name for file in outcome.result.inputs} >= {dataset.name}
    assert History(settings.data_path).run(str(outcome.result.run_id)) == outcome.result
    segments = sorted((settings.data_path / "spool").rglob("*.seg"))
    spooled = [line["record"] for path in segments for line in lines(path) if "record" in line]
    assert str(outcome.result.run_id) in {r["run_id"] for r in spooled if r["kind"] == "qc_result"}


def test_run_puts_everything_back(run, microscope):
    before = still(microscope[0].call("read_all", CALL_S))
    run("illumination", "uniform", properties=AIR_10X, options={"exposure_ms": 40.0})
    assert still(microscope[0].call("read_all", CALL_S)) == before


class BrokenOff(KeyboardInterrupt):
    """Ctrl-C."""


def test_run_that_is_broken_off_puts_everything_back(run, microscope, settings):
    hardware, local = microscope
    before = still(hardware.call("read_all", CALL_S))
    plans = []

    def break_off(n: int) -> None:
        plans.append(json.loads((settings.data_path / "qc" / RESTORE_FILE).read_bytes()))
        raise BrokenOff

    request = Request(routine_named("dark_noise"), {"n_frames": 400}, slide="dark", properties=AIR_10X)
    with pytest.raises(BrokenOff):
        run_routine(hardware, local, request, Watcher(on_frames=break_off))
    assert still(hardware.call("read_all", CALL_S)) == before
    assert ["Objective", "Label", "60x/1.40 oil"] in plans[0]["properties"]
    assert not (settings.data_path / "qc" / RESTORE_FILE).exists()


def test_what_a_killed_run_left_is_put_back_by_the_next(microscope, settings):
    hardware, local = microscope
    before = still(hardware.call("read_all", CALL_S))
    plan = settings.data_path / "qc" / RESTORE_FILE
    RestorePlan.of(Scene.of(hardware.call("read_all", CALL_S))).write(plan)
    hardware.call("set_preset", CALL_S, group="Channel", preset="Cy5")
    hardware.call("set_property", CALL_S, device="Objective", property="Label", value="10x/0.30")
    hardware.call("acquire", CALL_S, sequence={"stage_positions": [{"x": 500, "y": -300, "z": 4}]})
    said: list[str] = []
    request = Request(routine_named("illumination"), {"exposure_ms": 40.0}, slide="uniform")
    outcome = run_routine(hardware, local, request, Watcher(say=said.append))
    assert "cut off" in said[0]
    assert outcome.result.light_path == {"objective": "60x/1.40 oil", "camera": "Camera", "channel": "FITC"}
    assert still(hardware.call("read_all", CALL_S)) == before
    assert not plan.exists()


def test_hardware_that_a_daemon_holds_is_left_alone(microscope, settings):
    with (
        pytest.raises(HardwareError, match=r"holds the hardware\. Stop it"),
        own_hardware(settings, Path(settings.data_dir)),
    ):
        pytest.fail("loaded")
