"""``scopestamp-server migrate`` as whoever is on duty types it: what it says before, meanwhile and when it must refuse."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import namedtuple
from contextlib import closing

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.errors import SettingsError, StoreError
from server.store import SqliteStore, sqlite_migration, steps, versions
from server.store.parts import Part
from server.store.sqlite import FILE_NAME
from server.store.versions import SCHEMA_VERSION

NEXT = SCHEMA_VERSION + 1
RANGES = Part(
    "Rows",
    "UPDATE users SET role = 'viewer' WHERE 7 BETWEEN ? AND ?",
    numbers="SELECT 1, 2500",
    n_at_once=1000,
    writes_anew=("users",),
)
TABLE = Part("A table", "CREATE TABLE more (x INTEGER); INSERT INTO more VALUES (7)")


def run(*words, code=0):
    done = CliRunner().invoke(app, ["migrate", *map(str, words), "--json"])
    if isinstance(done.exception, Exception) and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def data(tmp_path):
    SqliteStore(tmp_path / "data").close()
    return tmp_path / "data"


@pytest.fixture
def next_version(monkeypatch):
    """Give a function that lets there be a version after the newest, with these parts, for programs that read it from now on."""

    def make(*parts, engine="sqlite"):
        monkeypatch.setitem(steps.STEPS, NEXT, {engine: parts})
        modules = [versions, steps, sqlite_migration]
        if engine == "postgresql":
            from server.store import postgresql_migration

            modules.append(postgresql_migration)
        from server.keeping import migrating

        for module in (*modules, migrating):
            monkeypatch.setattr(module, "SCHEMA_VERSION", NEXT)

    return make


def version_of(data):
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_nothing_to_do_is_told_beside_a_running_collector(running, tmp_path):
    assert run("--data", tmp_path / "data0") == [
        {"event": "done", "before": SCHEMA_VERSION, "after": SCHEMA_VERSION}
    ]


@pytest.mark.parametrize(("version", "words"), [(NEXT, "newer collector"), (1, "before the first release")])
def test_a_version_it_does_not_know_is_refused(data, version, words):
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(SettingsError, match=words):
        run("--data", data)


def test_no_store_and_what_is_none_are_told(tmp_path):
    with pytest.raises(SettingsError, match=r"no collector\.sqlite"):
        run("--data", tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="Cannot read"):
        run("--data", tmp_path)


def test_it_says_what_it_takes_and_how_far_it_is(data, next_version):
    next_version(RANGES, TABLE)

    plan, *progress, done = run("--data", data)

    assert plan["n_bytes_needed"] > (data / FILE_NAME).stat().st_size
    assert (plan["event"], plan["n_bytes_free"], plan["where"]) == (
        "plan", pytest.approx(shutil.disk_usage(data).free, rel=0.2), str(data),
    )  # fmt: skip
    assert [(one["does"], one["n_done"], one["n_all"]) for one in progress] == [
        ("Rows", 0, 1), ("Rows", 1000, 2500), ("Rows", 2000, 2500), ("Rows", 2500, 2500), ("A table", 0, 1), ("A table", 1, 1),
    ]  # fmt: skip
    assert done == {"event": "done", "before": SCHEMA_VERSION, "after": NEXT}
    assert version_of(data) == NEXT
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        assert connection.execute("SELECT x FROM more").fetchall() == [(7,)]


def test_a_person_is_told_in_words(data, next_version):
    next_version(RANGES)
    said = CliRunner().invoke(app, ["migrate", "--data", str(data)], catch_exceptions=False)
    assert "stopped before its end, it leaves the store as it is" in said.stdout.replace("\n", " ")
    assert f"Schema {SCHEMA_VERSION} brought to {NEXT}." in said.stdout
    assert "Rows" in said.stderr and "100%" in said.stderr


def test_dry_run_changes_nothing(data, next_version):
    next_version(TABLE)
    assert [one["event"] for one in run("--dry-run", "--data", data)] == ["plan"]
    assert version_of(data) == SCHEMA_VERSION


def test_too_little_room_is_refused_before_anything_is_done(data, next_version, monkeypatch):
    next_version(RANGES)
    usage = namedtuple("usage", "total used free")(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(sqlite_migration.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SettingsError, match="Make room"):
        run("--data", data)
    assert version_of(data) == SCHEMA_VERSION


def test_a_part_that_fails_leaves_nothing_of_the_others(data, next_version):
    next_version(TABLE, Part("What fails", "INSERT INTO nothing VALUES (7)"))
    with pytest.raises(StoreError, match="Nothing was changed"):
        run("--data", data)
    assert version_of(data) == SCHEMA_VERSION
    with closing(sqlite3.connect(data / FILE_NAME)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)


def test_a_file_that_somebody_has_open_is_refused(data, next_version):
    with closing(SqliteStore(data)) as store, store.reading() as reads:
        assert reads.users() == []
        next_version(TABLE)
        with pytest.raises(SettingsError, match="stop the collector"):
            run("--data", data)
        assert [one["event"] for one in run("--dry-run", "--data", data)] == ["plan"]
    assert run("--data", data)[-1]["event"] == "done"


def test_a_store_that_was_brought_forward_meanwhile_is_left_alone(data, next_version):
    next_version(TABLE)
    with closing(sqlite_migration.SqliteMigration(data / FILE_NAME)) as late:
        run("--data", data)
        with pytest.raises(SettingsError, match="meanwhile"):
            late.hold()


def test_ctrl_c_undoes_everything(data, next_version, monkeypatch):
    next_version(TABLE, RANGES)
    plain_do = sqlite_migration.SqliteConnection.do

    def interrupted(self, sql, *values):
        if values == (1001, 2000):
            raise KeyboardInterrupt
        return plain_do(self, sql, *values)

    monkeypatch.setattr(sqlite_migration.SqliteConnection, "do", interrupted)
    with pytest.raises(StoreError, match=r"Stopped\. Nothing was changed"):
        run("--data", data)
    assert version_of(data) == SCHEMA_VERSION


@pytest.fixture
def database(new_database, tmp_path, postgres_store):
    """An address of an empty store, named by the settings in `tmp_path`."""
    address = new_database()
    postgres_store(address).close()
    (tmp_path / "server.toml").write_text(f"[store]\npostgresql = {json.dumps(address)}\n", encoding="utf-8")
    return address


def test_postgresql_is_brought_forward_in_the_same_way(
    database, next_version, postgres_store, tmp_path, monkeypatch
):
    next_version(RANGES, TABLE, engine="postgresql")

    plan, *progress, done = run("--yes", "--data", tmp_path)

    assert plan["n_bytes_needed"] > 0
    assert [one["n_done"] for one in progress] == [0, 1000, 2000, 2500, 0, 1]
    assert done == {"event": "done", "before": SCHEMA_VERSION, "after": NEXT}
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="newer collector"):
        postgres_store(database)


def test_postgresql_with_a_collector_on_it_is_refused(
    database, next_version, postgres_store, tmp_path, monkeypatch
):
    from server.store import postgresql_migration

    monkeypatch.setattr(postgresql_migration, "_TIMES_ASKED", 1)
    with closing(postgres_store(database)):
        next_version(TABLE, engine="postgresql")
        with pytest.raises(SettingsError, match="1 connections of collectors"):
            run("--yes", "--data", tmp_path)
        assert [one["event"] for one in run("--dry-run", "--data", tmp_path)] == ["plan"]
    monkeypatch.undo()
    with closing(postgres_store(database)) as store, store.reading() as reads:
        assert reads.users() == []


def test_room_that_cannot_be_seen_is_asked_for(database, next_version, tmp_path, monkeypatch):
    from server.store import postgresql_migration

    next_version(TABLE, engine="postgresql")
    monkeypatch.setattr(postgresql_migration, "_free_in", lambda *_: None)
    with pytest.raises(SettingsError, match="say so with --yes"):
        run("--data", tmp_path)
    assert run("--yes", "--data", tmp_path)[0]["n_bytes_free"] is None


def test_where_a_database_on_another_computer_lies_is_not_looked_for_here(tmp_path):
    pytest.importorskip("asyncpg", reason="the driver of PostgreSQL is not installed")
    from server.store.postgresql_migration import _free_in

    assert _free_in(str(tmp_path), "192.0.2.7") is None
    assert _free_in(str(tmp_path / "not here"), "127.0.0.1") is None
    assert _free_in(str(tmp_path), "::1") > 0
    assert _free_in(str(tmp_path), None) > 0


WAITS = """
import signal
from server.keeping import migrating
from server.store import postgresql_migration, steps
from server.store.parts import Part

