"""Stores of every older version, with something in every table, are brought forward and lose nothing.

The old stores are SQL in ``tests/data/stores``, written by ``old_stores.py`` when their version was the newest.
"""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC
from pathlib import Path

import pytest

from server.errors import SettingsError
from server.keeping.migrating import migration_of
from server.keeping.verify import verify
from server.opening import config_in, open_store
from server.settings import load_settings
from server.store.sqlite import FILE_NAME
from server.store.steps import STEPS, parts_from
from server.store.versions import OLDEST, SCHEMA_VERSION

STORES = Path(__file__).parents[1] / "data" / "stores"
EMPTY = {"skips"}
"""Tables that may be without rows in an old store."""
GONE = {"record_ids": None, "records": {"received_at"}}
"""Tables, or columns of a table, that told again what is in others."""

_spec = importlib.util.spec_from_file_location(
    "scopestamp_old_stores", Path(__file__).with_name("old_stores.py")
)
old_stores = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(old_stores)


class SqliteFolder:
    """A data folder with one SQLite file, looked at without the product."""

    def __init__(self, folder: Path) -> None:
        self.data = folder
        folder.mkdir()

    def load(self, sql: str) -> None:
        with closing(sqlite3.connect(self.data / FILE_NAME)) as connection:
            connection.executescript(sql)

    def rows(self) -> dict[str, list[dict[str, object]]]:
        with closing(sqlite3.connect(self.data / FILE_NAME)) as connection:
            connection.row_factory = sqlite3.Row
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for (name,) in tables
            }

    def shape(self) -> set[tuple[object, ...]]:
        """Return every column and every index."""
        with closing(sqlite3.connect(self.data / FILE_NAME)) as connection:
            listed = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
            indices = {("index", name, table, sql) for type_, name, table, sql in listed if type_ == "index"}
            columns = {
                (name, *column[1:])
                for type_, name, *_ in listed
                if type_ == "table"
                for column in connection.execute(f"PRAGMA table_info({name})")
            }
        return indices | columns


class PostgresqlFolder:
    """A data folder whose settings name a database of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.data = folder
        self._address = address
        folder.mkdir()
        (folder / "server.toml").write_text(
            f"[store]\npostgresql = {json.dumps(address)}\n", encoding="utf-8"
        )

    def _fetch(self, sql: str) -> list[tuple[object, ...]]:
        from server.store.postgresql_connection import PostgresConnection

        with closing(PostgresConnection(self._address)) as connection:
            return connection.fetch(sql)

    def load(self, sql: str) -> None:
        from server.store.postgresql_connection import PostgresConnection

        with closing(PostgresConnection(self._address)) as connection:
            connection.do(sql)

    def rows(self) -> dict[str, list[dict[str, object]]]:
        tables = self._fetch(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        found = {
            name: [json.loads(row) for (row,) in self._fetch(f"SELECT to_jsonb(t)::text FROM {name} t")]
            for (name,) in tables
        }
        for row in found["records"]:  # NULL stands for the version that nearly all have
            row["schema_version"] = row["schema_version"] or "1.0"
        return found

    def shape(self) -> set[tuple[object, ...]]:
        columns = self._fetch(
            "SELECT table_name::text, column_name::text, data_type::text, is_nullable::text, column_default::text "
            "FROM information_schema.columns WHERE table_schema = 'public'"
        )
        indices = self._fetch(
            "SELECT indexname::text, indexdef::text FROM pg_indexes WHERE schemaname = 'public'"
        )
        parts = ("_2026_", "batches_0")  # made as months come and batches are numbered
        return {row for row in {*columns, *indices} if not any(part in str(row[0]) for part in parts)}


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request) -> str:
    return request.param


@pytest.fixture
def folder(engine, request, tmp_path):
    """Give a function that makes an empty data folder."""
    if engine == "sqlite":
        return lambda name: SqliteFolder(tmp_path / name)
    new_database = request.getfixturevalue("new_database")
    return lambda name: PostgresqlFolder(tmp_path / name, new_database())


def opened(data: Path):
    return closing(open_store(data, load_settings(config_in(data))))


def settled(rows: list[dict[str, object]], columns: set[str]) -> list[str]:
    return sorted(repr(sorted((name, row[name]) for name in columns)) for row in rows)


@pytest.mark.parametrize("version", range(OLDEST, SCHEMA_VERSION + 1))
def test_store_of_an_older_version_is_brought_forward_and_loses_nothing(version, engine, folder, running_on):
    old = folder("old")
    old.load((STORES / f"{version}_{engine}.sql").read_text(encoding="utf-8"))
    before = old.rows()
    assert {name for name, rows in before.items() if not rows} <= EMPTY
    if version < SCHEMA_VERSION:
        with pytest.raises(SettingsError, match="scopestamp-server migrate"), opened(old.data):
            pass

    with closing(migration_of(old.data, load_settings(config_in(old.data)))) as migration:
        assert migration.before == version
        if version < SCHEMA_VERSION:
            migration.hold()
            migration.run(lambda *_: None)

    after = old.rows()
    for table in set(before) - {"schema_version"}:
        if (gone := GONE.get(table, set())) is None:
            continue
        columns = set(before[table][0]) - gone if before[table] else set()
        assert settled(after[table], columns) == settled(before[table], columns), table
    new = folder("new")
    with opened(new.data):
        pass
    assert old.shape() == new.shape()
    with opened(old.data) as store:
        _goes_on(store, running_on)


KILLED = """
import os, signal, sys
from pathlib import Path
from server.keeping.migrating import migration_of
from server.opening import config_in
from server.settings import load_settings

