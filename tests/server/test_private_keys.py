"""Keys of the collector's own: made once, for its owner alone, whole or not at all."""

from __future__ import annotations

import sys

import pytest

from server import private_keys
from server.errors import SettingsError
from server.private_keys import private_key_at


def test_key_is_made_once(tmp_path):
    path = tmp_path / "a.key"
    first = private_key_at(path, "").private_bytes_raw()
    assert private_key_at(path, "").private_bytes_raw() == first
    assert private_key_at(tmp_path / "b.key", "").private_bytes_raw() != first


@pytest.mark.skipif(sys.platform == "win32", reason="files have no mode there")
def test_key_is_for_its_owner_alone(tmp_path):
    private_key_at(tmp_path / "a.key", "")
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "ab", "no key at all", "é"])
def test_what_is_no_key_is_told_and_left_alone(tmp_path, content):
    path = tmp_path / "a.key"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"a\.key: .* Restore it\."):
        private_key_at(path, "Restore it.")
    assert path.read_text(encoding="utf-8") == content


def test_disk_that_is_full_leaves_no_half_of_a_key(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as now:
        now.setattr(private_keys.os, "fsync", full)
        with pytest.raises(SettingsError, match="No space left"):
            private_key_at(tmp_path / "a.key", "")
    assert list(tmp_path.iterdir()) == []
    private_key_at(tmp_path / "a.key", "")
