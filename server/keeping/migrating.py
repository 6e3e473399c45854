"""Bringing a store's schema forward, one version after another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from server.errors import SettingsError, StoreError
from server.settings import Settings
from server.store.sqlite import FILE_NAME
from server.store.versions import SCHEMA_VERSION, check_version, steps


def migrate_store(data: Path, settings: Settings) -> tuple[int, int]:
    """Return the schema versions before and after; all steps are one transaction.

    Raises
    ------
    SettingsError
        There is no store, or it is newer than this collector, or older than the oldest that can be brought forward.
    StoreError
        A step failed; nothing was changed.
    """
    if settings.store.postgresql:
        return _migrate_postgresql(settings.store.postgresql)
    path = data / FILE_NAME
    if not path.is_file():
        raise SettingsError(f"There is no {FILE_NAME} in {data}; name the collector's folder with --data.")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return _migrate_sqlite(connection, path)
    except sqlite3.Error as error:
        raise StoreError(f"Cannot migrate {path}: {error}. Nothing was changed.") from error


def _migrate_sqlite(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("BEGIN EXCLUSIVE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for step in _steps("sqlite", version, str(path)):
        for statement in step.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")
    return version, SCHEMA_VERSION


def _migrate_postgresql(dsn: str) -> tuple[int, int]:
    from server.store.postgresql import migrate

    return migrate(dsn, lambda version: _steps("postgresql", version, "The database"))


def _steps(engine: str, version: int, where: str) -> list[str]:
    if version > SCHEMA_VERSION:
        check_version(version, where)
    return steps(engine, version, where)
