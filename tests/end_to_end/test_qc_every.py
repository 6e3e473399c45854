"""Closed loop, what no frame of beads or of a field tells: power, autofocus, heights, lines, exposures, and coming back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from scipy.optimize import curve_fit

pytest.importorskip(
    "mm_test_adapters", reason="needs Micro-Manager's demo adapters: pip install mm-test-adapters"
)

from agent.errors import HardwareError, SettingsError
from agent.hardware import HardwareProcess
from agent.quality.assess import routine_named
from agent.quality.facts import MissingFactError
from agent.quality.history import History
from agent.quality.restore import RESTORE_FILE
from agent.quality.run import Outcome, Request, Watcher, own_hardware, run_routine
from agent.settings import AgentSettings
from drivers.simulated import FAULTS, Truth
from drivers.simulated.layer import axial_response
from drivers.simulated.light import steady_power_mw
from qc_routines.verdict import Status

ROWS, COLUMNS = 208, 352
HEALTHY = Truth()
CALL_S = 60.0
NEVER_STILL = {"PowerMeter", "Thermometer"}
AIR_20X = {("Objective", "Label"): "20x/0.75"}
METER: dict[str, Any] = {"slide": "power meter"}


@pytest.fixture(scope="module")
def settings(settings_for: Callable[[int, int], AgentSettings]) -> AgentSettings:
    return settings_for(ROWS, COLUMNS)


def still(hardware: HardwareProcess) -> dict[tuple[str, str], Any]:
    readings = hardware.call("read_all", CALL_S)
    return {(r["device"], r["property"]): r["value"] for r in readings if r["device"] not in NEVER_STILL}


def findings(outcome: Outcome) -> list[str]:
    return [advice.finding for advice in outcome.result.advice]


# ---- power: no frame is taken


def true_power_mw(percent: float, channel_name: str = "FITC") -> float:
    """At the sample, warm."""
    channel, objective = HEALTHY.channel(channel_name), HEALTHY.objective("60x/1.40 oil")
    return steady_power_mw(HEALTHY.light, channel, percent / 100, 1e9) * objective.transmission


def test_power_linearity_finds_how_bent_the_light_is(run, microscope):
    before = still(microscope[0])
    outcome = run("power_linearity", **METER, options={"wait_s": 0.0})
    table = outcome.verdict.measurement.table
    setting, power = np.asarray(table["setting_percent"]), np.asarray(table["power_mw"])
    assert setting.tolist() == [p for p in [*range(0, 101, 10), *range(100, -1, -10)] for _ in range(3)]
    shape = np.array([true_power_mw(p) for p in setting])
    factor = float(power.sum() / shape.sum())
    assert 1 - HEALTHY.light.warm_up_fraction - 0.01 < factor < 1.01
    assert np.abs(power - factor * shape).max() < 5 * HEALTHY.light.flicker * shape.max() + 0.02
    assert outcome.result.parameters["meter"] == "PowerMeter-Power-mW"
    assert outcome.result.light_path["light"] == "LightSource-FITC-Power-percent"
    assert still(microscope[0]) == before


def test_power_stability_of_an_aged_lamp_is_warned_of(run):
    options = {"interval_s": 0.0, "n_readings": 250}  # the scatter is known to 4.5 %
    healthy = run("power_stability", **METER, options=options)
    aged = run("power_stability", "power meter", "lamp aged", options=options)
    assert (healthy.verdict.status, aged.verdict.status) == (Status.PASS, Status.WARN)
    aged_light = FAULTS["lamp aged"].apply(HEALTHY).light
    assert aged.verdict.measurement.value("nsd") == pytest.approx(100 * aged_light.flicker, rel=0.25)
    assert "the source ages or its cooling fails" in findings(aged)
    assert healthy.result.light_path["setting"] == "20 %"


def test_sample_power_is_held_against_time_zero(run, microscope, settings):
    options = {"wait_s": 0.0, "setting_percent": 50}
    zero = run("sample_power", **METER, options=options)
    assert zero.verdict.measurement.value("power") == pytest.approx(true_power_mw(50), rel=0.1)
    History(settings.data_path).set_baseline(zero.result)
    aged = run("sample_power", "power meter", "lamp aged", options=options)
    assert aged.verdict.status is Status.WARN
    assert aged.verdict.measurement.value("ratio_to_reference") < 0.8
    assert findings(aged)


def test_light_that_could_be_several_properties_is_asked_for(run):
    with pytest.raises(MissingFactError, match="There is no property Laser-Power"):
        run("power_linearity", **METER, options={"light": "Laser-Power"})


LIGHTS = ("DAPI", "FITC", "Cy5")


def test_one_run_goes_through_several_lines_each_with_its_own_truth(run, microscope):
    before = still(microscope[0])
    outcome = run("power_linearity", **METER, channels=LIGHTS, options={"wait_s": 0.0, "n_settings": 6})
    measured = outcome.verdict.measurement
    setting, power, line = (measured.table[name] for name in ("setting_percent", "power_mw", "line"))
    assert list(dict.fromkeys(line.tolist())) == list(LIGHTS)
    for name in LIGHTS:
        true_mw = np.array([true_power_mw(p, name) for p in setting[line == name]])
        factor = float(power[line == name].sum() / true_mw.sum())
        assert 1 - HEALTHY.light.warm_up_fraction - 0.01 < factor < 1.01
        noise_mw = 5 * HEALTHY.light.flicker * true_mw.max() + 0.02
        assert np.abs(power[line == name] - factor * true_mw).max() < noise_mw
        assert measured.value(f"slope[{name}]") == pytest.approx(0.01 * true_power_mw(100, name), rel=0.12)
    assert outcome.result.parameters["lines"] == "DAPI, FITC, Cy5"
    assert outcome.result.light_path["channel"] == "DAPI + FITC + Cy5"
    assert outcome.result.light_path["light"].count("LightSource-") == 3
    assert still(microscope[0]) == before


def test_stability_is_read_at_several_settings_in_one_run(run):
    options = {"interval_s": 0.0, "n_readings": 120, "setting_percent": (5, 80)}
    outcome = run("power_stability", **METER, options=options)
    measured = outcome.verdict.measurement
    for percent in (5, 80):
        mean_mw = measured.value(f"mean_power[{percent} %]")
        assert mean_mw == pytest.approx(true_power_mw(percent), rel=0.1, abs=0.01)
        # the meter's noise is the same at either setting, the lamp's grows with it
        noise = np.hypot(HEALTHY.light.flicker, HEALTHY.light.meter_noise_mw / mean_mw)
        assert measured.value(f"nsd[{percent} %]") == pytest.approx(100 * noise, rel=0.3)
    assert outcome.result.light_path["setting"] == "5, 80 %"


def test_line_that_fades_is_the_one_that_is_warned_of(run, settings):
    options = {"wait_s": 0.0, "setting_percent": 50}
    zero = run("sample_power", **METER, channels=LIGHTS, options=options)
    History(settings.data_path).set_baseline(zero.result)
    faded = run("sample_power", "power meter", "Cy5 line fading", channels=LIGHTS, options=options)
    assert faded.verdict.status is Status.WARN
    for name, ratio in (("DAPI", 1.0), ("FITC", 1.0), ("Cy5", 0.6)):
        assert faded.verdict.measurement.value(f"ratio_to_reference[{name}]") == pytest.approx(
            ratio, rel=0.03
        )
    warned = {j.figure.name for j in faded.verdict.judgements if j.status is Status.WARN}
    assert warned == {"ratio_to_reference[Cy5]"}
    assert findings(faded)


def test_lights_without_channels_are_lines_too_and_one_alone_is_lit(run):
    lights = [f"LightSource-{name}-Power-percent" for name in ("FITC", "Cy5")]
    options = {"wait_s": 0.0, "n_settings": 5, "light": ",".join(lights)}
    outcome = run("power_linearity", **METER, options=options)
    measured = outcome.verdict.measurement
    assert measured.value(f"slope[{lights[0]}]") == pytest.approx(0.01 * true_power_mw(100), rel=0.12)
    assert measured.value(f"slope[{lights[1]}]") == pytest.approx(
        0, abs=1e-3
    )  # the filter cube is that of FITC
    judged = {j.figure.name: j.status for j in outcome.verdict.judgements}
    assert judged[f"r2[{lights[0]}]"] is Status.PASS
    assert judged[f"r2[{lights[1]}]"] is Status.WARN


def test_too_few_levels_are_refused_before_there_is_any_light(run, microscope):
    n_frames = microscope[0].call("ping", CALL_S)["n_frames"]
    with pytest.raises(
        SettingsError, match=r"n_levels=5 are too few.*from n_levels=7 on.*longest_exposure_ms"
    ):
        run("photon_transfer", "uniform", options={"n_levels": 5})
    assert microscope[0].call("ping", CALL_S)["n_frames"] == n_frames


# ---- detector: a gain is set, and set back


def test_point_detector_finds_the_gain_that_was_set(run, microscope):
    """Each electron becomes so many of an exponential distribution: F² is 2, and effective photons are half of them."""
    before = still(microscope[0])
    asked = {"gain": "Camera-Multiplication", "settings": [10, 20, 40], "wait_s": 0.0}
    outcome = run("point_detector", "uniform", options={**asked, "exposure_ms": 1.0, "n_frames": 8})
    measurement, e_per_adu = outcome.verdict.measurement, HEALTHY.sensor.modes[0].gain_e_per_adu
    for setting in asked["settings"]:
        gain = measurement.figure(f"gain[{setting}]")
        assert gain.value == pytest.approx(2 * setting / e_per_adu, abs=5 * gain.uncertainty)
        assert gain.uncertainty < 0.02 * gain.value
    assert measurement.value("gain_slope") == pytest.approx(1.0, abs=0.03)
    photons = [measurement.value(f"photons[{setting}]") for setting in asked["settings"]]
    assert max(photons) < 1.1 * min(photons)
    assert [len(outcome.datasets[role]) for role in ("image", "dark")] == [3, 3]
    assert outcome.result.light_path["detector"] == "Camera-Multiplication"
    assert still(microscope[0]) == before


def test_point_detector_sets_no_high_voltage_on_a_guess(run):
    with pytest.raises(MissingFactError, match="--set gain=DEVICE-PROPERTY"):
        run("point_detector", "uniform", options={"settings": [10, 20]})
    with pytest.raises(MissingFactError, match=r"no property PMT-Gain; it may be one of Camera-Gain-e/ADU"):
        run("point_detector", "uniform", options={"settings": [10, 20], "gain": "PMT-Gain"})
    with pytest.raises(MissingFactError, match="--set settings="):
        run("point_detector", "uniform")


# ---- focus


def trials(run: Callable[..., Outcome], fault: str = "") -> Outcome:
    options = {"n_trials": 8, "exposure_ms": 5.0, "emission_nm": (520.0,)}
    return run("autofocus", "beads 0.2 um", fault, options=options)


def test_autofocus_comes_back_as_well_as_it_does(run):
    outcome = trials(run)
    assert outcome.verdict.status is Status.PASS
    z, lock_um = HEALTHY.stage.z, HEALTHY.stage.focus_lock_um
    # what the stack adds: where the drive stops, and its backlash, with which trials end on either side
    largest_nm = 1000 * (lock_um**2 + z.repeatability_um**2 + z.backlash_um**2) ** 0.5
    assert 5 < outcome.verdict.measurement.value("repeatability") < 2.5 * largest_nm
    assert outcome.verdict.measurement.value("success") == 100
    assert len(outcome.datasets["image"]) == 8


def test_autofocus_on_a_weak_reflection_is_warned_of(run):
    outcome = trials(run, "weak reflection")
    assert outcome.verdict.status is Status.WARN
    assert findings(outcome)[0] == "weak or second reflection for a hardware autofocus"


STAIRS: dict[str, Any] = {
    "properties": AIR_20X,
    "options": {"stair_um": 1.0, "pitch_um": 8.0, "exposure_ms": 20.0, "range_um": 13.0, "step_um": 0.6},
}


def true_step_ratio(truth: Truth) -> float:
    """Known over commanded height of a stair: the slide's tilt is added to the stairs, the drive's scale taken off."""
    tilt_um = 8.0 * truth.geometry.slide_tilt_yx[1]
    return (1 + truth.stage.z.scale_error) / (1 + tilt_um)


def test_axial_steps_find_the_true_scale_of_the_drive(run):
    outcome = run("axial_steps", "stairs", **STAIRS)
    assert outcome.verdict.status is Status.PASS
    found = outcome.verdict.measurement.figure("step_ratio")
    assert found.value == pytest.approx(true_step_ratio(HEALTHY), abs=0.01)
    assert outcome.result.n_used >= 12


def test_axial_steps_of_a_drive_that_is_off_are_warned_of(run):
    outcome = run("axial_steps", "stairs", "focus drive off", **STAIRS)
    assert outcome.verdict.status is Status.WARN
    truth = FAULTS["focus drive off"].apply(HEALTHY)
    found = outcome.verdict.measurement
    assert found.value("step_ratio") == pytest.approx(true_step_ratio(truth), abs=0.02)
    assert abs(found.value("backlash") or 0) == pytest.approx(truth.stage.z.backlash_um, abs=0.15)
    assert "z drive or piezo is out of calibration" in findings(outcome)


LAYER: dict[str, Any] = {
    "options": {
        "emission_nm": (520.0,), "mode": "spinning disk", "range_um": 3.0, "step_um": 0.1, "exposure_ms": 20.0,
    },
}  # fmt: skip


def true_layer_fwhm_um(truth: Truth) -> float:
    """Width of a Gaussian fitted to the simulated axial response, which is none, on the drive's own scale."""
    objective, channel = truth.objective("60x/1.40 oil"), truth.channel("FITC")
    pixel_um = truth.pixel_size_um("60x/1.40 oil")
    response = axial_response(objective, truth.pupil, channel.emission_nm, pixel_um)
    z_um = np.linspace(-1.5, 1.5, 301)

    def gaussian(z: np.ndarray, height: float, centre: float, sigma: float, ground: float) -> np.ndarray:
        return height * np.exp(-((z - centre) ** 2) / 2 / sigma**2) + ground

    fitted, _ = curve_fit(gaussian, z_um, np.interp(z_um, *response), (1.0, 0.0, 0.2, 0.0))
    return float(2.3548 * abs(fitted[2])) / (1 + truth.stage.z.scale_error)


