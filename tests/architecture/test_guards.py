"""The guards of tests/conftest.py are seen to catch what they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

CONFTEST = Path(__file__).parents[1] / "conftest.py"

OFFENDERS = {
    "thread": (
        # long enough to be caught, short enough for this test's own guard
        "import threading\ndef test_it():\n    timer = threading.Timer(0.3, print)\n"
        "    timer.name = 'loiterer'\n    timer.start()",
        "*threads still run*loiterer*",
    ),
    "root level": (
        "import logging\ndef test_it(): logging.getLogger().setLevel(1)",
        "*left the logger 'root'*",
    ),
    "root handler": (
        "import logging\ndef test_it(): logging.getLogger().addHandler(logging.NullHandler())",
        "*left the logger 'root'*NullHandler*",
    ),
    "our handler": (
        "import logging\ndef test_it(): logging.getLogger('scopestamp').addHandler(logging.NullHandler())",
        "*left the logger 'scopestamp'*",
    ),
    "variable": ("import os\ndef test_it(): os.environ['LOITERER'] = '1'", "*changed environment*LOITERER*"),
    "folder": ("import os\ndef test_it(): os.chdir('/')", "*changed environment*working folder*"),
}


@pytest.mark.parametrize(("source", "message"), OFFENDERS.values(), ids=OFFENDERS)
def test_guard_fails_the_test_that_left_something(
    pytester: pytest.Pytester, source: str, message: str
) -> None:
    short = CONFTEST.read_text("utf-8").replace("THREAD_GRACE_S = 5.0", "THREAD_GRACE_S = 0.01")
    pytester.makeconftest(short)
    pytester.makepyfile(source + "\n\ndef test_next_one_is_not_blamed(): pass\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([message])
