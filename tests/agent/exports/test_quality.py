"""The QC that held: the latest for this light path, before the acquisition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
from agent.exports.quality import profile_as_measured, qc_that_held
from agent.records import QcResult

Qc = Callable[..., QcResult]


def held(bundle: Bundle, *results: QcResult) -> dict[str, Any]:
    view = view_of(replace(bundle, qc=results))
    return {
        item.metric.metric: item.metric.measured.value for item in qc_that_held(view) if item.metric.measured
    }


def test_latest_result_of_each_figure_holds(bundle: Bundle, qc: Qc) -> None:
    old, new = qc(days=9, metrics={"fwhm_x": 0.3, "fwhm_z": 0.9}), qc(days=2, metrics={"fwhm_x": 0.2})
    assert held(bundle, new, old) == {"fwhm_x": 0.2, "fwhm_z": 0.9}


def test_later_result_does_not_hold(bundle: Bundle, qc: Qc) -> None:
    assert held(bundle, qc(days=-1)) == {}


@pytest.mark.parametrize(
    ("path", "is_held"),
    [
        ({}, True),
        ({"camera": "Camera"}, True),
        ({"camera": "Example sCMOS"}, True),
        ({"camera": "Other"}, False),
        ({"objective": "Nikon 40X Plan Fluor ELWD", "channel": "FITC"}, True),
        ({"objective": "Nikon 10X S Fluor"}, False),
        ({"channel": "Cy5"}, False),
    ],
)
def test_result_of_another_light_path_does_not_hold(
    bundle: Bundle, qc: Qc, path: dict[str, str], is_held: bool
) -> None:
    assert bool(held(bundle, qc(light_path=path))) is is_held


def test_old_result_is_told_and_not_valid(bundle: Bundle, qc: Qc) -> None:
    view = view_of(replace(bundle, qc=(qc(days=91),)))
    assert [item.is_valid for item in qc_that_held(view)] == [False]


def test_what_the_profile_states_is_not_overwritten(bundle: Bundle, qc: Qc) -> None:
    camera = bundle.profile.cameras[0].model_copy(update={"read_noise_e": 1.0})
    profile = bundle.profile.model_copy(update={"cameras": (camera,)})
    results = (qc(routine="dark_noise", metrics={"read_noise_rms_e": 1.4}),)
    assert profile_as_measured(replace(bundle, profile=profile, qc=results)).cameras[0].read_noise_e == 1.0
    assert profile_as_measured(replace(bundle, qc=results)).cameras[0].read_noise_e == 1.4


def test_running_software_gives_its_version(bundle: Bundle) -> None:
    assert profile_as_measured(bundle).software[0].version == "12.5.1"


def test_calibration_has_nbo_names_and_keeps_what_has_none(bundle: Bundle, qc: Qc) -> None:
    results = (
        qc(metrics={"fwhm_x": 0.2, "snr": 30.0}),
        qc(routine="sample_power", metrics={"power": 2.5}, light_path={}),
    )
    entries = {
        item["metric"]: item for item in calibration(view_of(replace(bundle, qc=results)))["evaluations"]
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


def test_yaml_reads_back(bundle: Bundle, qc: Qc) -> None:
    yaml = pytest.importorskip("yaml")
    result = qc(routine="psf", metrics=CASES["psf"], light_path={"channel": "DAPI: Ångström"})
    view = view_of(replace(bundle, qc=(result.model_copy(update={"light_path": {}}),)))
    assert yaml.safe_load(microscopemetrics_yaml(view)) == microscopemetrics(
        view.bundle.qc[0], bundle.profile
    )
