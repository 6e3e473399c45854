"""Group commit: many jobs to a transaction, and no job harms its neighbours."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from server.errors import RefusedError, StoreError
from server.ingest import GroupWriter
from server.ingest.writer import PACE_S
from server.store import SqliteStore
from server.store.rows import User

AT = datetime(2026, 5, 4, tzinfo=UTC)


class Counting(SqliteStore):
    """Counts transactions, and can be held up as by a slow disk."""

    def __init__(self, folder):
        super().__init__(folder)
        self.sizes: list[int] = []
        self.may_go = threading.Event()
        self.has_begun = threading.Event()
        self.as_it_writes = lambda: None

    def write(self, jobs):
        self.sizes.append(len(jobs))
        self.has_begun.set()
        assert self.may_go.wait(timeout=30)
        self.as_it_writes()
        return super().write(jobs)


@pytest.fixture
def store(tmp_path):
    store = Counting(tmp_path)
    yield store
    store.close()


@pytest.fixture
def writer(store):
    writer = GroupWriter(store, max_waiting=5)
    yield writer
    store.may_go.set()
    writer.close()


def add(name):
    return lambda writes: writes.put_user(User(name, "viewer", None, AT))


def names(store):
    with store.reading() as reads:
        return [user.name for user in reads.users()]


def held_up(writer, store):
    """Return the future of a job at which the writer stands still."""
    first = writer.submit(add("first"))
    assert store.has_begun.wait(timeout=30)
    return first


def test_jobs_that_gather_are_committed_together(writer, store):
    futures = [held_up(writer, store), *(writer.submit(add(f"u{i}")) for i in range(5))]
    store.may_go.set()
    for future in futures:
        future.result(timeout=30)

    assert store.sizes == [1, 5]
    assert len(names(store)) == 6


@pytest.mark.parametrize(
    ("took_s", "rests_s"),
    [(0.001, PACE_S[0] - 0.001), (0.006, 0.006), (0.010, PACE_S[1] - 0.010), (0.500, 0)],
)
def test_writer_rests_after_a_shared_commit_about_as_long_as_that_took_and_never_after_one_of_a_job_alone(
    store, took_s, rests_s
):
    waits = []
    at = 100.0

    def wait(seconds):
        nonlocal at
        waits.append(seconds)
        at += seconds

    def take_a_while():
        nonlocal at
        at += took_s

    store.as_it_writes = take_a_while
    writer = GroupWriter(store, wait=wait, now=lambda: at)
    futures = [held_up(writer, store), *(writer.submit(add(f"u{i}")) for i in range(3))]
    store.may_go.set()
    for future in futures:
        future.result(timeout=30)
    for i in range(5):
        writer.do(add(f"alone {i}"))
    writer.close()

    assert store.sizes == [1, 3, 1, 1, 1, 1, 1]
    assert waits == pytest.approx([rests_s] if rests_s else [])


def test_failing_job_is_undone_alone(writer, store):
    def bad(writes):
        writes.put_user(User("half done", "viewer", None, AT))
        raise RefusedError(409, "fork", "no")

    def broken(writes):
        writes.put_user(User("half done too", None, None, AT))

    def buggy(writes):
        writes.put_user(User("half done as well", "viewer", None, AT))
        raise ZeroDivisionError

    futures = [held_up(writer, store), *map(writer.submit, [add("a"), bad, broken, buggy, add("b")])]
    store.may_go.set()

    assert [type(future.exception(timeout=30)) for future in futures] == [
        type(None),
        type(None),
        RefusedError,
        StoreError,
        ZeroDivisionError,
        type(None),
    ]
    assert names(store) == ["a", "b", "first"]


def test_too_many_waiting_jobs_are_refused_with_retry_after(writer, store):
    held_up(writer, store)
    for i in range(5):
        writer.submit(add(f"u{i}"))

    with pytest.raises(RefusedError) as caught:
        writer.submit(add("one too many"))

    assert (caught.value.status, caught.value.retry_after_s) == (503, 2)


def test_bug_while_committing_is_logged_and_fails_what_waited_but_nothing_after_it(writer, store, caplog):
    def break_down():
        raise RuntimeError("a bug")

    store.may_go.set()
    store.as_it_writes = break_down
    with pytest.raises(StoreError, match="log of the collector"):
        writer.do(add("ada"))
    store.as_it_writes = lambda: None
    writer.do(add("bob"))
    assert names(store) == ["bob"]
    assert "RuntimeError: a bug" in caplog.text


def test_cancelled_job_is_left_out_and_its_neighbours_are_done(writer, store):
    held_up(writer, store)
    gone, staying = writer.submit(add("gone")), writer.submit(add("staying"))
    assert gone.cancel()
    store.may_go.set()

    staying.result(timeout=30)
    assert names(store) == ["first", "staying"]


def test_close_commits_what_waits(store):
    store.may_go.set()
    writer = GroupWriter(store)
    futures = [writer.submit(add(f"u{i}")) for i in range(20)]
    writer.close()

    assert all(future.done() for future in futures)
    assert len(names(store)) == 20


def test_commit_that_fails_fails_every_job_and_the_writer_lives_on(writer, store, monkeypatch):
    first = held_up(writer, store)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "write", lambda self, jobs: (_ for _ in ()).throw(StoreError("disk full")))
        futures = [first, writer.submit(add("lost"))]
        store.may_go.set()
        assert [type(future.exception(timeout=30)) for future in futures] == [StoreError, StoreError]

    writer.do(add("later"))
    assert names(store) == ["later"]
