"""Settings files outlive versions: what was ever written by print-config is read, and renamed keys are told."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings import AgentSettings, _read, load_settings

GOLDEN = sorted((Path(__file__).parents[1] / "data" / "golden" / "settings").glob("agent-v*.toml"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_settings_of_every_version_are_read_and_say_what_they_said(path):
    settings = load_settings(path)
    written = tomllib.loads(path.read_text("utf-8"))
    assert settings.log.max_bytes == written["log"]["max_bytes"]
    assert settings.capture.poll_interval_s == written["capture"]["poll_interval_s"]
    assert len(written) >= 10


def test_renamed_key_is_read_and_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(_read.RENAMED, "collector.heartbeat_s", "collector.heartbeat_interval_s")
    monkeypatch.setitem(_read.RENAMED, "disk.floor", "spool.floor_bytes")
    path = tmp_path / "agent.toml"
    path.write_text("[collector]\nheartbeat_s = 5.0\n[disk]\nfloor = 7\n")
    with caplog.at_level(logging.WARNING):
        settings = load_settings(path)
    assert (settings.collector.heartbeat_interval_s, settings.spool.floor_bytes) == (5.0, 7)
    assert "heartbeat_s is called collector.heartbeat_interval_s now" in caplog.text


def test_unknown_key_of_a_newer_version_is_named(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text("[collector]\nheartbeat_intervall_s = 5.0\n")
    with pytest.raises(
        SettingsError, match=r"heartbeat_intervall_s \(did you mean \[collector\] heartbeat_interval_s"
    ):
        load_settings(path)


def test_new_name_counts_when_both_are_there(tmp_path, monkeypatch):
    monkeypatch.setitem(_read.RENAMED, "collector.heartbeat_s", "collector.heartbeat_interval_s")
    path = tmp_path / "agent.toml"
    path.write_text("[collector]\nheartbeat_s = 5.0\nheartbeat_interval_s = 9.0\n")
    assert load_settings(path).collector.heartbeat_interval_s == 9.0


def test_every_renamed_key_leads_to_one_of_today():
    for new in _read.RENAMED.values():
        section, _, key = new.partition(".")
        assert key in type(getattr(AgentSettings(), section)).model_fields
