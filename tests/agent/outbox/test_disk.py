from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agent import files
from agent.outbox.disk import Ballast, is_disk_full, remove_file, write_atomically


class Held:
    """A file that another program holds open for a while, as on Windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, n_failures: int, winerror: int) -> None:
        self.n_calls = 0
        self.pauses: list[float] = []
        act = getattr(Path, method)

        def fail(path: Path, *arguments: object, **options: object) -> object:
            self.n_calls += 1
            if self.n_calls <= n_failures:
                error = PermissionError(errno.EACCES, "used by another process")
                error.winerror = winerror
                raise error
            return act(path, *arguments, **options)

        monkeypatch.setattr(Path, method, fail)
        monkeypatch.setattr(files.time, "sleep", self.pauses.append)


@pytest.mark.parametrize("winerror", [5, 32, 33])
def test_a_file_held_open_for_a_moment_is_deleted_after_all(winerror, tmp_path, monkeypatch):
    path = tmp_path / "1.seg"
    path.write_bytes(b"x")
    held = Held(monkeypatch, "unlink", 3, winerror)
    remove_file(path)
    assert not path.exists() and len(held.pauses) == 3


def test_a_file_held_open_for_good_is_given_up_after_a_bounded_time(tmp_path, monkeypatch):
    path = tmp_path / "1.seg"
    path.write_bytes(b"x")
    held = Held(monkeypatch, "unlink", 99, 32)
    with pytest.raises(PermissionError):
        remove_file(path)
    assert sum(held.pauses) < 2


def test_another_error_is_not_retried(tmp_path, monkeypatch):
    held = Held(monkeypatch, "unlink", 99, 2)
    with pytest.raises(PermissionError):
        remove_file(tmp_path / "x")
    assert held.pauses == []


def test_a_replace_that_is_refused_for_a_moment_succeeds(tmp_path, monkeypatch):
    Held(monkeypatch, "replace", 2, 5)
    write_atomically(tmp_path / "identity.json", b"new")
    assert (tmp_path / "identity.json").read_bytes() == b"new"


def test_an_atomic_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", b"old")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_full_disk_is_recognised_on_every_system():
    windows = OSError(errno.EINVAL, "There is not enough space on the disk")
    windows.winerror = 112
    assert is_disk_full(OSError(errno.ENOSPC, "")) and is_disk_full(windows)
    assert not is_disk_full(OSError(errno.EIO, ""))


def test_the_ballast_is_kept_once_and_given_once(tmp_path):
    ballast = Ballast(tmp_path)
    ballast.keep()
    before = (tmp_path / "ballast").stat()
    ballast.keep()
    assert (tmp_path / "ballast").stat().st_mtime_ns == before.st_mtime_ns
    assert [ballast.release(), ballast.release()] == [True, False]


def test_a_disk_without_room_for_the_ballast_is_no_error(tmp_path, monkeypatch):
    def full(_: int) -> bytes:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "urandom", full)
    Ballast(tmp_path).keep()
    assert list(tmp_path.iterdir()) == []
