"""Versions of the schema, the same for every engine."""

from __future__ import annotations

from server.errors import SettingsError

SCHEMA_VERSION = 6
OLDEST = 5
"""Those before were never released, and cannot be brought forward."""

_STANDING = (
    "CREATE INDEX IF NOT EXISTS qc_series_standing ON qc_series (instrument_key, status, captured_at);"
)
MIGRATIONS: dict[int, dict[str, str]] = {6: {"sqlite": _STANDING, "postgresql": _STANDING}}
"""Version to engine to the statements that lead to it from the one before. The schema files always hold the newest."""


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


def steps(engine: str, version: int, where: str) -> list[str]:
    """Return the statements that bring an engine's schema forward from a version, in order.

    Raises
    ------
    SettingsError
        The version is older than any that can be brought forward.
    """
    if version < OLDEST:
        raise SettingsError(
            f"{where} has schema {version}, from before the first release; start in an empty place."
        )
    return [MIGRATIONS[number][engine] for number in range(version + 1, SCHEMA_VERSION + 1)]
