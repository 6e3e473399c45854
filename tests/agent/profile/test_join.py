"""The profile joined to the instrument's record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agent.profile import load_profile, misfits, nameplate_of, publishable, stated_of
from agent.records import InstrumentDescription, Source, decode

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROFILE = load_profile(ROOT / "config" / "instrument.toml")


def test_stated_values_stand_at_their_device_and_position() -> None:
    stated = stated_of(PROFILE, NOW)
    na = stated["Objective"]["Nikon 40X Plan Fluor ELWD/na"]
    assert na.value == 0.6 and na.source is Source.PROFILE and na.observed_at == NOW
    assert stated["Camera"]["pixel_width_um"].unit == "um"


def test_nameplate_states_the_whole_instrument() -> None:
    plate = nameplate_of(PROFILE, NOW)
    assert plate["pid"].value == "https://doi.org/10.5442/NI000001"
    assert plate["facility"].value == "Example Imaging Facility"


def test_example_fits_the_demo_configuration() -> None:
    record = decode((ROOT / "tests" / "agent" / "exports" / "records" / "instrument.json").read_bytes())
    assert isinstance(record, InstrumentDescription)
    assert misfits(PROFILE, record) == []


def test_people_without_consent_are_not_published() -> None:
    (person,) = PROFILE.people
    silent = person.model_copy(update={"has_consented": False})
    both = PROFILE.model_copy(update={"people": (person, silent)})
    assert publishable(both).people == (person,)
    assert publishable(both).sha256 == PROFILE.sha256
