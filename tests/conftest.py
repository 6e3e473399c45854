"""Guards around every test: what a test starts or changes, it ends or restores. And the standards' validators.

A thread that outlives its test, a handler on the root logger or a changed environment breaks some later test,
which then takes the blame. Each guard puts things right again and fails the test that left them.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look for doctests in what ships, not in what only helps the tests (stand-ins, writers, benchmarks)."""
    is_helper = collection_path.suffix == ".py" and not collection_path.name.startswith("test_")
    return True if is_helper and Path(__file__).parent in collection_path.parents else None


LASTING_THREADS = ("asyncio_", "pytest_timeout", "numba", "zarr_", "tifffile", "AnyIO worker thread")
"""Names of threads that libraries start once and keep; they end with the process."""

LASTING_VARIABLES = ("PYTEST_CURRENT_TEST", "QT_", "PYQTGRAPH_", "KMP_", "SE_")
"""Environment variables that pytest or libraries set for good, by the start of their names."""

THREAD_GRACE_S = 5.0
"""A thread that was told to end may take this long."""

ROOT = Path(__file__).parents[1]
VALIDATORS = ROOT / "tests" / "agent" / "exports" / "validators"

NOBODY = 65534
"""A user without rights, for tests that run as root."""

if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    os.environ.setdefault(
        "QT_QPA_PLATFORM", "offscreen"
    )  # else Qt aborts the process where there is no screen


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="scopestamp-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """Do something as a user whom the file system refuses; root itself is refused nothing."""
    if sys.platform == "win32":
        pytest.skip("Windows has other permissions")

    @contextmanager
    def nobody() -> Iterator[None]:
        is_root = os.geteuid() == 0
        if is_root:
            try:
                os.seteuid(NOBODY)
            except OSError as error:  # a container that maps no other user
                pytest.skip(f"root cannot become another user here: {error}")
        try:
            yield
        finally:
            if is_root:
                os.seteuid(0)

    return nobody


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE_S
    started = [thread for thread in threading.enumerate() if thread not in before]
    watched = [
        thread
        for thread in started
        if not thread.name.startswith(LASTING_THREADS)
        and not isinstance(
            thread, threading._DummyThread
        )  # a library's own, such as MMCore's: cannot be joined
    ]
    for thread in watched:
        thread.join(max(deadline - time.monotonic(), 0))
    left = [thread.name for thread in watched if thread.is_alive()]
    if left:
        pytest.fail(
            f"threads still run {THREAD_GRACE_S:g} s after the test: {left}. Stop and join what the test started; "
            "if a library keeps the thread on purpose, add its name to LASTING_THREADS in tests/conftest.py.",
            pytrace=False,
        )


@pytest.fixture(autouse=True)
def loggers_untouched() -> Iterator[None]:
    loggers = [logging.getLogger(), logging.getLogger("scopestamp")]
    before = [_face(logger) for logger in loggers]
    yield
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        now = _face(logger)
        logger.handlers[:] = [h for h in logger.handlers if h in handlers or _is_pytests(h)]
        logger.setLevel(level)
        logger.propagate = propagate
        if now != (level, propagate, handlers):
            pytest.fail(
                f"the test left the logger {logger.name!r} with level, propagate, handlers = {now}; before it were "
                f"{(level, propagate, handlers)}. Some import sets the root logger up (pymmcore-plus does unless it "
                "is fenced in), or stop_logging() was not called.",
                pytrace=False,
            )


def _face(logger: logging.Logger) -> tuple[int, bool, list[logging.Handler]]:
    return logger.level, logger.propagate, [h for h in logger.handlers if not _is_pytests(h)]


def _is_pytests(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest.")


@pytest.fixture(autouse=True)
def environment_restored() -> Iterator[None]:
    before, folder = _environment(), Path.cwd()
    yield
    now, last_folder = _environment(), Path.cwd()
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    for name in changed:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
    os.chdir(folder)
    if changed or last_folder != folder:
        what = [*changed, *(["the working folder"] if last_folder != folder else [])]
        pytest.fail(
            f"the test left a changed environment: {what}. Use monkeypatch.setenv or monkeypatch.chdir; if a library "
            "sets a variable for good, add it to LASTING_VARIABLES in tests/conftest.py.",
            pytrace=False,
        )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(LASTING_VARIABLES)}


# Standards and their validators, which do not go with our own packages


@pytest.fixture(scope="session")
def standards() -> Path:
    folder = ROOT / ".." / "shared" / "standards"
    if not folder.is_dir():
        pytest.skip("the standards' files are not there: expected ../shared/standards beside the repository")
    return folder


@pytest.fixture(scope="session")
def validators() -> Path:
    """The interpreter of an environment with linkml and roc-validator; they do not go with our own packages."""
    folder = Path(os.environ.get("SCOPESTAMP_VALIDATORS", ROOT / ".." / "venvs" / "standards"))
    found = [path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists()]
    if not found:
        pytest.skip(
            "no validators: expected an environment with linkml and roc-validator in SCOPESTAMP_VALIDATORS"
        )
    return found[0]


@pytest.fixture
def linkml(validators: Path, tmp_path: Path) -> Callable[[list[tuple[Path, str, Any]]], list[list[str]]]:
    """Validate cases of (schema, class, instance); return the problems of each."""

    def validate(cases: list[tuple[Path, str, Any]]) -> list[list[str]]:
        listed = tmp_path / "cases.json"
        listed.write_text(json.dumps([[str(case[0]), *case[1:]] for case in cases], default=str), "utf-8")
        return run_validator(validators, "linkml_check.script", str(listed))

    return validate


@pytest.fixture
def roc_validator(validators: Path, standards: Path, tmp_path: Path) -> Callable[..., list[list[str]]]:
    """Validate crates; return the problems of each."""

    def validate(*crates: Path) -> list[list[str]]:
        places = str(standards / "ro-crate"), str(tmp_path / "cache")
        return run_validator(validators, "roc_check.script", *places, *map(str, crates))

    return validate


def run_validator(python: Path, script: str, *arguments: str) -> list[list[str]]:
    path = VALIDATORS / script
    done = subprocess.run(
        [str(python), str(path), *arguments], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    problems: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return problems
