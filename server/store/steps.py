"""What leads from one version of the schema to the next. The schema files always hold the newest.

A step has parts, each with words for whoever waits. A part that goes through many rows does so by ranges of their numbers, so
that it can be told how far it is.
"""

from __future__ import annotations

from server.errors import SettingsError
from server.store.parts import Part
from server.store.repartition import REPARTITION
from server.store.versions import OLDEST, SCHEMA_VERSION, check_version

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
_CHANGES_WITHOUT_INDICES = """
DROP INDEX changes_by_time;
DROP INDEX changes_by_device;
"""
_CHANGE_INDICES = """
CREATE INDEX changes_by_time ON changes (instrument_key, last_at, position, device, property);
CREATE INDEX changes_by_device ON changes (instrument_key, device, last_at, position, property);
"""
_PROPERTY = {
    "sqlite": """UPDATE changes SET property = coalesce(substr(json_extract(change, '$.property'), 1, 200), '')
        WHERE position BETWEEN ? AND ?""",
    # A NUL that a device sent stands in the JSON as an escape that PostgreSQL will not read.
    "postgresql": r"""UPDATE changes
        SET property = coalesce(left(replace(change, '\u0000', '\ufffd')::json ->> 'property', 200), '')
        WHERE position BETWEEN ? AND ?""",
}


def _with_properties(engine: str) -> tuple[Part, ...]:
    return (
        Part(
            "Indices of the change log are set aside",
            f"ALTER TABLE changes ADD COLUMN property TEXT NOT NULL DEFAULT ''; {_CHANGES_WITHOUT_INDICES}",
        ),
        Part(
            "Properties of the change log",
            _PROPERTY[engine],
            numbers="SELECT min(position), max(position) FROM changes",
            n_at_once=100_000,
            writes_anew=("changes",),
        ),
        Part("Indices of the change log", _CHANGE_INDICES),
    )


STEPS: dict[int, dict[str, tuple[Part, ...]]] = {
    6: dict.fromkeys(("sqlite", "postgresql"), (Part("Index of quality control", _STANDING),)),
    7: {engine: (Part("Tables for days of use", sql),) for engine, sql in _USAGE_DAYS.items()},
    8: {engine: _with_properties(engine) for engine in _PROPERTY},
    9: {"sqlite": (), "postgresql": REPARTITION},
}
"""Version to engine to the parts of the step that leads to it from the one before."""


def parts_from(engine: str, version: int, where: str) -> list[Part]:
    """Return the parts that bring an engine's schema forward from a version, in order.

    Raises
    ------
    SettingsError
        The version is newer than this collector, or older than any that can be brought forward.
    """
    if version > SCHEMA_VERSION:
        check_version(version, where)
    if version < OLDEST:
        raise SettingsError(
            f"{where} has schema {version}, from before the first release; start in an empty place."
        )
    return [part for number in range(version + 1, SCHEMA_VERSION + 1) for part in STEPS[number][engine]]
