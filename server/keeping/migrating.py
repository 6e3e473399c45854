"""``scopestamp-server migrate``: bring a store's schema forward, and say beforehand what that takes and meanwhile how far it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from server.errors import SettingsError, StoreError
from server.opening import driver_wanted
from server.options import DEFAULT_DATA, AsJson, Config, Data, say, settings_of
from server.settings import Settings
from server.store.migration import Migration, Room, Tell, check_room, gigabytes
from server.store.sqlite import FILE_NAME
from server.store.sqlite_migration import SqliteMigration
from server.store.versions import SCHEMA_VERSION


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Go on where it cannot be seen how much room the database has.")
    ] = False,
    data: Data = DEFAULT_DATA,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bring the store's schema forward to what this collector works with. Stop every collector on it first."""
    with closing(migration_of(data, settings_of(data, config))) as migration:
        versions = {"before": migration.before, "after": SCHEMA_VERSION}
        if migration.before == SCHEMA_VERSION:
            say(as_json, {"event": "done", **versions}, f"Schema {SCHEMA_VERSION} already; nothing to do.")
            return
        room = migration.room()
        say(as_json, {"event": "plan", **versions, **asdict(room)}, _in_words(migration, room))
        check_room(room)
        if dry_run:
            return
        migration.hold()
        _ask(room, yes, as_json)
        _run(migration, as_json)
    say(as_json, {"event": "done", **versions}, f"Schema {migration.before} brought to {SCHEMA_VERSION}.")


def migration_of(data: Path, settings: Settings) -> Migration:
    """Return what is to be done to a data folder's store; close it.

    Raises
    ------
    SettingsError
        There is no store, or its version cannot be brought forward.
    """
    if not settings.store.postgresql:
        return SqliteMigration(data / FILE_NAME)
    with driver_wanted():
        from server.store.postgresql_migration import PostgresMigration
    return PostgresMigration(settings.store.postgresql)


def _in_words(migration: Migration, room: Room) -> str:
    free = "how much is free cannot be seen from here"
    if room.n_bytes_free is not None:
        free = f"{gigabytes(room.n_bytes_free)} are free"
    return (
        f"Schema {migration.before} is to become {SCHEMA_VERSION}, in one transaction: stopped before its end, it leaves the "
        f"store as it is.\nMeanwhile it takes up to {gigabytes(room.n_bytes_needed)} more in {room.where}; {free}."
    )


def _ask(room: Room, yes: bool, as_json: bool) -> None:
    """Let whoever is there decide where nobody can see whether there is enough room."""
    if yes or room.n_bytes_free is not None:
        return
    if as_json or not sys.stdin.isatty():
        raise SettingsError(
            f"See that {gigabytes(room.n_bytes_needed)} are free in {room.where}, and say so with --yes. Nothing was changed."
        )
    typer.confirm("Are they free, and shall it begin?", abort=True, err=True)


def _run(migration: Migration, as_json: bool) -> None:
    try:
        with _in_json() if as_json else _in_bars() as tell:
            migration.run(tell)
    except KeyboardInterrupt:
        raise StoreError("Stopped. Nothing was changed.") from None


@contextmanager
def _in_json() -> Iterator[Tell]:
    """Give a way to tell a program, for each part no more often than a hundred times."""
    told: dict[str, int] = {}

    def tell(does: str, n_done: int, n_all: int) -> None:
        percent = 100 * n_done // n_all
        if told.get(does) != percent:
            told[does] = percent
            said = {"event": "progress", "does": does, "n_done": n_done, "n_all": n_all}
            say(True, said, "")
            sys.stdout.flush()

    yield tell


@contextmanager
def _in_bars() -> Iterator[Tell]:
    """Give a way to tell a person."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[str, object] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def tell(does: str, n_done: int, n_all: int) -> None:
            if does not in tasks:
                tasks[does] = progress.add_task(does)
            progress.update(tasks[does], completed=n_done, total=n_all)

        yield tell
