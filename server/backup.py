"""A copy of the store, taken while the collector runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from server.errors import SettingsError, StoreError
from server.store.sqlite import FILE_NAME, open_reader


def write_backup(data: Path, target: Path) -> int:
    """Copy the store of a data folder to a new file, check the copy, and return its size in bytes.

    The copy is one moment of the store: whatever is committed while it is written is not in it.
    """
    source = data / FILE_NAME
    if not source.is_file():
        raise SettingsError(f"There is no {FILE_NAME} in {data}; name the collector's folder with --data.")
    if target.exists():
        raise SettingsError(f"{target} exists already; name a new file.")
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
    return target.stat().st_size
