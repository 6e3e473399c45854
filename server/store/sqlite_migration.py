"""Bringing a SQLite file forward. What is written lies in its write-ahead log until it is committed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from server.errors import SettingsError, StoreError
from server.store.migration import Migration, Room, Tell, check_still
from server.store.sqlite import SqliteConnection
from server.store.steps import parts_from
from server.store.versions import SCHEMA_VERSION

_PATIENCE_S = 2.0
_SMALL_BYTES = 16 << 20
"""What new tables and small indices take at most."""


class SqliteMigration(Migration):
    """A file; held, nobody else has it open.

    Raises
    ------
    SettingsError
        There is none, or its version cannot be brought forward.
    StoreError
        It is no file of SQLite, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SettingsError(
                f"There is no {path.name} in {path.parent}; name the collector's folder with --data."
            )
        self._path = path
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE_S)) as looking:
                (self.before,) = looking.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"Cannot read {path}: {error}.") from error
        self.parts = parts_from("sqlite", self.before, str(path))
        self._file = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
        self.connection = SqliteConnection(self._file)

    def hold(self) -> None:
        # In this mode SQLite says whether anybody else has the file open, also when they do nothing.
        try:
            self._file.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._file.execute("PRAGMA wal_autocheckpoint=0")
            self._file.execute("BEGIN EXCLUSIVE")
            (version,) = self._file.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            raise SettingsError(
                f"Cannot have {self._path} alone ({error}): stop the collector on it, and whatever else has it open."
            ) from error
        check_still(self.before, version, str(self._path))

    def room(self) -> Room:
        writes_anew = any(part.writes_anew for part in self.parts)
        needed = (self._path.stat().st_size if writes_anew else 0) + _SMALL_BYTES
        return Room(needed, shutil.disk_usage(self._path.parent).free, str(self._path.parent))

    def run(self, tell: Tell) -> None:
        try:
            self._do_parts(tell)
            self._do(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._do("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"Cannot migrate {self._path}: {error}. Nothing was changed.") from error

    def _do(self, statements: str) -> None:
        for statement in statements.split(";"):
            self._file.execute(statement)

    def close(self) -> None:
        self._file.close()