def test_thin_layer_is_as_wide_as_the_optics_make_it(run):
    outcomes = [run("thin_layer", "thin layer", **LAYER) for _ in range(9)]
    assert all(outcome.verdict.status is Status.PASS for outcome in outcomes)
    found = [outcome.verdict.measurement for outcome in outcomes]
    fwhm, true_um = [one.figure("fwhm_z") for one in found], true_layer_fwhm_um(HEALTHY)
    # the focus drive repeats to 0.02 um on flanks 0.2 um wide: 3.5 % of one run, 1.2 % of nine
    assert np.mean([figure.value for figure in fwhm]) == pytest.approx(true_um, rel=0.06)
    assert 0.01 * true_um < np.mean([figure.uncertainty for figure in fwhm]) < 0.06 * true_um
    for axis, tilt in zip("yx", HEALTHY.geometry.slide_tilt_yx, strict=True):
        assert found[0].value(f"tilt_{axis}") == pytest.approx(np.degrees(tilt), abs=0.05)


def test_runs_within_a_second_keep_their_own_images(run):
    fast = {"options": LAYER["options"] | {"range_um": 2.0, "step_um": 0.25}}
    kept = [path for _ in range(3) for path in run("thin_layer", "thin layer", **fast).datasets["image"]]
    assert len(set(kept)) == 3
    assert all(path.is_dir() for path in kept)


