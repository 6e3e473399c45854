"""The settings file: read, refused in plain words, and printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.errors import SettingsError
from agent.settings import (
    AgentSettings,
    InstrumentSettings,
    Section,
    StatedFact,
    _models,
    load_settings,
    print_settings,
)

DEFAULT_FILE = Path(__file__).parents[2] / "config" / "agent.toml"

REGENERATE = (
    "python -c \"from pathlib import Path; from agent.settings import *; Path('config/agent.toml')"
    ".write_text(print_settings(AgentSettings()), encoding='utf-8', newline='\\n')\""
)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AgentSettings]:
    monkeypatch.delenv("SCOPESTAMP_DATA_DIR", raising=False)

    def load_text(text: str) -> AgentSettings:
        path = tmp_path / "agent.toml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path)

    return load_text


# ---- values


def test_empty_file_means_the_defaults(load: Callable[[str], AgentSettings]) -> None:
    assert load("") == load_settings(None) == AgentSettings()


def test_default_file_is_the_printed_defaults() -> None:
    printed = print_settings(AgentSettings())
    assert DEFAULT_FILE.read_text("utf-8") == printed, f"config/agent.toml is outdated; run: {REGENERATE}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AgentSettings().capture.queue_size = 1


def test_every_key_is_described_and_has_a_default() -> None:
    for name, field in AgentSettings.model_fields.items():
        section = getattr(AgentSettings(), name)
        fields = type(section).model_fields if isinstance(section, Section) else {name: field}
        for key, described in fields.items():
            assert described.description, f"{name}.{key} has no description"
            assert not described.is_required(), f"{name}.{key} has no default"


def test_paths_are_seen_from_the_file(load: Callable[[str], AgentSettings], tmp_path: Path) -> None:
    settings = load(
        'data_dir = "../data"\n[hardware]\nconfig_file = "scope.cfg"\nadapter_paths = ["a", "b"]\n'
        '[collector]\nca_file = "ca.pem"'
    )
    assert settings.data_path == tmp_path.parent / "data"
    assert settings.hardware.config_file == str(tmp_path / "scope.cfg")
    assert settings.hardware.adapter_paths == (str(tmp_path / "a"), str(tmp_path / "b"))
    assert settings.collector.ca_file == str(tmp_path / "ca.pem")


def test_absolute_paths_and_home_stay(load: Callable[[str], AgentSettings], tmp_path: Path) -> None:
    assert load(f"data_dir = '{tmp_path / 'd'}'").data_path == tmp_path / "d"
    assert load("data_dir = '~/scope'").data_path == Path.home() / "scope"


def test_collector_address_has_no_slash_at_its_end(load: Callable[[str], AgentSettings]) -> None:
    assert load('[collector]\nurl = "https://c.example/scope/"').collector.url == "https://c.example/scope"


def test_demo_is_no_path(load: Callable[[str], AgentSettings]) -> None:
    assert load('[hardware]\nconfig_file = "demo"').hardware.config_file == "demo"


def test_environment_overrides_data_dir(
    load: Callable[[str], AgentSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCOPESTAMP_DATA_DIR", str(tmp_path / "elsewhere"))
    assert load("data_dir = '/from/the/file'").data_path == tmp_path / "elsewhere"
    assert load_settings(None).data_path == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("platform", "where"),
    [("win32", "site_data_path"), ("linux", "user_data_path"), ("darwin", "user_data_path")],
)
def test_data_dir_is_shared_on_windows_and_the_users_elsewhere(
    monkeypatch: pytest.MonkeyPatch, platform: str, where: str
) -> None:
    monkeypatch.setattr(_models.sys, "platform", platform)
    for name in ("site_data_path", "user_data_path"):
        monkeypatch.setattr(_models.platformdirs, name, lambda *_, name=name, **__: Path(name))
    assert AgentSettings().data_path == Path(where)


def test_nameplate_holds_only_what_is_stated(load: Callable[[str], AgentSettings]) -> None:
    instrument = load('[instrument]\nid = "ti2"\nname = "B214"\nmodel = "Ti2-E"').instrument
    assert instrument.nameplate == {"name": "B214", "model": "Ti2-E"}
    assert AgentSettings().instrument.nameplate == {}


def test_device_facts_are_scalars_or_quantities(load: Callable[[str], AgentSettings]) -> None:
    devices = load(
        '[instrument.devices."Cam 1"]\nsensor = "sCMOS"\npixel_pitch = {value = 6.5, unit = "um"}\nwells = 4\n'
        "is_cooled = true"
    ).instrument.devices
    assert devices == {
        "Cam 1": {
            "sensor": StatedFact(value="sCMOS"),
            "pixel_pitch": StatedFact(value=6.5, unit="um"),
            "wells": StatedFact(value=4),
            "is_cooled": StatedFact(value=True),
        }
    }
    assert devices["Cam 1"]["is_cooled"].value is True


def test_byte_order_mark_of_windows_editors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b'\xef\xbb\xbf[instrument]\r\nname = "B214"\r\n')
    assert load_settings(path).instrument.name == "B214"


# ---- errors

MISTAKES = {
    "section": ("[colector]", r"unknown key colector \(did you mean collector\?\)"),
    "key": ("[collector]\nurll = ''", r"unknown key \[collector\] urll \(did you mean \[collector\] url\?\)"),
    "key of another section": (
        "[spool]\nheartbeat_interval_s = 1",
        r"\[spool\] heartbeat_interval_s \(did you mean \[collector\] heartbeat_interval_s\?\)",
    ),
    "key like no other": ("[spool]\nqqqqqq = 1", r"unknown key \[spool\] qqqqqq$"),
    "text for a number": (
        "[hardware]\ncall_deadline_s = '30'",
        r"\[hardware\] call_deadline_s: expected a number, came '30'",
    ),
    "fraction for a count": (
        "[capture]\nqueue_size = 1.5",
        r"queue_size: expected a whole number, came 1\.5",
    ),
    "number for yes or no": ("[capture]\nhash_files = 1", r"hash_files: expected true or false, came 1"),
    "not above zero": (
        "[hardware]\ncall_deadline_s = 0",
        r"call_deadline_s: expected greater than 0, came 0",
    ),
    "not a number": ("[capture]\npoll_pause_ms = nan", r"poll_pause_ms: expected .*nan"),
    "endless": ("[collector]\ntimeout_s = inf", r"timeout_s: expected a finite number, came inf"),
    "choice": (
        "[log]\nlevel = 'loud'",
        r"level: expected 'debug', 'info', 'warning' or 'error', came 'loud'",
    ),
    "value for a table": ("hardware = 3", r"hardware: expected a table, came 3"),
    "text for a list": ("[hardware]\nadapter_paths = 'a'", r"adapter_paths: expected a list, came 'a'"),
    "address": ("[collector]\nurl = 'scope.org'", r"url: expected an address that begins with https://"),
    "id": ("[instrument]\nid = 'a/b'", r"\[instrument\] id: expected letters, digits.*came 'a/b'"),
    "order": (
        "[hardware]\nrestart_backoff_s = 400",
        r"hardware: expected restart_backoff_max_s of at least restart_backoff_s \(400\)",
    ),
    "list as fact": (
        "[instrument.devices.C]\na = [1]",
        r"C\.a\] value: expected a text, a finite number.*\[1\]",
    ),
    "date as fact": ("[instrument.devices.C]\na = 1979-01-01", r"expected a text, a finite number"),
    "nan as fact": ("[instrument.devices.C]\na = nan", r"C\.a\] value: expected a text, a finite number"),
    "unit of nothing": (
        "[instrument.devices.C]\na = {unit = 'um'}",
        r"\] value: expected this key to be there",
    ),
    "two at once": ("[log]\nlevel = 1\nn_files = 0", r"level: .*; \[log\] n_files: "),
    "no TOML": ("a = 1\nb = = 2", r"agent\.toml is not valid TOML: .*line 2, column 5"),
    "Windows path": (r'data_dir = "C:\Users\me"', r"not valid TOML: .*line 1.*single quotes"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_told_in_plain_words(
    load: Callable[[str], AgentSettings], text: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        load(text)
    assert "agent.toml" in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected a settings file at .*none\.toml"):
        load_settings(tmp_path / "none.toml")


def test_other_encodings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes('[instrument]\nname = "Größe"'.encode("utf-16"))
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings(path)


# ---- printing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data_dir = '/some where/else'",
        "[instrument]\nname = 'quote \" backslash \\ µ'\n[hardware]\nadapter_paths = ['a']\nconfig_file = 'demo'",
        "[instrument.devices.'Cam 1']\nsensor = 'sCMOS'\npitch = {value = 6.5, unit = 'um'}\n"
        "[instrument.devices.Empty]\n[capture]\npoll_interval_s = 3",
        "[spool]\nmax_bytes = 5_000_000_000\n[log]\nlevel = 'debug'\n[collector]\nurl = 'https://c.example/'",
    ],
    ids=["defaults", "path", "texts", "devices", "numbers"],
)
def test_printed_settings_are_read_back_alike(load: Callable[[str], AgentSettings], text: str) -> None:
    settings = load(text)
    assert load(print_settings(settings)) == settings


@pytest.mark.parametrize(
    "text", ["Cam.1", "a b", "µ", 'q"', "two\nlines", "", "back\\slash", "'", "]", "#", "\x7f"], ids=ascii
)
def test_any_label_survives_printing(load: Callable[[str], AgentSettings], text: str) -> None:
    devices = {text: {text: {"value": text, "unit": text}, "n": -5, "f": 1e-9}, "other": {}}
    settings = AgentSettings(instrument=InstrumentSettings(name=text, devices=devices))
    assert load(print_settings(settings)) == settings


def test_printed_settings_explain_every_key() -> None:
    lines = print_settings(AgentSettings()).splitlines()
    keys = [i for i, line in enumerate(lines) if " = " in line and not line.startswith("#")]
    assert keys
    assert all(lines[i - 1].startswith("# ") for i in keys)
