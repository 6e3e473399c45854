"""A profile from the loaded configuration: parts that are named, guesses that are marked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.profile import check_profile, prefilled, profile_toml, read_profile, stated_of
from agent.profile.labels import filter_in, is_empty, objective_in
from agent.records import InstrumentDescription, Source, decode

RECORD = Path(__file__).parents[1] / "exports" / "records" / "instrument.json"


@pytest.fixture
def instrument() -> InstrumentDescription:
    record = decode(RECORD.read_bytes())
    assert isinstance(record, InstrumentDescription)
    return record


def test_prefilled_names_what_the_demo_configuration_names(instrument: InstrumentDescription) -> None:
    profile = prefilled(instrument)
    assert [item.state for item in profile.objectives] == [
        "Nikon 40X Plan Fluor ELWD",
        "Nikon 10X S Fluor",
        "Nikon 20X Plan Fluor ELWD",
    ]
    assert {item.role for item in profile.filters} == {"excitation", "dichroic", "emission"}
    assert [item.device for item in profile.cameras] == ["Camera"]
    assert {item.device for item in profile.stages} == {"XY", "Z"}
    assert {item.preset for item in profile.channels} >= {"DAPI", "FITC", "Rhodamine", "Cy5"}


def test_prefilled_marks_every_guess(instrument: InstrumentDescription) -> None:
    objective = prefilled(instrument).objectives[0]
    assert objective.magnification == 40 and objective.correction == "PlanFluor"
    assert set(objective.derived) == {"manufacturer", "magnification", "correction", "immersion"}
    stated = stated_of(prefilled(instrument), instrument.captured.wall_at)
    assert stated["Objective"][f"{objective.state}/magnification"].source is Source.DERIVED


def test_prefilled_survives_its_file(instrument: InstrumentDescription) -> None:
    profile = prefilled(instrument)
    assert read_profile(profile_toml(profile)) == profile


def test_check_of_a_prefilled_profile_asks_for_what_no_device_knows(
    instrument: InstrumentDescription,
) -> None:
    findings = check_profile(prefilled(instrument), instrument)
    missing = {item.text for item in findings if item.level == "missing"}
    assert {"Objective.LensNA is asked for", "CMOS.PixelWidth is asked for", "pid is mandatory"} <= missing
    assert not any(item.level == "error" for item in findings)
    assert {item.who for item in findings} <= {"facility", "agent", "device", "qc", "operator", "vendor"}


def test_check_tells_parts_that_join_to_nothing(instrument: InstrumentDescription) -> None:
    profile = read_profile(
        '[[cameras]]\nname = "c"\ndevice = "Cam"\ndetector_type = "cmos"\n'
        '[[objectives]]\nname = "o"\ndevice = "Objective"\nstate = "Zeiss 63x"\n'
        '[[filter_cubes]]\nname = "q"\nexcitation = "no such"\n'
        '[[channels]]\npreset = "DAPI"\nlight_source = "Sun"\n'
    )
    errors = [item.text for item in check_profile(profile, instrument) if item.level == "error"]
    assert any("no device 'Cam' is loaded" in text for text in errors)
    assert any("no position 'Zeiss 63x'" in text for text in errors)
    assert any("name of a filter, came 'no such'" in text for text in errors)
    assert any("name of a light source, came 'Sun'" in text for text in errors)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (
            "Nikon 40X Plan Fluor ELWD 0.60",
            {
                "magnification": 40.0,
                "na": 0.6,
                "correction": "PlanFluor",
                "immersion": "air",
                "manufacturer": "Nikon",
            },
        ),
        (
            "1-Plan Apo λ 60x/1.42 Oil",
            {"magnification": 60.0, "na": 1.42, "correction": "PlanApo", "immersion": "oil"},
        ),
        ("Zeiss Plan-Apochromat 63x/1.4 Oil DIC", {"magnification": 63.0, "na": 1.4, "has_dic": True}),
        ("Olympus UPlanSApo 30x/1.05 Sil", {"correction": "UPlanApo", "immersion": "silicone_oil"}),
        ("10x/0.3 Ph1", {"magnification": 10.0, "na": 0.3, "modulation": "ph1"}),
        ("2.5x", {"magnification": 2.5}),
        ("63x/1.2 W Korr", {"immersion": "water"}),
    ],
)
def test_objective_labels_are_read(label: str, expected: dict[str, Any]) -> None:
    assert expected.items() <= objective_in(label).items()


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("525/50", [{"cut_on_nm": 500.0, "cut_off_nm": 550.0}]),
        ("BP 450-490", [{"cut_on_nm": 450.0, "cut_off_nm": 490.0}]),
        ("LP 590", [{"cut_on_nm": 590.0}]),
        ("400DCLP", [{"cut_on_nm": 400.0}]),
        ("SP680", [{"cut_off_nm": 680.0}]),
        (
            "440/40 521/21",
            [{"cut_on_nm": 420.0, "cut_off_nm": 460.0}, {"cut_on_nm": 510.5, "cut_off_nm": 531.5}],
        ),
        ("Chroma-HQ535", None),
    ],
)
def test_filter_labels_are_read(label: str, expected: Any) -> None:
    assert filter_in(label).get("bands") == expected


@pytest.mark.parametrize("label", ["", "Empty", "State-3", "Position 4", "Objective-5", "Closed", "7"])
def test_labels_that_say_nothing_are_left_out(label: str) -> None:
    assert is_empty(label)


def test_check_tells_units_that_cannot_be_converted() -> None:
    profile = read_profile(
        '[[environment]]\nname = "e"\ntemperature = { device = "D", property = "T", unit = "furlong" }\n'
        '[[light_sources]]\nname = "l"\nsource_type = "led"\nintensity = { device = "L", property = "I", unit = "V" }\n'
    )
    errors = [item.text for item in check_profile(profile) if item.level == "error"]
    assert any("came 'furlong'" in text for text in errors)
    assert any("% or mW" in text for text in errors)
