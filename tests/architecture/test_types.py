"""The type checker for the platforms we are not on: what a call is called there, and whether it is there at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLATFORMS = ("win32", "darwin", "linux")
WRONG = """
import sys
if sys.platform == "win32":
    import msvcrt
    msvcrt.no_such_function()
else:
    import fcntl
    fcntl.no_such_function()
"""


def _mypy(platform: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mypy", "--platform", platform, "--no-error-summary"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / platform)]
    return subprocess.Popen(
        [*command, *cache, *more], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.timeout(1200)
def test_code_fits_every_platform():
    running = {platform: _mypy(platform) for platform in PLATFORMS}
    said = {platform: process.communicate()[0] for platform, process in running.items()}
    assert said == dict.fromkeys(PLATFORMS, "")
    assert {process.returncode for process in running.values()} == {0}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_checker_looks_at_the_other_platforms_branch(tmp_path, platform):
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    said, _ = _mypy(platform, "--config-file=", str(path)).communicate()
    assert f"wrong.py:{5 if platform == 'win32' else 8}: error" in said
    assert said.count("error") == 1
