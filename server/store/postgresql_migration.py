"""Bringing a database of PostgreSQL forward."""

from __future__ import annotations

import ipaddress
import shutil
from contextlib import suppress
from pathlib import Path

import asyncpg

from server.errors import SettingsError, StoreError
from server.store.migration import Migration, Room, Tell, check_still
from server.store.postgresql import FAILED, SCHEMA_LOCK
from server.store.postgresql_connection import PostgresConnection
from server.store.steps import parts_from
from server.store.versions import SCHEMA_VERSION

_WHERE = "The database"
_TIMES_ASKED, _ASK_EACH_S = 50, 0.1
"""How long somebody who was just stopped has to be gone."""
_OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'scopestamp' AND pid <> pg_backend_pid()"""
_SIZE = """
    SELECT pg_total_relation_size(to_regclass($1))
        + coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(to_regclass($1)) WHERE isleaf), 0)"""
_DISK = """
    SELECT coalesce(nullif(pg_tablespace_location(dattablespace), ''),
            (SELECT setting FROM pg_settings WHERE name = 'data_directory')), host(inet_server_addr())
    FROM pg_database WHERE datname = current_database()"""
_LOG = "SELECT pg_size_bytes(current_setting('max_wal_size'))"


class PostgresMigration(Migration):
    """A database; held, no collector is connected to it.

    Raises
    ------
    SettingsError
        It holds no store, or its version cannot be brought forward.
    StoreError
        It cannot be reached.
    """

    connection: PostgresConnection

    def __init__(self, dsn: str) -> None:
        try:
            # Of a large store every row is written anew: a statement may take as long as it does.
            self.connection = PostgresConnection(dsn, statement_s=None)
        except (*FAILED, ValueError) as error:
            raise StoreError(
                f"Cannot reach PostgreSQL: {error}. Check the server and [store] postgresql."
            ) from error
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        try:
            self.before = self._version()
            self.parts = parts_from("postgresql", self.before, _WHERE)
        except FAILED as error:
            raise StoreError(f"Cannot read from PostgreSQL: {error}.") from error

    def _version(self) -> int:
        if not self.connection.fetch("SELECT to_regclass('schema_version') IS NOT NULL")[0][0]:
            raise SettingsError("The database holds no store; check [store] postgresql.")
        return int(self.connection.fetch("SELECT version FROM schema_version")[0][0])

    def hold(self) -> None:
        try:
            self._wait_for_others()
            self._end_with_us()
            self.connection.do("BEGIN")
            self.connection.do(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
            version = self._version()
        except FAILED as error:
            raise StoreError(f"Cannot read from PostgreSQL: {error}.") from error
        check_still(self.before, version, "the database")

    def _wait_for_others(self) -> None:
        for _ in range(_TIMES_ASKED):
            (n_others,) = self.connection.fetch(_OTHERS)[0]
            if n_others == 0:
                return
            self.connection.fetch(f"SELECT pg_sleep({_ASK_EACH_S})")
        raise SettingsError(
            f"{n_others} connections of collectors, or of another `migrate`, are open on the database: stop every "
            "collector on it."
        )

    def _end_with_us(self) -> None:
        """Let the server notice within seconds, in the middle of a statement, when this program is killed.

        Before PostgreSQL 14, and on some systems, it notices after the statement.
        """
        with suppress(asyncpg.PostgresError):
            self.connection.do("SET client_connection_check_interval = '2s'")

    def room(self) -> Room:
        tables = {table for part in self.parts for table in part.writes_anew}
        try:
            sizes = [int(self.connection.fetch(_SIZE, table)[0][0]) for table in sorted(tables)]
            log = int(self.connection.fetch(_LOG)[0][0])
            folder, address = self.connection.fetch(_DISK)[0]
        except FAILED as error:
            raise StoreError(f"Cannot read from PostgreSQL: {error}.") from error
        return Room(sum(sizes) + log, _free_in(folder, address), folder or "the database server's disk")

    def run(self, tell: Tell) -> None:
        try:
            self._do_parts(tell)
            self.connection.do("UPDATE schema_version SET version = ?", SCHEMA_VERSION)
            self.connection.do("COMMIT")
        except FAILED as error:
            raise StoreError(f"Cannot migrate the database: {error}. Nothing was changed.") from error

    def _do(self, statements: str) -> None:
        self.connection.do(statements)

    def close(self) -> None:
        self.connection.close()


def _free_in(folder: str | None, address: str | None) -> int | None:
    """Return what is free where the database lies, None when that is another computer or not to be seen."""
    is_here = address is None or ipaddress.ip_address(address).is_loopback
    try:
        return shutil.disk_usage(Path(folder)).free if is_here and folder else None
    except OSError:
        return None
