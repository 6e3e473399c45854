"""``scopestamp qc`` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import HardwareError, ScopestampError, SettingsError
from agent.quality.assess import TOLERANCES, limits, routine_named
from agent.quality.options import facts_of, properties_of, read_columns
from agent.quality.plans import (
    BRIGHT_BESIDE,
    DARK_BESIDE,
    DARK_ONLY,
    LEVELS,
    ONE_SIDED,
    plan_of,
    protocol_of,
)
from agent.quality.scene import Scene
from qc_routines.catalogue import ROUTINES
from qc_routines.conditions import Mode, Optics

QC = CliRunner()


def test_list_shows_every_routine():
    done = QC.invoke(app, ["qc", "list"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert all(f" {name} " in done.output for name in ROUTINES)


@pytest.mark.parametrize("name", ROUTINES)
def test_show_gives_inputs_figures_and_limits(name):
    done = QC.invoke(app, ["qc", "show", name], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert all(figure in done.output for figure in ROUTINES[name].figures)


def test_help_states_the_exit_codes_and_imports_no_numba():
    code = "import sys, agent.cli; sys.exit('numba' in sys.modules or 'qc_routines' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    done = QC.invoke(app, ["qc", "analyse", "--help"], env={"COLUMNS": "200"})
    assert "3 the verdict is fail" in done.output


def test_analyse_exits_with_3_when_the_verdict_is_fail(tmp_path: Path):
    y, x = np.ogrid[-1:1:90j, -1:1:120j]
    uneven = (100 + 20000 * np.exp(-((y - 0.7) ** 2 + (x + 0.8) ** 2) / 0.5)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", uneven)
    command = ["qc", "analyse", "illumination", str(tmp_path / "a.tif"), "--set", "offset_adu=100"]
    done = QC.invoke(app, [*command, "--data", str(tmp_path / "data"), "--json"])
    assert done.exit_code == 3
    assert json.loads(done.stdout)["status"] == "fail"
    command += ["--no-keep", "--data", str(tmp_path / "nowhere")]
    shown = QC.invoke(app, command, env={"COLUMNS": "160"})
    assert shown.output.index("Likely causes") < shown.output.index("uniformity")
    assert not (tmp_path / "nowhere").exists(), "told not to, analysing leaves nothing behind"


def test_run_without_hardware_says_what_to_set(tmp_path: Path):
    done = QC.invoke(app, ["qc", "run", "illumination", "--data", str(tmp_path)])
    assert isinstance(done.exception, HardwareError)
    assert "config_file" in str(done.exception)
    assert "Is all of this done?" not in done.output, "nobody puts a slide on for nothing"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["grid"], "--set pitch_um=15"),
        (["dark_current"], "--set conversion_e_per_adu"),
        (["axial_steps", "--set", "stair_um=1"], "--set pitch_um"),
        (["point_detector", "--set", "gain=Camera-Multiplication"], "--set settings="),
        (["point_detector", "--set", "settings=10,20"], "--set gain=DEVICE-PROPERTY"),
        (["psf"], "--emission-nm 520"),
        (["psf", "--mode", "confocal", "--emission-nm", "520"], "--excitation-nm 488"),
        (["psf", "--emission-nm", "520", "--na", "1.4", "--immersion", "air"], "--na and --immersion"),
        (
            ["registration", "--channel", "A", "--channel", "B", "--emission-nm", "520"],
            "one for each channel",
        ),
        (["thin_layer"], "--emission-nm 520"),
        (["photon_transfer", "--set", "n_levels=5"], "n_levels=5 are too few"),
        (["photon_transfer", "--set", "n_levels=2"], "n_levels of at least 3"),
        (["illumination", "--limits", "nowhere.toml"], "nowhere.toml"),
        (
            ["illumination_change", "--reference", "nowhere.tif"],
            "--reference nowhere.tif: there is no such file",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_run_asks_for_what_only_an_option_states_before_anybody_puts_a_slide_in(
    tmp_path: Path, asked: list[str], says: str
):
    settings = tmp_path / "agent.toml"
    settings.write_text('[hardware]\ndriver = "simulated"\nconfig_file = "simulated"\n')
    done = QC.invoke(app, ["qc", "run", *asked, "--config", str(settings), "--data", str(tmp_path / "data")])
    assert isinstance(done.exception, ScopestampError)
    assert says in str(done.exception)
    assert "Is all of this done?" not in done.output
    assert not (tmp_path / "data").exists(), "no hardware was loaded either"


def test_run_shows_what_is_to_be_done_for_what_was_asked(tmp_path: Path):
    settings = tmp_path / "agent.toml"
    settings.write_text('[hardware]\ndriver = "simulated"\nconfig_file = "simulated"\n')
    asked = [
        "autofocus",
        "--set",
        "defocus_um=35",
        "--config",
        str(settings),
        "--data",
        str(tmp_path / "data"),
    ]
    done = QC.invoke(app, ["qc", "run", *asked], input="n\n", env={"COLUMNS": "200"})
    assert "moves z by +35 and -35 um" in done.output and "Is all of this done?" in done.output
    assert not (tmp_path / "data").exists()


# ---- options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"immersion": "honey"}, r"--immersion is air, water"),
        ({"voxel_um": "0.1"}, r"--voxel-um takes Z,Y,X or Y,X"),
        ({"emission_nm": "green"}, r"--emission-nm takes numbers"),
        ({"mode": "wide"}, r"--mode is one of widefield"),
        ({"further": ["colour=red"]}, r"--set colour=red: psf knows "),
    ],
)
def test_option_that_cannot_be_read_is_named(options, says):
    with pytest.raises(SettingsError, match=says):
        facts_of(routine_named("psf"), **options)


def test_options_are_read_as_facts():
    stated = facts_of(
        routine_named("psf"), na=1.2, immersion="water", voxel_um="0.3,0.1,0.1", further=["exposure_ms=20"]
    )
    assert stated == {
        "numerical_aperture": 1.2,
        "immersion_index": 1.333,
        "voxel_z_um": 0.3,
        "voxel_y_um": 0.1,
        "voxel_x_um": 0.1,
        "exposure_ms": 20,
    }


def test_properties_are_split_at_the_first_hyphen():
    assert properties_of(["Light-FITC-Power-percent=20"]) == {("Light", "FITC-Power-percent"): "20"}
    with pytest.raises(SettingsError, match="DEVICE-PROPERTY=VALUE"):
        properties_of(["Light=20"])


def test_table_with_uneven_rows_is_refused(tmp_path: Path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(SettingsError, match="row 2 has 1 cells, and the heading has 2"):
        read_columns(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("routine", "option", "says"),
    [
        ("photon_transfer", "n_levels=abc", "n_levels is a whole number, from 1 on"),
        ("photon_transfer", "n_levels=5.5", "n_levels is a whole number"),
        ("photon_transfer", "n_levels=0", "n_levels is a whole number"),
        ("power_stability", "is_long=maybe", "is_long is true or false"),
        ("power_stability", "interval_s=nan", "interval_s is a number"),
        ("grid", "pitch_um=fifteen", "pitch_um is a number"),
        ("psf", "camera=Orca", "psf knows bead_diameter_um, "),  # an object cannot be stated
        ("psf", "bead_diameter_um", "psf knows bead_diameter_um, "),
    ],
)
def test_option_of_another_kind_is_refused(routine: str, option: str, says: str):
    with pytest.raises(SettingsError, match=says):
        facts_of(routine_named(routine), further=[option])


def test_one_number_is_a_list_of_one_where_several_are_wanted():
    assert facts_of(routine_named("dark_current"), further=["exposures_ms=10"]) == {"exposures_ms": [10]}
    stated = facts_of(routine_named("power_stability"), further=["setting_percent=5,20,80"])
    protocol = protocol_of(routine_named("power_stability"), stated, ("DAPI", "FITC"))
    assert protocol.parameters["setting_percent"] == "5, 20, 80"
    assert protocol.duration_s == 2 * 3 * 300


@pytest.mark.parametrize(
    ("routine", "options", "says"),
    [
        ("photon_transfer", {"n_levels": 2}, "n_levels of at least 3; got 2"),
        ("linearity", {"n_levels": 3}, "n_levels of at least 4; got 3"),
        ("power_linearity", {"n_settings": 1}, "n_settings of at least 4; got 1"),
        ("power_stability", {"n_readings": 3}, "n_readings of at least 10; got 3"),
        ("power_stability", {"setting_percent": (5, 120)}, "setting_percent above 0 and up to 100; got 120"),
        ("sample_power", {"setting_percent": 0}, "setting_percent above 0 and up to 100; got 0"),
    ],
)
def test_protocol_that_cannot_be_measured_is_refused_before_it_is_acquired(routine, options, says):
    with pytest.raises(SettingsError, match=f"cannot be acquired so: expected {says}"):
        protocol_of(routine_named(routine), options)


def test_unknown_routine_is_named():
    with pytest.raises(SettingsError, match="no routine 'psff'; there are: psf, "):
        routine_named("psff")


def test_limits_of_an_instrument_replace_the_general_ones(tmp_path: Path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[illumination]]\nfigure = "uniformity"\nfail_below = 20\nsource = "us"\nverified = false\n'
    )
    chosen = [
        t for t in limits(own) if (t.routine, t.figure, t.against) == ("illumination", "uniformity", "value")
    ]
    assert [t.fail_below for t in chosen] == [20]
    with pytest.raises(SettingsError, match="cannot be read"):
        limits(tmp_path / "nowhere.toml")


def test_limits_go_into_the_wheel_beside_the_routines():
    root = Path(__file__).parents[3]
    wheel = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    assert wheel["force-include"][f"config/{TOLERANCES}"] == f"qc_routines/{TOLERANCES}"
    assert (root / "config" / TOLERANCES).is_file()


# ---- plans

SCENE = Scene(
    {
        ("Core", "ChannelGroup"): "Channel",
        ("Core", "@preset Channel"): "FITC",
        ("Core", "Camera"): "Camera",
        ("Core", "XYStage"): "XY",
        ("Core", "Focus"): "Z",
        ("XY", "@x"): 100.0,
        ("XY", "@y"): -50.0,
        ("Z", "@position"): 7.0,
        ("Nosepiece", "Label"): "Nikon 40X Plan Fluor ELWD 0.60",
    }
)


def test_groups_of_routines_name_routines():
    assert {*BRIGHT_BESIDE, *DARK_BESIDE, *DARK_ONLY, *LEVELS, *ONE_SIDED} <= set(ROUTINES)


def test_plan_stays_where_the_stages_stand():
    routine = routine_named("stage")
    plan = plan_of(routine, protocol_of(routine, {"n_repeats": 2}), ("FITC",), SCENE)
    places = plan.shots[0].sequence["stage_positions"]
    assert (places[0]["x"], places[0]["y"], places[0]["z"]) == (-200.0, -50.0, 7.0)
    assert (places[1]["x"], places[1]["y"]) == (100.0, -50.0)
    assert plan.n_frames == len(plan.facts["stage_yx_um"][0]) == 32


@pytest.mark.parametrize(
    ("name", "lacks", "says"),
    [
        ("stage", "XYStage", "moves the stage"),
        ("pixel_size", "XYStage", "moves the stage"),
        ("psf", "Focus", "moves the focus drive"),
        ("autofocus", "Focus", "moves the focus drive"),
    ],
)
def test_routine_that_moves_what_is_not_there_is_refused(name, lacks, says):
    scene = Scene({key: value for key, value in SCENE.readings.items() if key != ("Core", lacks)})
    routine, optics = routine_named(name), Optics(Mode.WIDEFIELD, 1.4, 1.518, 520.0)
    with pytest.raises(SettingsError, match=rf"{says}, and the configuration has none \(Core, {lacks}\)"):
        plan_of(routine, protocol_of(routine, {}, ("FITC",), optics), ("FITC",), scene)


@pytest.mark.parametrize(("options", "rests_s"), [({}, 0.05), ({"settle_z_s": 0.2}, 0.2)])
def test_focus_drive_rests_at_each_plane_before_the_first_channel_is_taken(options, rests_s):
    routine, optics = routine_named("registration"), Optics(Mode.WIDEFIELD, 1.4, 1.518, 520.0)
    protocol = protocol_of(routine, options, ("FITC", "TRITC"), optics)
    (shot,) = plan_of(routine, protocol, ("FITC", "TRITC"), SCENE, options).shots
    assert shot.sequence["metadata"] == {"settle_z_s": rests_s}
    assert shot.sequence["axis_order"] == "tpzc"


def test_plan_of_levels_is_one_acquisition_for_each_exposure_and_dark_frames():
    routine = routine_named("photon_transfer")
    plan = plan_of(routine, protocol_of(routine, {"n_levels": 3}), ("FITC",), SCENE)
    assert [(shot.role, shot.is_dark) for shot in plan.shots] == [("image", False)] * 3 + [("dark", True)]
    assert {c["config"] for shot in plan.shots for c in shot.sequence["channels"]} == {"FITC"}


def test_label_of_the_objective_is_told_as_such():
    facts = SCENE.facts()
    assert facts["numerical_aperture"] == (
        0.6,
        "read off the label 'Nikon 40X Plan Fluor ELWD 0.60'; check it",
    )
    assert facts["immersion_index"][0] == 1.0
