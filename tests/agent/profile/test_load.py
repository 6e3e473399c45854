"""Reading a profile: what is wrong is told with line and key."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from agent.profile import ProfileError, load_profile, profile_schema, profile_toml, read_profile
from agent.profile.lines import key_lines, line_of

ROOT = Path(__file__).parents[3]


def test_load_reads_the_example() -> None:
    profile = load_profile(ROOT / "config" / "instrument.toml")
    assert profile.objectives[1].na == 0.6
    assert profile.facility.rrid == "RRID:SCR_018315"


def test_load_of_the_example_written_again_is_the_same() -> None:
    profile = load_profile(ROOT / "config" / "instrument.toml")
    again = read_profile(profile_toml(profile))
    assert again == profile
    assert again.sha256 == profile.sha256


def test_empty_file_is_a_valid_profile() -> None:
    assert read_profile("").sections()


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("version = 3", 1, "version", "a text in quotes, came 3"),
        ('[stand]\nname = "x"\nmanufactuer = "N"', 3, "stand.manufactuer", "did you mean manufacturer"),
        ('[[objectives]]\nname = "a"\nna = "0.5"', 3, "objectives[1].na", "a number, came '0.5'"),
        (
            '[[objectives]]\nname = "a"\n[[objectives]]\nname = "b"\n\nna = 3.0',
            6,
            "objectives[2].na",
            "less than 2.5",
        ),
        ('[[objectives]]\nname = "a"\nimmersion = "olive oil"', 3, "objectives[1].immersion", "'oil'"),
        ("[[objectives]]\nna = 1.2", 1, "objectives[1].name", "this key to be there"),
        ('[organisation]\nror = "https://ror.org/05a28rw59"', 2, "organisation.ror", "check digits"),
        ('[facility]\nrrid = "SCR_12"', 2, "facility.rrid", "RRID:SCR_018315"),
        ('[instrument]\npid = "somewhere"', 2, "instrument.pid", "a DOI, a Handle"),
        ('[instrument]\nlanding_page = "www.x.org"', 2, "instrument.landing_page", "https://"),
        ('[instrument]\ncommissioned = "soon"', 2, "instrument.commissioned", "date"),
        (
            '[[people]]\ngiven_name = "a"\nfamily_name = "b"\norcid = "0000-0002-1825-0096"',
            4,
            "people[1].orcid",
            "check digit",
        ),
        (
            '[[filters]]\nname = "f"\nrole = "emission"\nbands = [{ cut_on_nm = 500.0, cut_off_nm = 400.0 }]',
            4,
            "filters[1].bands[1]",
            "below cut_off_nm",
        ),
        ("valid_from = 2026-02-01\nvalid_until = 2026-01-01", None, "", "not before valid_from"),
        (
            '[[stages]]\nname = "s"\nstage_type = "xy"\n[[stages]]\nname = "s"\nstage_type = "xy"',
            None,
            "",
            "twice",
        ),
    ],
)
def test_wrong_value_is_told_with_line_and_key(text: str, line: int | None, key: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read_profile(text, "m.toml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (line, key)
    assert words in problem.text
    assert str(caught.value).startswith("m.toml is no valid profile:")


def test_every_error_is_told_in_the_order_of_the_file() -> None:
    text = '[stand]\nnam = "x"\n\n[facility]\nrrid = "?"\n\n[[cameras]]\nname = "c"\ndetector_type = "eye"\n'
    with pytest.raises(ProfileError) as caught:
        read_profile(text)
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(line for line in lines if line)
    assert {problem.key for problem in caught.value.problems} == {
        "stand.nam",
        "stand.name",
        "facility.rrid",
        "cameras[1].detector_type",
    }


def test_broken_toml_is_told_with_its_line() -> None:
    with pytest.raises(ProfileError, match=r"line 2: not valid TOML"):
        read_profile('version = "1"\nvalid_from = \n')


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read"):
        load_profile(tmp_path / "none.toml")


def test_file_of_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes('[facility]\nname = "Zürich"'.encode("latin-1"))
    with pytest.raises(ProfileError, match="UTF-8"):
        load_profile(path)


def test_lines_of_keys_within_long_texts_are_not_taken_for_keys() -> None:
    text = '[instrument]\ndescription = """\nname = "no key"\n"""\nname = "key"\n'
    lines = key_lines(text)
    assert lines["instrument", "name"] == 5
    assert line_of(lines, ("instrument", "owners", 0, "name")) == 1


def test_schema_of_the_file_accepts_the_example_and_refuses_nonsense() -> None:
    schema = profile_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    profile = load_profile(ROOT / "config" / "instrument.toml")
    value = json.loads(profile.model_dump_json(exclude_none=True))
    jsonschema.Draft202012Validator(schema).validate(value)
    value["objectives"][0]["immersion"] = "olive oil"
    assert not jsonschema.Draft202012Validator(schema).is_valid(value)


def test_non_latin_names_survive() -> None:
    text = '[instrument]\nname = "共焦点顕微鏡"\n[organisation]\nname = "Universität Zürich — МГУ"\n'
    assert read_profile(profile_toml(read_profile(text))).organisation.name == "Universität Zürich — МГУ"