for module in (steps, migrating, postgresql_migration):
    module.SCHEMA_VERSION += 1
steps.STEPS[steps.SCHEMA_VERSION] = {"postgresql": (Part("A lock", "LOCK TABLE users"),)}
from server.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # what starts in the background is deaf to it
main()
"""
"""The command with a step that waits for a lock in the middle of a statement."""


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGINT"])
def test_the_server_gives_up_a_migration_that_was_stopped_in_the_middle_of_a_statement(
    database, tmp_path, signal_name
):
    """Else whoever runs it again would wait until the statement of the dead one is done, or be told of a collector there."""
    from server.store.postgresql import SCHEMA_LOCK
    from server.store.postgresql_connection import PostgresConnection

    command = [sys.executable, "-c", WAITS, "migrate", "--yes", "--json", "--data", str(tmp_path)]
    with closing(PostgresConnection(database, statement_s=120)) as desk:
        desk.do("SET application_name = 'a test'")
        desk.do("BEGIN")
        desk.do("LOCK TABLE users")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            events = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
            process.send_signal(getattr(signal, signal_name))
            _, said = process.communicate()
        desk.do(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")  # free when its transaction is undone
        desk.do("ROLLBACK")
    assert events == ["plan", "progress"]
    assert said == ("" if signal_name == "SIGKILL" else "scopestamp-server: Stopped. Nothing was changed.\n")
    assert [one["event"] for one in run("--data", tmp_path)] == ["done"]
