"""Versions of the schema, the same for every engine; `server.store.steps` leads from one to the next."""

from __future__ import annotations

from server.errors import SettingsError

SCHEMA_VERSION = 9
OLDEST = 5
"""Those before were never released, and cannot be brought forward."""


def check_version(version: int, where: str) -> None:
    """Refuse a store whose schema this collector does not know.

    Raises
    ------
    SettingsError
        It is newer, or older and not brought forward yet.
    """
    if version > SCHEMA_VERSION:
        raise SettingsError(
            f"{where} was written by a newer collector (schema {version}, this one knows {SCHEMA_VERSION}). "
            "Install that version again."
        )
    if version < SCHEMA_VERSION:
        raise SettingsError(
            f"{where} has schema {version}, this collector works with {SCHEMA_VERSION}: stop every collector on it, make a "
            "backup, and run `scopestamp-server migrate`."
        )
