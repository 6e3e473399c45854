"""The listener's jar, and a JVM that plays scenarios with it."""

import functools
import json
import os
import subprocess
from pathlib import Path

import pytest

from drivers.mmstudio.listener import build

JAVA = Path(__file__).parent / "java"
GUAVA = Path("/usr/share/java/guava.jar")


@pytest.fixture(scope="session")
def jar(tmp_path_factory):
    return build(tmp_path_factory.mktemp("plugins"))


@pytest.fixture(scope="session")
def play(jar, tmp_path_factory):
    """Return a function that plays a scenario and returns its lines, as JSON and as bytes."""
    classes = tmp_path_factory.mktemp("classes")
    path = os.pathsep.join([str(jar), str(GUAVA), str(classes)])
    sources = [str(file) for file in JAVA.rglob("*.java")]
    subprocess.run(
        ["javac", "-encoding", "UTF-8", "-nowarn", "-cp", path, "-d", str(classes), *sources],
        check=True,
        capture_output=True,
    )

    @functools.cache  # a scenario is the same every time
    def run(scenario):
        command = [
            "java",
            "-Xshare:auto",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            path,
            "scopestamp.Scenarios",
            scenario,
        ]
        done = subprocess.run(command, capture_output=True, timeout=200)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert done.stdout.isascii()
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run