def test_thin_layer_through_a_damaged_objective_is_wider(run):
    outcome = run("thin_layer", "thin layer", "objective damaged", **LAYER)
    truth = FAULTS["objective damaged"].apply(HEALTHY)
    assert true_layer_fwhm_um(truth) > 1.3 * true_layer_fwhm_um(HEALTHY)
    assert outcome.verdict.measurement.value("fwhm_z") > 1.2 * true_layer_fwhm_um(HEALTHY)
    assert outcome.verdict.measurement.value("tilt_x") is not None


LINES: dict[str, Any] = {
    "options": {
        "first_um": 4.0, "emission_nm": (520.0,), "exposure_ms": 30.0,
        "spacing_um": [0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40],
    },
}  # fmt: skip


def test_line_pairs_are_resolved_down_to_the_optics_limit(run):
    outcome = run("line_pairs", "line pairs", **LINES)
    assert outcome.verdict.status is Status.PASS
    assert outcome.result.n_used == 7
    # contrast of two lines of equal light crosses Rayleigh's between 0.9 and 1.3 times 0.61 wavelength / NA
    assert 0.9 * 0.2266 < outcome.verdict.measurement.value("smallest_resolved") < 1.3 * 0.2266


def test_line_pairs_through_a_damaged_objective_are_resolved_less(run):
    outcome = run("line_pairs", "line pairs", "objective damaged", **LINES)
    smallest_um = outcome.verdict.measurement.value("smallest_resolved")
    assert smallest_um is None or smallest_um > 1.3 * 0.2266


