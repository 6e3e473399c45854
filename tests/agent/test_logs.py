"""Our log files: one line a record, UTC, rotated, and nobody else's logger touched."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.logs import escaped, start_logging, stop_logging
from agent.settings import LogSettings

LOG = logging.getLogger("scopestamp.capture.test")


@pytest.fixture(autouse=True)
def logging_stopped() -> Iterator[None]:
    yield
    stop_logging()


def lines_of(path: Path) -> list[str]:
    return path.read_text("utf-8").split("\n")[:-1]


def test_file_holds_one_line_per_record_with_utc_time_and_role(tmp_path: Path) -> None:
    start_logging(LogSettings(), tmp_path, "daemon")
    LOG.info("camera %s is ready", "Cam µ")
    (line,) = lines_of(tmp_path / "logs" / "daemon.log")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO daemon scopestamp\.capture\.test: camera Cam µ is ready",
        line,
    )


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone of a process cannot be set on Windows")
def test_time_is_utc_wherever_the_instrument_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.makeLogRecord({"msg": "hello", "levelno": logging.ERROR, "created": 0.0})
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        start_logging(LogSettings(), tmp_path, "daemon").handle(record)
    time.tzset()
    (line,) = lines_of(tmp_path / "logs" / "daemon.log")
    assert line.startswith("1970-01-01T00:00:00.000Z ")


@pytest.mark.parametrize(
    "nasty",
    [
        "a\nb",
        "a\r\n2026-01-01 INFO forged",
        "\x1b[2J",
        "\x00",
        "\x9b",
        "\u2028",
        "\u202e",
        "\ud800",
        "\u0085",
    ],
    ids=ascii,
)
def test_strangers_text_cannot_forge_a_line(tmp_path: Path, nasty: str) -> None:
    start_logging(LogSettings(), tmp_path, "daemon")
    LOG.info("label %s end", nasty)
    text = (tmp_path / "logs" / "daemon.log").read_text("utf-8")
    assert text.endswith(f"label {escaped(nasty)} end\n")
    assert text[:-1].isprintable()


def test_traceback_stays_on_its_line(tmp_path: Path) -> None:
    start_logging(LogSettings(), tmp_path, "daemon")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        LOG.exception("reading failed")
    (line,) = lines_of(tmp_path / "logs" / "daemon.log")
    assert "reading failed" in line
    assert r"ValueError: two\nlines" in line


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_level_is_what_the_settings_say(tmp_path: Path, level: str) -> None:
    start_logging(LogSettings(level=level), tmp_path, "daemon")
    for name in ("debug", "info", "warning", "error"):
        LOG.log(logging.getLevelName(name.upper()), name)
    assert level in lines_of(tmp_path / "logs" / "daemon.log")[0].lower()


@pytest.mark.parametrize("n_files", [2, 3])
def test_files_rotate_and_stay_bounded(tmp_path: Path, n_files: int) -> None:
    start_logging(LogSettings(max_bytes=10_000, n_files=n_files), tmp_path, "daemon")
    for _ in range(1_000):
        LOG.info("x" * 80)
    files = list((tmp_path / "logs").iterdir())
    assert len(files) == n_files
    assert all(path.stat().st_size <= 10_000 for path in files)


def test_roles_have_files_of_their_own_and_a_second_start_replaces_the_first(tmp_path: Path) -> None:
    start_logging(LogSettings(), tmp_path, "daemon")
    start_logging(LogSettings(), tmp_path, "hardware")
    LOG.info("hello")
    assert lines_of(tmp_path / "logs" / "daemon.log") == []
    assert len(lines_of(tmp_path / "logs" / "hardware.log")) == 1


def test_root_logger_is_never_touched(tmp_path: Path) -> None:
    seen: list[logging.LogRecord] = []
    root = logging.getLogger()
    face = (root.level, list(root.handlers))
    spy = logging.Handler()
    spy.emit = seen.append
    root.addHandler(spy)
    try:
        start_logging(LogSettings(), tmp_path, "daemon")
        LOG.error("ours alone")
        assert seen == []
    finally:
        root.removeHandler(spy)
    assert (root.level, list(root.handlers)) == face


class Terminal:
    """Standard error as a terminal that remembers what was written."""

    encoding = "utf-8"

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal = is_terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_terminal_is_used_only_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    terminal = Terminal(is_terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    start_logging(LogSettings(), tmp_path, "daemon")
    LOG.warning("lamp\x07 is hot")
    assert (r"lamp\x07 is hot" in terminal.text) == is_terminal


def test_service_without_standard_error_logs_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    start_logging(LogSettings(), tmp_path, "daemon")
    LOG.warning("hello")
    assert len(lines_of(tmp_path / "logs" / "daemon.log")) == 1


def test_folder_that_cannot_be_made_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match=r"log file .*daemon\.log.*Choose another data_dir"):
        start_logging(LogSettings(), tmp_path / "file", "daemon")
