"""Processes that end at once, in processes that do."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit, sys, threading
from agent.leave import end, end_at_once
end_at_once()
class Freed:
    def __del__(self):
        print("taken apart")
kept = Freed()
atexit.register(print, "registered")
asked = threading.Event()
def write():
    asked.wait()
    print("written")
threading.Thread(target=write).start()
asked.set()
{last}
"""


def ended(last: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(last=last)], capture_output=True, text=True, timeout=60
    )


def test_threads_and_what_was_registered_are_done_but_nothing_is_taken_apart():
    done = ended("end(3)")
    assert (done.returncode, done.stdout.split("\n")) == (3, ["written", "registered", ""])


def test_program_that_fails_says_so():
    done = ended("1 / 0")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
