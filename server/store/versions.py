"""Versions of the schema, the same for every engine."""

from __future__ import annotations

from importlib.resources import files

from server.errors import SettingsError

SCHEMA_VERSION = 9
OLDEST = 5
"""Those before were never released, and cannot be brought forward."""


def _text(name: str) -> str:
    return files("server.store").joinpath(name).read_text(encoding="utf-8")


_STANDING = (
    "CREATE INDEX IF NOT EXISTS qc_series_standing ON qc_series (instrument_key, status, captured_at);"
)
_USAGE_DAYS = {
    "sqlite": """
CREATE TABLE usage_days (
    instrument_key INTEGER NOT NULL,
    day            TEXT NOT NULL,
    zone           TEXT NOT NULL,
    since_at       INTEGER NOT NULL,
    until_at       INTEGER NOT NULL,
    first_at       INTEGER,
    last_at        INTEGER NOT NULL,
    acquiring_s    REAL NOT NULL,
    manual_s       REAL NOT NULL,
    qc_s           REAL NOT NULL,
    n_acquisitions INTEGER NOT NULL,
    n_datasets     INTEGER NOT NULL,
    n_frames       INTEGER NOT NULL,
    n_bytes        INTEGER NOT NULL,
    PRIMARY KEY (instrument_key, day)
) WITHOUT ROWID;
CREATE INDEX usage_days_by_end ON usage_days (instrument_key, until_at);
CREATE INDEX usage_days_spoiled ON usage_days (instrument_key, day) WHERE zone = '';
CREATE TABLE usage_day_people (
    instrument_key INTEGER NOT NULL,
    day            TEXT NOT NULL,
    line           INTEGER NOT NULL,
    person         TEXT,
    person_how     TEXT NOT NULL,
    seconds        REAL NOT NULL,
    n_sessions     INTEGER NOT NULL,
    n_acquisitions INTEGER NOT NULL,
    n_frames       INTEGER NOT NULL,
    PRIMARY KEY (instrument_key, day, line)
) WITHOUT ROWID;
""",
    "postgresql": """
CREATE TABLE usage_days (
    instrument_key bigint NOT NULL,
    day            text COLLATE "C" NOT NULL,
    zone           text NOT NULL,
    since_at       timestamptz NOT NULL,
    until_at       timestamptz NOT NULL,
    first_at       timestamptz,
    last_at        timestamptz NOT NULL,
    acquiring_s    double precision NOT NULL,
    manual_s       double precision NOT NULL,
    qc_s           double precision NOT NULL,
    n_acquisitions bigint NOT NULL,
    n_datasets     bigint NOT NULL,
    n_frames       bigint NOT NULL,
    n_bytes        bigint NOT NULL,
    PRIMARY KEY (instrument_key, day)
);
CREATE INDEX usage_days_by_end ON usage_days (instrument_key, until_at);
CREATE INDEX usage_days_spoiled ON usage_days (instrument_key, day) WHERE zone = '';
CREATE TABLE usage_day_people (
    instrument_key bigint NOT NULL,
    day            text COLLATE "C" NOT NULL,
    line           bigint NOT NULL,
    person         text,
    person_how     text NOT NULL,
    seconds        double precision NOT NULL,
    n_sessions     bigint NOT NULL,
    n_acquisitions bigint NOT NULL,
    n_frames       bigint NOT NULL,
    PRIMARY KEY (instrument_key, day, line)
);
""",
}
_CHANGE_INDICES = """
CREATE INDEX changes_by_time ON changes (instrument_key, last_at, position, device, property);
CREATE INDEX changes_by_device ON changes (instrument_key, device, last_at, position, property);
"""
_PROPERTIES = {
    "sqlite": f"""
ALTER TABLE changes ADD COLUMN property TEXT NOT NULL DEFAULT '';
DROP INDEX changes_by_time;
DROP INDEX changes_by_device;
UPDATE changes SET property = coalesce(substr(json_extract(change, '$.property'), 1, 200), '');
{_CHANGE_INDICES}""",
    # A NUL that a device sent stands in the JSON as an escape that PostgreSQL will not read.
    "postgresql": rf"""
ALTER TABLE changes ADD COLUMN property text NOT NULL DEFAULT '';
DROP INDEX changes_by_time;
DROP INDEX changes_by_device;
UPDATE changes SET property = coalesce(left(replace(change, '\u0000', '\ufffd')::json ->> 'property', 200), '');
{_CHANGE_INDICES}""",
}
MIGRATIONS: dict[int, dict[str, str]] = {
    6: {"sqlite": _STANDING, "postgresql": _STANDING},
    7: _USAGE_DAYS,
    8: _PROPERTIES,
    9: {"sqlite": "", "postgresql": _text("repartition.sql")},
}
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