# ---- exposures


def test_exposure_is_found_and_told(run):
    said: list[str] = []
    outcome = run("illumination", "uniform", watcher=Watcher(say=said.append))
    told = outcome.result.parameters
    assert 40 <= told["exposure_level_percent"] <= 60
    assert told["exposure_n_snaps"] <= 8
    assert any("of full scale" in sentence for sentence in said)
    assert any("of full scale" in remark for remark in outcome.result.remarks)
    brightest = outcome.verdict.measurement.value("maximum_signal") / 65_535
    assert 0.38 < brightest < 0.65


def test_exposure_that_is_stated_is_not_searched_for(run):
    outcome = run("illumination", "uniform", options={"exposure_ms": 40.0})
    assert "exposure_n_snaps" not in outcome.result.parameters


def test_defects_are_looked_for_with_light_too(run):
    options = {"n_frames": 12, "shortest_exposure_ms": 5.0}
    outcome = run("defects", "uniform", "camera defect", options=options)
    assert set(outcome.datasets) == {"dark", "bright"}
    truth = FAULTS["camera defect"].apply(HEALTHY).sensor
    found = outcome.verdict.measurement
    assert found.value("n_dead") + found.value("n_cold") == pytest.approx(truth.n_dead, abs=2)


def test_change_of_field_is_told_against_time_zero(run, settings):
    zero = run("illumination", "uniform", options={"exposure_ms": 60.0})
    same = {"options": {"exposure_ms": 60.0}}
    History(settings.data_path).set_baseline(zero.result)
    assert run("illumination_change", "uniform", **same).verdict.status is Status.PASS
    moved = run("illumination_change", "uniform", "misaligned illumination", **same)
    assert moved.verdict.status is not Status.PASS
    assert "lamp, fibre or diaphragm moved" in findings(moved)


