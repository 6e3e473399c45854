"""The collector's own log cannot be forged by names that others choose (ASVS 5.0 16.4.1)."""

from __future__ import annotations

import logging
import sys
from io import StringIO

import pytest

from server.logs import log_to_stderr

EVIL = "x\n2026-01-01 00:00:00 INFO all is well\x1b[2K\u202e\r"


@pytest.fixture
def said(monkeypatch):
    """Give what is logged to stderr, as `scopestamp-server run` sets it up where that is a file."""
    stderr, root = StringIO(), logging.getLogger()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    log_to_stderr()
    return stderr.getvalue


def test_strange_name_stays_on_its_line(said):
    logging.getLogger("server.test").warning("%s did not take batch %d", EVIL, 7)
    (line,) = said().splitlines()
    assert line.isprintable()
    assert line.endswith(
        r"WARNING x\n2026-01-01 00:00:00 INFO all is well\x1b[2K\u202e\r did not take batch 7"
    )


def test_traceback_is_told_below_the_line(said):
    try:
        raise ValueError("a bug")
    except ValueError:
        logging.getLogger("server.test").exception("µ-Plan 60×/1.4 failed")
    first, *rest = said().splitlines()
    assert first.endswith("ERROR µ-Plan 60×/1.4 failed")
    assert (rest[0], rest[-1]) == ("Traceback (most recent call last):", "ValueError: a bug")
