"""What is in the wheel: four packages with their data files, the licence, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent.records import KINDS

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "drivers", "qc_routines", "server")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_exactly_the_four_packages(names: set[str]) -> None:
    folders = {name.split("/")[0] for name in names}
    assert {name for name in folders if not name.endswith(".dist-info")} == set(ROOMS)


def test_wheel_holds_every_file_of_the_packages(names: set[str]) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", *ROOMS], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    tracked = {name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file()}
    assert tracked
    assert tracked <= names, "templates, static files and schemas must come with the package"


def test_wheel_holds_schemas_and_licence(names: set[str]) -> None:
    assert {f"agent/records/schema/{kind}.v1.json" for kind in KINDS} <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_wheel_holds_no_tests_and_no_leftovers(names: set[str]) -> None:
    assert not [
        name for name in names if "test" in Path(name).name.lower() or name.endswith((".pyc", ".nbi"))
    ]
