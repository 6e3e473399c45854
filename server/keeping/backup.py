"""A copy of the store in one SQLite file, taken while the collector runs, and the way back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from server.errors import SettingsError, StoreError
from server.keeping.copying import copy_store
from server.opening import open_store
from server.settings import Settings
from server.store import SqliteStore
from server.store.sqlite import FILE_NAME, open_reader


def write_backup(data: Path, settings: Settings, target: Path) -> int:
    """Copy the store of a data folder to a new file, check the copy, and return its size in bytes.

    The copy is one moment of the store: whatever is committed while it is written is not in it.
    """
    if target.exists():
        raise SettingsError(f"{target} exists already; name a new file.")
    if settings.store.postgresql:
        with (
            closing(open_store(data, settings, does_checkpoint=False)) as source,
            closing(SqliteStore(target.parent, file_name=target.name)) as copy,
        ):
            for _ in copy_store(source, copy):
                pass
    else:
        _copy(_file_in(data), target)
    return target.stat().st_size


def restore_backup(source: Path, data: Path, settings: Settings) -> int:
    """Put a backup into a data folder without a store, check it, and return its size in bytes.

    Raises
    ------
    SettingsError
        There is a store already, or PostgreSQL is set: `store copy` fills that.
    """
    if not source.is_file():
        raise SettingsError(f"There is no file {source}.")
    if settings.store.postgresql:
        raise SettingsError(
            "This collector works on PostgreSQL: restore into a folder, then `store copy` it there."
        )
    target = data / FILE_NAME
    if target.exists():
        raise SettingsError(f"{data} holds a store already; restore into an empty folder.")
    data.mkdir(parents=True, exist_ok=True)
    _copy(source, target)
    SqliteStore(data, does_checkpoint=False).close()  # knows its schema, or says what to do
    return target.stat().st_size


def _file_in(data: Path) -> Path:
    source = data / FILE_NAME
    if not source.is_file():
        raise SettingsError(f"There is no {FILE_NAME} in {data}; name the collector's folder with --data.")
    return source


def _copy(source: Path, target: Path) -> None:
    try:
        with closing(open_reader(source)) as reader, closing(sqlite3.connect(target)) as copy:
            reader.backup(copy)
            (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"Cannot copy {source} to {target}: {error}.") from error
    if verdict != "ok":
        raise StoreError(
            f"The copy {target} is damaged ({verdict}); check the disks, and keep older backups."
        )
