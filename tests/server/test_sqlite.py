"""What is particular to the SQLite store."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

import pytest

from server.errors import SettingsError, StoreError
from server.store import SqliteStore, sqlite


def pragma(store, name):
    return store._writer.execute(f"PRAGMA {name}").fetchone()[0]


def test_every_commit_is_flushed_and_readers_do_not_block(tmp_path):
    with closing(SqliteStore(tmp_path)) as store:
        assert (pragma(store, "journal_mode"), pragma(store, "synchronous")) == ("wal", 2)


def test_only_the_collector_checkpoints(tmp_path):
    with (
        closing(SqliteStore(tmp_path)) as store,
        closing(SqliteStore(tmp_path, does_checkpoint=False)) as beside,
    ):
        assert pragma(store, "wal_autocheckpoint") > 0
        assert pragma(beside, "wal_autocheckpoint") == 0


def test_file_that_is_gone_is_told(tmp_path):
    with closing(SqliteStore(tmp_path)) as store:
        store.path = tmp_path / "gone.sqlite"
        with pytest.raises(StoreError, match="gone"), store.reading():
            pass


def test_readers_cannot_write(tmp_path):
    with (
        closing(SqliteStore(tmp_path)) as store,
        closing(sqlite.open_reader(store.path)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM users")


def test_file_of_a_newer_collector_is_left_alone(tmp_path):
    with closing(SqliteStore(tmp_path)) as store:
        store._writer.execute(f"PRAGMA user_version={sqlite.SCHEMA_VERSION + 1}")
    with pytest.raises(SettingsError, match="newer collector"):
        SqliteStore(tmp_path)


def test_file_that_is_no_database_is_said_in_words(tmp_path):
    (tmp_path / sqlite.FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="Cannot open"):
        SqliteStore(tmp_path)


def test_folder_that_cannot_be_made_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Cannot open"):
        SqliteStore(tmp_path / "file" / "data")


@pytest.mark.parametrize(("version", "n_warnings"), [((3, 51, 2), 1), ((3, 51, 3), 0)])
def test_sqlite_with_the_wal_reset_bug_is_told_once(tmp_path, monkeypatch, caplog, version, n_warnings):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    with caplog.at_level(logging.WARNING), closing(SqliteStore(tmp_path)):
        SqliteStore(tmp_path, does_checkpoint=False).close()
    assert len(caplog.records) == n_warnings
