"""Settings from TOML: strict, and told in words what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.errors import SettingsError
from server.running import check_listen
from server.settings import ListenSettings, Settings, load_settings, to_toml

COMMITTED = Path(__file__).parents[2] / "config" / "server.toml"


def test_committed_file_is_what_print_config_prints():
    assert COMMITTED.read_text(encoding="utf-8") == to_toml(Settings())


def test_printed_settings_read_back_the_same(tmp_path):
    changed = Settings(listen=ListenSettings(host="::1", port=1, tls_ends_at_proxy=True))
    path = tmp_path / "server.toml"
    path.write_text(to_toml(changed), encoding="utf-8")
    assert load_settings(path) == changed


def test_no_file_means_defaults():
    assert load_settings(None) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[listen]\nprot = 1", "Did you mean listen.port?"),
        ("[lisen]\nport = 1", "Did you mean listen?"),
        ("[listen]\nport = 70000", "listen.port = 70000"),
        ("[limits]\nxyzzy = 1", "unknown key limits.xyzzy"),
        ("port = [", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, says):
    path = tmp_path / "server.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says.replace("?", r"\?").replace("[", r"\[")):
        load_settings(path)


def test_missing_file_is_said(tmp_path):
    with pytest.raises(SettingsError, match="print-config"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_tls(host):
    check_listen(ListenSettings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "collector.example.org"])
def test_any_other_address_needs_it(host):
    with pytest.raises(SettingsError, match="without TLS"):
        check_listen(ListenSettings(host=host))
    check_listen(ListenSettings(host=host, tls_ends_at_proxy=True))


def test_certificate_and_key_belong_together(tmp_path):
    with pytest.raises(SettingsError, match="belong together"):
        check_listen(ListenSettings(tls_certificate="cert.pem"))
    with pytest.raises(SettingsError, match="no file"):
        check_listen(ListenSettings(tls_certificate=str(tmp_path / "c"), tls_key=str(tmp_path / "k")))
