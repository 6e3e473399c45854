"""The QC that held: the latest for this light path, before the acquisition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.exports import Bundle, view_of
from agent.exports.calibration import (
    calibration,
    microscopemetrics,
    microscopemetrics_class,
    microscopemetrics_yaml,
)
from agent.exports.qc_stamp import MOST_FIGURES, qc_stamp, qc_texts
from agent.exports.quality import profile_as_measured
from agent.records import QcResult, QcStamp, QcStatus, sha256_of
from agent.records.wire import MAX_RECORD_BYTES

Qc = Callable[..., QcResult]
WithQc = Callable[..., Bundle]


def stamp_of(bundle: Bundle, *results: QcResult) -> QcStamp:
    return qc_stamp(view_of(bundle), results)


def held(bundle: Bundle, *results: QcResult) -> dict[str, Any]:
    figures = [item.figure for item in stamp_of(bundle, *results).figures]
    return {figure.metric: figure.measured.value for figure in figures if figure.measured}


def test_latest_result_of_each_figure_holds(bundle: Bundle, qc: Qc) -> None:
    old, new = qc(days=9, metrics={"fwhm_x": 0.3, "fwhm_z": 0.9}), qc(days=2, metrics={"fwhm_x": 0.2})
    assert held(bundle, new, old) == {"fwhm_x": 0.2, "fwhm_z": 0.9}


def test_later_result_does_not_hold(bundle: Bundle, qc: Qc) -> None:
    assert held(bundle, qc(days=-1)) == {}


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ({}, ["DAPI", "FITC"]),
        ({"camera": "Camera"}, ["DAPI", "FITC"]),
        ({"camera": "Example sCMOS"}, ["DAPI", "FITC"]),
        ({"camera": "Other"}, []),
        ({"objective": "Nikon 40X Plan Fluor ELWD", "channel": "FITC"}, ["FITC"]),
        ({"objective": "Nikon 10X S Fluor"}, []),
        ({"channel": "Cy5"}, []),
        ({"channel": "DAPI + FITC"}, ["DAPI", "FITC"]),
        ({"channel": "DAPI + Cy5"}, []),
        ({"stage": "XY"}, ["DAPI", "FITC"]),
        ({"stage": "Other"}, []),
        ({"objective": "Nikon 40X Plan Fluor ELWD", "camera": "Camera", "channel": "DAPI"}, ["DAPI"]),
    ],
)
def test_result_holds_for_its_light_path_alone(
    bundle: Bundle, qc: Qc, path: dict[str, str], fits: list[str]
) -> None:
    stamp = stamp_of(bundle, qc(light_path=path))
    assert [item.light_path["channel"] for item in stamp.light_paths] == ["DAPI", "FITC"]
    assert [item.light_path["channel"] for item in stamp.light_paths if item.is_valid] == fits
    assert bool(stamp.figures) is bool(fits)


def test_light_path_is_told_by_the_labels_of_the_hardware(bundle: Bundle) -> None:
    for changed in (bundle, replace(bundle, profile=type(bundle.profile)())):
        assert stamp_of(changed).light_paths[1].light_path == {
            "objective": "Nikon 40X Plan Fluor ELWD",
            "camera": "Camera",
            "channel": "FITC",
            "stage": "XY",
        }


def test_without_any_result_it_is_said_of_every_light_path(bundle: Bundle) -> None:
    assert {item.statement for item in stamp_of(bundle).light_paths} == {
        "no valid QC: nothing was measured on this light path"
    }
    assert qc_texts(None) == {"QC": "no valid QC: the agent did not look it up"}


def test_figure_tells_age_verdict_theory_and_time_zero(bundle: Bundle, qc: Qc) -> None:
    result = qc(days=3)
    (figure,) = stamp_of(bundle, result).figures
    assert figure.age_s == 3 * 86400 and figure.is_valid
    assert figure.figure == result.metrics[0]  # with expected, baseline, limits and status
    assert (figure.run_id, figure.record_id) == (result.run_id, result.record_id)
    assert figure.record_sha256 == sha256_of(result)


def test_time_zero_chosen_later_is_told_too(bundle: Bundle, qc: Qc) -> None:
    zero, result = qc(days=90, metrics={"fwhm_x": 0.25}), qc(days=3, metrics={"fwhm_x": 0.2})
    bare = result.model_copy(
        update={"metrics": tuple(m.model_copy(update={"baseline": None}) for m in result.metrics)}
    )
    (figure,) = qc_stamp(view_of(bundle), [bare], lambda result: zero).figures
    assert figure.figure.baseline and figure.figure.baseline.value == 0.25
    assert figure.record_sha256 == sha256_of(bare)


@pytest.mark.parametrize(
    ("days", "every_days", "is_valid"), [(89, None, True), (91, None, False), (29, 30, True), (31, 30, False)]
)
def test_result_holds_until_it_is_due_again(
    bundle: Bundle, qc: Qc, days: float, every_days: float | None, is_valid: bool
) -> None:
    until = bundle.finished.started.wall_at + timedelta(days=every_days - days) if every_days else None
    stamp = stamp_of(bundle, qc(days=days, valid_until=until))
    assert {item.is_valid for item in (*stamp.figures, *stamp.light_paths)} == {is_valid}
    assert ("no valid QC: the latest, psf of" in stamp.light_paths[0].statement) is not is_valid


def test_worst_verdict_of_what_is_valid_is_the_light_paths(bundle: Bundle, qc: Qc) -> None:
    def judged(status: QcStatus, days: float, routine: str) -> QcResult:
        result = qc(days=days, routine=routine)
        metrics = tuple(metric.model_copy(update={"status": status}) for metric in result.metrics)
        return result.model_copy(update={"metrics": metrics})

    results = judged(QcStatus.WARN, 1, "psf"), judged(QcStatus.FAIL, 200, "drift")
    assert stamp_of(bundle, *results).light_paths[0].status is QcStatus.WARN


def test_figure_that_is_judged_by_two_rules_is_told_with_both(bundle: Bundle, qc: Qc) -> None:
    (metric, *_) = qc().metrics
    other = metric.model_copy(update={"status": QcStatus.UNKNOWN, "rule": "no time zero"})
    twice = qc(days=2).model_copy(update={"metrics": (metric, other)})
    older = qc(days=5)
    stamp = stamp_of(bundle, twice, older)
    assert [item.figure.rule for item in stamp.figures] == [metric.rule, "no time zero"]
    assert {item.run_id for item in stamp.figures} == {twice.run_id}
    assert stamp.light_paths[0].status is QcStatus.PASS


def test_figures_that_say_nothing_are_left_to_the_result(bundle: Bundle, qc: Qc) -> None:
    (metric, *_) = qc().metrics
    bare = {"status": QcStatus.UNKNOWN, "expected": None, "baseline": None}
    metrics = tuple(
        metric.model_copy(update={"metric": name, **bare}) for name in ("corner_ratio", "top_left_ratio")
    )
    stamp = stamp_of(bundle, qc(routine="illumination", metrics=None).model_copy(update={"metrics": metrics}))
    assert [item.figure.metric for item in stamp.figures] == ["corner_ratio"]  # NBO has a field for it


def test_stamp_stays_small_however_much_was_measured(bundle: Bundle, qc: Qc) -> None:
    many = [qc(days=1, metrics={f"fwhm_{i}": 0.2 for i in range(100)}, routine=f"psf{n}") for n in range(10)]
    stamp = stamp_of(bundle, *many)
    assert len(stamp.figures) == MOST_FIGURES
    assert len(stamp.model_dump_json()) < MAX_RECORD_BYTES / 3
    assert stamp.light_paths[0].statement.startswith("valid QC: 1000 figures")


def test_acquisition_without_planned_channels_has_the_channel_that_was_set(bundle: Bundle, qc: Qc) -> None:
    before = bundle.finished.before
    assert before is not None
    now = before.presets["Channel"].model_copy(update={"value": "Cy5"})
    update = {
        "plan": bundle.finished.plan.model_copy(update={"channels": ()}),
        "before": before.model_copy(update={"presets": {**before.presets, "Channel": now}}),
    }
    changed = replace(bundle, finished=bundle.finished.model_copy(update=update))
    (only,) = stamp_of(changed, qc(light_path={"channel": "Cy5"})).light_paths
    assert only.is_valid and only.light_path["channel"] == "Cy5"


def test_what_the_profile_states_is_not_overwritten(bundle: Bundle, qc: Qc, with_qc: WithQc) -> None:
    camera = bundle.profile.cameras[0].model_copy(update={"read_noise_e": 1.0})
    profile = bundle.profile.model_copy(update={"cameras": (camera,)})
    measured = with_qc(bundle, qc(routine="dark_noise", metrics={"read_noise_rms_e": 1.4}))
    assert profile_as_measured(replace(measured, profile=profile)).cameras[0].read_noise_e == 1.0
    assert profile_as_measured(measured).cameras[0].read_noise_e == 1.4


def test_running_software_gives_its_version(bundle: Bundle) -> None:
    assert profile_as_measured(bundle).software[0].version == "12.5.1"


def test_calibration_has_nbo_names_and_keeps_what_has_none(bundle: Bundle, qc: Qc, with_qc: WithQc) -> None:
    results = (
        qc(metrics={"fwhm_x": 0.2, "snr": 30.0}),
        qc(routine="sample_power", metrics={"power": 2.5}, light_path={}),
    )
    entries = {
        item["metric"]: item for item in calibration(view_of(with_qc(bundle, *results)))["evaluations"]
    }
    assert (
        entries["fwhm_x"]["Class"] == "OpticalCalibration"
        and entries["fwhm_x"]["MedianXYSpotSize_FWHM"] == 0.2
    )
    assert entries["power"]["ObseredIlluminationPowerAtSample"] == 2.5
    assert entries["snr"]["Class"] == "other" and entries["snr"]["value"] == 30.0


CASES = {
    "psf": {"fwhm_x": 0.2, "fwhm_y": 0.21, "fwhm_z": 0.6, "peak": 900.0},
    "illumination": {"centre_fit_x": 250.0, "top_left_ratio": 0.8, "maximum_signal": 4000.0},
    "sample_power": {"power": 2.5},
    "power_linearity": {"r2": 0.999, "slope": 0.1, "intercept": 0.0},
    "power_stability": {"stability": 99.0, "mean_power": 2.0},
}


@pytest.mark.timeout(300)
def test_microscopemetrics_accepts_every_kind_and_refuses_a_bad_one(
    standards: Path, linkml: Callable[..., Any], bundle: Bundle, qc: Qc
) -> None:
    schema = standards / "microscopemetrics" / "microscopemetrics_schema.yaml"
    results = [
        qc(routine=name, metrics=metrics, light_path={"channel": "DAPI"}) for name, metrics in CASES.items()
    ]
    cases = [
        (schema, microscopemetrics_class(item), microscopemetrics(item, bundle.profile)) for item in results
    ]
    bad = microscopemetrics(results[0], bundle.profile)
    assert bad is not None
    del bad["microscope"]
    found = linkml([*cases, (schema, "PSFBeadsDataset", bad)])
    assert found[:-1] == [[]] * len(CASES)
    assert any("microscope" in text for text in found[-1])


def test_microscopemetrics_has_no_class_for_other_routines(bundle: Bundle, qc: Qc) -> None:
    assert microscopemetrics(qc(routine="dark_noise"), bundle.profile) is None
    assert microscopemetrics_yaml(view_of(bundle)) == b""


def test_yaml_reads_back(bundle: Bundle, qc: Qc, with_qc: WithQc) -> None:
    yaml = pytest.importorskip("yaml")
    result = qc(routine="psf", metrics=CASES["psf"], light_path={"channel": "DAPI: Ångström"})
    view = view_of(with_qc(bundle, result.model_copy(update={"light_path": {}})))
    assert yaml.safe_load(microscopemetrics_yaml(view)) == microscopemetrics(
        view.bundle.qc[0], bundle.profile
    )
