"""How complete: what is counted, what is missing, who can supply it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from agent.exports import Bundle, completeness, view_of
from agent.exports.completeness import missing_of_microscope
from agent.exports.view import AcquisitionView
from agent.records import Profile, QcResult


def test_complete_profile_misses_at_tier_1_only_what_nobody_measures(view: AcquisitionView) -> None:
    report = completeness(view)
    assert [item.nbo for item in report.missing if item.standard == "nbo" and item.tier == 1] == [
        "ImagingEnvironment.CO2Percent",
        "ImagingEnvironment.Humidity",
    ]
    assert report.tiers[0].fraction > 0.95
    assert {item.who for item in report.missing if item.standard == "wg11"} == {"operator"}


def test_empty_profile_says_what_is_missing_and_who_can_supply_it(empty_view: AcquisitionView) -> None:
    report = completeness(empty_view)
    missing = {item.nbo: item for item in report.missing}
    assert missing["Objective.LensNA"].who == "facility"
    assert missing["CMOS.PixelWidth"].field == "cameras.pixel_width_um"
    assert "InvertedMicroscopeStand.Manufacturer" in missing
    assert 0 < report.tiers[0].fraction < 0.4
    assert report.wg11.fraction < 0.3


def test_every_missing_field_lowers_a_score(view: AcquisitionView, bundle: Bundle) -> None:
    before = completeness(view)
    objectives = tuple(item.model_copy(update={"na": None}) for item in bundle.profile.objectives)
    after = completeness(
        view_of(replace(view.bundle, profile=bundle.profile.model_copy(update={"objectives": objectives})))
    )
    assert after.tiers[0].n_present == before.tiers[0].n_present - 1
    assert after.tiers[0].n_required == before.tiers[0].n_required
    assert after.wg11.n_present == before.wg11.n_present - 1


def test_counts_and_list_agree(view: AcquisitionView, empty_view: AcquisitionView) -> None:
    for one in (view, empty_view):
        report = completeness(one)
        for score in report.tiers:
            lacking = [item for item in report.missing if item.standard == "nbo" and item.tier == score.tier]
            assert score.n_required - score.n_present == len(lacking)
            of_classes = [item for item in report.classes if item.tier == score.tier]
            assert sum(item.n_required for item in of_classes) == score.n_required
            assert sum(item.n_present for item in of_classes) == score.n_present


def test_qc_fills_what_the_profile_does_not_state(
    bundle: Bundle, qc: Callable[..., QcResult], with_qc: Callable[..., Bundle]
) -> None:
    lacking = {item.nbo for item in completeness(view_of(bundle)).missing}
    assert {"CMOS.ReadOutNoise", "CMOS.ElectronicConversionFactor", "CMOS.DarkCurrentRate"} <= lacking
    measured = (
        qc(routine="dark_noise", metrics={"read_noise_rms_e": 1.4}),
        qc(routine="photon_transfer", metrics={"conversion": 0.46}),
        qc(routine="dark_current", metrics={"dark_current": 0.06}),
    )
    left = {item.nbo for item in completeness(view_of(with_qc(bundle, *measured))).missing}
    assert not {"CMOS.ReadOutNoise", "CMOS.ElectronicConversionFactor", "CMOS.DarkCurrentRate"} & left


def test_report_is_json(view: AcquisitionView) -> None:
    value = json.loads(json.dumps(completeness(view).as_dict()))
    assert value["scores"][0]["name"] == "NBO Tier 1"


def test_missing_of_a_microscope_without_anything_is_the_stand() -> None:
    assert {item.nbo.partition(".")[0] for item in missing_of_microscope(Profile(), "x")} == {
        "InvertedMicroscopeStand"
    }