data, part = Path(sys.argv[1]), sys.argv[2]

def die():
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

def tell(does, n_done, n_all):
    if (does, n_done) == (part, n_all):
        die()

migration = migration_of(data, load_settings(config_in(data)))
migration.hold()
migration.run(tell)
die()
"""
"""Brings a store forward and is killed when a part is done, or right after the end."""


@pytest.mark.parametrize("where", ["first", "middle", "last", "after the end"])
def test_killed_it_leaves_the_store_as_it_was_or_as_it_is_to_be(where, engine, folder):
    old = folder("old")
    old.load((STORES / f"{OLDEST}_{engine}.sql").read_text(encoding="utf-8"))
    before = old.rows()
    parts = [part.does for part in parts_from(engine, OLDEST, "a test")]
    part = {"first": parts[0], "middle": parts[len(parts) // 2], "last": parts[-1]}.get(where, where)

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(old.data), part], capture_output=True, text=True
    )

    assert killed.returncode != 0 and not killed.stderr, killed.stderr
    is_done = where == "after the end"
    assert is_done or old.rows() == before
    with closing(migration_of(old.data, load_settings(config_in(old.data)))) as migration:
        assert migration.before == (SCHEMA_VERSION if is_done else OLDEST)
        if not is_done:
            migration.hold()
            migration.run(lambda *_: None)
    with opened(old.data) as store, store.reading() as reads:
        assert verify(reads, old_stores.SIGNER.verifier).problems == []


def _goes_on(store, running_on) -> None:
    """What was received verifies, and the agent goes on where it stood."""
    with store.reading() as reads:
        assert verify(reads, old_stores.SIGNER.verifier).problems == []
        (spool,) = reads.spools()
        n_before = len(reads.records())
    running = running_on(store)
    sender, wire_tools = old_stores.sender_on(running.client)
    scope = wire_tools.Scope(sender, boot_id="next", start_at=old_stores.NOW.astimezone(UTC))
    more = [scope.heartbeat(), scope.qc(), *scope.acquisition()]
    reply = sender.send(more, first_seq=spool.mark + 1, prev=spool.chain)
    assert (reply.status_code, reply.json()["n_added"]) == (200, len(more))
    with store.reading() as reads:
        assert len(reads.records()) == n_before + len(more)
        assert verify(reads).problems == []


def test_there_is_an_old_store_for_every_migration():
    """Whoever raises the version runs ``python tests/server/old_stores.py`` before, and commits what it writes."""
    steps = set(STEPS)
    assert steps == set(range(OLDEST + 1, SCHEMA_VERSION + 1))
    there = {path.stem for path in STORES.glob("*.sql")}
    assert {f"{step - 1}_{engine}" for step in steps for engine in ("sqlite", "postgresql")} <= there