# ---- what a run leaves behind


def test_figures_of_a_run_can_be_drawn_afterwards(run, settings):
    from agent.quality.report import report_of

    outcome = run("power_linearity", **METER, options={"wait_s": 0.0, "n_settings": 5})
    history = History(settings.data_path)
    kept = history.run(str(outcome.result.run_id))
    report = report_of(kept, history.measurement(kept))
    assert [picture.png is not None for picture in report.pictures] == [True] * len(report.pictures)
    assert report.pictures


class BrokenOff(KeyboardInterrupt):
    """Ctrl-C."""


@pytest.mark.parametrize(
    ("name", "slide", "options"),
    [
        ("power_linearity", "power meter", {"wait_s": 0.0}),
        ("autofocus", "beads 0.2 um", {"exposure_ms": 15.0}),
        ("axial_steps", "stairs", {"stair_um": 1.0, "pitch_um": 8.0, "exposure_ms": 15.0}),
    ],
)
def test_run_that_is_broken_off_puts_everything_back(run, microscope, settings, name, slide, options):
    before = still(microscope[0])

    def break_off(n: int) -> None:
        if n > 3:
            assert (settings.data_path / "qc" / RESTORE_FILE).is_file(), "written before the first move"
            assert still(microscope[0]) != before
            raise BrokenOff

    with pytest.raises(BrokenOff):
        run(name, slide, properties=AIR_20X, options=options, watcher=Watcher(on_frames=break_off))
    assert still(microscope[0]) == before
    assert not (settings.data_path / "qc" / RESTORE_FILE).exists()


def test_hardware_that_crashes_in_a_run_is_put_back_when_it_is_loaded_again(settings, tmp_path):
    own = settings.model_copy(update={"data_dir": str(tmp_path / "data")})
    request = Request(routine_named("power_linearity"), {"wait_s": 0.0}, slide="power meter")
    said: list[str] = []
    with pytest.raises(HardwareError), own_hardware(own, own.data_path) as (hardware, local):

        def crash(n: int) -> None:
            psutil.Process(hardware.pid).kill()

        run_routine(hardware, local, request, Watcher(on_frames=crash, say=said.append))
    assert any("Not put back" in sentence for sentence in said)
    assert not (own.data_path / "qc" / RESTORE_FILE).exists(), "put back by the process that was loaded again"


KILLED = """
import sys
from pathlib import Path
from agent.quality.assess import routine_named
from agent.quality.run import Request, Watcher, own_hardware, run_routine
from agent.settings import load_settings
settings = load_settings(Path(sys.argv[1]))
def tell(n):
    print(n, flush=True)
    sys.stdin.read()
with own_hardware(settings, settings.data_path) as (hardware, local):
    request = Request(routine_named("power_linearity"), {"wait_s": 0.0}, slide="power meter")
    run_routine(hardware, local, request, Watcher(on_frames=tell))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_plan_of_a_run_that_is_killed_names_what_it_set(settings, tmp_path):
    from agent.quality.restore import RestorePlan

    file = tmp_path / "agent.toml"
    configuration = Path(settings.hardware.config_file).as_posix()
    file.write_text(
        f'data_dir = "{(tmp_path / "data").as_posix()}"\n[hardware]\ndriver = "simulated"\nconfig_file = "{configuration}"\n'
    )
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path.cwd(),
    ) as process:
        assert process.stdout is not None and process.stdout.readline().strip() == b"1"
        children = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(children, timeout=30)
    plan = RestorePlan.read(tmp_path / "data" / "qc" / RESTORE_FILE)
    assert ("LightSource", "FITC-Power-percent", "50.0") in plan.properties
    assert ("Slide", "Label", "beads 0.2 um") in plan.properties
