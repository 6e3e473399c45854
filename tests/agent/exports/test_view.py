"""Profile, plan and live state joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.exports import Bundle, view_of
from agent.exports.facts import facts_of
from agent.exports.view import AcquisitionView
from agent.records import Profile, PropertyRef


def test_light_path_of_each_channel_comes_from_its_preset(view: AcquisitionView) -> None:
    paths = [
        [getattr(channel, key).name for key in ("excitation", "dichroic", "emission", "light")]
        for channel in view.channels
    ]
    assert paths == [
        ["D360/40x", "400DCLP", "HQ620/60m", "Spectra X"],
        ["HQ480/40x", "Q505LP", "HQ535/50m", "Spectra X"],
    ]


def test_objective_and_camera_come_from_the_state(view: AcquisitionView) -> None:
    assert view.objective is not None and view.objective.state == "Nikon 40X Plan Fluor ELWD"
    assert view.camera is not None and view.camera.device == "Camera"


def test_positions_have_planned_names_and_measured_places(view: AcquisitionView) -> None:
    assert [place.name for place in view.positions] == ["A1", "A2"]
    assert view.positions[1].x_um == 120.0
    assert view.positions[1].y_um == pytest.approx(80, abs=0.01)
    assert str(view.positions[0].x_um) == "0.0"


def test_every_frame_is_a_plane(view: AcquisitionView) -> None:
    assert len(view.planes) == 44
    assert {(plane.position, plane.c, plane.z) for plane in view.planes} == {
        (p, c, z) for p in range(2) for c in range(2) for z in range(11)
    }


@pytest.mark.parametrize(
    ("section", "update", "words"),
    [
        ("cameras", {"array_width_px": 2048}, "the device says 512 pixels in X, the profile 2048"),
        ("cameras", {"bit_depth": 12}, "the device says a bit depth of 16, the profile 12"),
        (
            "cameras",
            {"pixel_width_um": 6.5},
            "0.25 µm, pixel pitch and magnification of the profile make 0.1625 µm",
        ),
    ],
)
def test_contradiction_is_told_and_nothing_overwritten(
    bundle: Bundle, section: str, update: dict[str, Any], words: str
) -> None:
    part = getattr(bundle.profile, section)[0].model_copy(update=update)
    changed = replace(bundle, profile=bundle.profile.model_copy(update={section: (part,)}))
    assert any(words in text for text in view_of(changed).contradictions)
    assert changed.profile.cameras[0] == part


def test_no_contradiction_in_the_example(view: AcquisitionView) -> None:
    assert view.contradictions == ()


def test_empty_profile_joins_to_nothing(bundle: Bundle) -> None:
    view = view_of(replace(bundle, profile=Profile()))
    assert view.objective is None and view.camera is None
    assert all(channel.light is None and channel.excitation is None for channel in view.channels)


def test_state_by_number_is_its_label(bundle: Bundle) -> None:
    plan = bundle.finished.plan
    channel = plan.channels[0].model_copy(update={"settings": {"Excitation-State": "1"}})
    finished = bundle.finished.model_copy(update={"plan": plan.model_copy(update={"channels": (channel,)})})
    (only,) = view_of(replace(bundle, finished=finished)).channels
    assert only.excitation is not None and only.excitation.state == "Chroma-HQ480"


def test_cube_brings_its_filters(bundle: Bundle) -> None:
    from agent.records import FilterCube

    cube = FilterCube(
        name="cube",
        device="Dichroic",
        state="Q505LP",
        excitation="D360/40x",
        dichroic="400DCLP",
        emission="HQ535/50m",
    )
    changed = replace(bundle, profile=bundle.profile.model_copy(update={"filter_cubes": (cube,)}))
    fitc = view_of(changed).channels[1]
    assert fitc.cube == cube
    assert fitc.excitation is not None and fitc.excitation.name == "D360/40x"


@pytest.mark.parametrize(
    ("unit", "maximum", "setting", "expected"),
    [
        ("%", None, "40", (40.0, None)),
        ("mW", None, "12.5", (None, 12.5)),
        (None, 250.0, "50", (20.0, None)),
        ("V", 5.0, "1", (20.0, None)),
        ("V", None, "1", (None, None)),
        ("%", None, "full", (None, None)),
    ],
)
def test_power_setting_is_percent_or_mw_or_not_known(
    bundle: Bundle, unit: str | None, maximum: float | None, setting: str, expected: tuple[float | None, ...]
) -> None:
    ref = PropertyRef(device="LED", property="State", unit=unit)
    light = bundle.profile.light_sources[0].model_copy(
        update={"intensity": ref, "intensity_maximum": maximum}
    )
    plan = bundle.finished.plan
    channel = plan.channels[0].model_copy(
        update={"settings": plan.channels[0].settings | {"LED-State": setting}}
    )
    finished = bundle.finished.model_copy(update={"plan": plan.model_copy(update={"channels": (channel,)})})
    profile = bundle.profile.model_copy(update={"light_sources": (light,)})
    (only,) = view_of(replace(bundle, finished=finished, profile=profile)).channels
    assert (only.power_percent, only.power_mw) == expected


@pytest.mark.parametrize(("unit", "expected"), [("Cel", 20.0), ("K", -253.15), ("furlong", None)])
def test_climate_in_an_unknown_unit_is_left_out(bundle: Bundle, unit: str, expected: float | None) -> None:
    ref = PropertyRef(device="Camera", property="Exposure", unit=unit)  # holds 20.0
    part = bundle.profile.environment[0].model_copy(update={"temperature": ref})
    view = view_of(replace(bundle, profile=bundle.profile.model_copy(update={"environment": (part,)})))
    fact = facts_of(view).get("environment.temperature_c")
    assert (fact.value if fact else None) == expected


def test_interrupted_acquisition_without_state_can_be_joined(bundle: Bundle) -> None:
    finished = bundle.finished.model_copy(update={"before": None, "after": None, "images": ()})
    view = view_of(replace(bundle, finished=finished, frames=None, instrument=None))
    assert view.objective is None and len(view.positions) == 2
    assert view.channels[0].excitation is not None  # the preset says which
