"""Which store a collector works on: one SQLite file in its data folder, or PostgreSQL when the settings name one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.errors import SettingsError
from server.settings import Settings
from server.store import SqliteStore, Store

CONFIG_FILE = "server.toml"
"""Settings in the data folder: what every command uses that is not given others."""


def config_in(data: Path) -> Path | None:
    """Return the settings file in a data folder, None without one."""
    config = data / CONFIG_FILE
    return config if config.is_file() else None


@contextmanager
def driver_wanted() -> Iterator[None]:
    """Say what is missing where what stands on PostgreSQL's driver is imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            "[store] postgresql needs its driver: pip install 'scopestamp[postgresql]'."
        ) from error


def open_store(data: Path, settings: Settings, *, does_checkpoint: bool = True) -> Store:
    """Open the store; whoever calls this closes it.

    Raises
    ------
    SettingsError
        PostgreSQL is named but its driver is not installed, or the schema is not the one this collector works with.
    StoreError
        It cannot be opened.
    """
    if not settings.store.postgresql:
        return SqliteStore(data, does_checkpoint=does_checkpoint)
    with driver_wanted():
        from server.store.postgresql import PostgresStore
    data.mkdir(parents=True, exist_ok=True)
    return PostgresStore(settings.store.postgresql, settings.store.postgresql_reading or None)
