"""Rules of the house that a program can check by reading the files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "drivers", "qc_routines", "server")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]

CATCH_ALL = {
    "the daemon's supervisor": "agent/supervise.py",
    "the collector's last handler": "server/errors.py",
}
"""The two places that may catch every exception, each at the end of a line of responsibility."""


def catch_alls(source: str) -> Iterator[int]:
    """Yield the lines of handlers that catch everything and let it rest."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {None if kind is None else ast.unparse(kind).removeprefix("builtins.") for kind in caught}
            reraises = isinstance(node.body[-1], ast.Raise)
            if names & {None, "Exception", "BaseException"} and not reraises:
                yield node.lineno


def test_everything_is_caught_in_two_places_at_most() -> None:
    found = [
        path.relative_to(ROOT).as_posix() for path in SOURCES for _ in catch_alls(path.read_text("utf-8"))
    ]
    assert set(found) <= set(CATCH_ALL.values()), "catch what you can handle; these two are the last resort"
    assert len(found) == len(set(found)), f"one handler in each place; found {found}"


@pytest.mark.parametrize(
    ("handler", "is_found"),
    [
        ("except: pass", True),
        ("except Exception: pass", True),
        ("except BaseException as error: print(error)", True),
        ("except (ValueError, Exception): pass", True),
        ("except Exception: print(1); raise", False),
        ("except (OSError, ValueError): pass", False),
    ],
)
def test_catch_alls_are_found(handler: str, is_found: bool) -> None:
    assert list(catch_alls(f"try:\n    f()\n{handler}")) == ([3] if is_found else [])


def test_no_module_is_called_like_a_library() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    libraries = {re.match(r"[\w-]+", line)[0].lower().replace("-", "_") for line in lines} - {"scopestamp"}
    libraries |= {"google_crc32c", "sqlite3", "psycopg", "zarr", "useq", "logging"}
    named = {path.relative_to(ROOT).as_posix() for path in SOURCES if path.stem in libraries}
    named |= {path.parent.relative_to(ROOT).as_posix() for path in SOURCES if path.parent.name in libraries}
    assert named == set(), "`import x` in a module x wraps itself; name the module for its role"


def test_tests_are_no_packages() -> None:
    packages = list((ROOT / "tests").rglob("__init__.py"))
    assert packages == [], "tests/agent would become a second package called agent"


# ---- what must not be committed


def tracked_texts() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            yield name, (ROOT / name).read_bytes().decode("utf-8", "ignore")


def index_locations() -> set[str]:
    """Return where pip is told to look on this machine, other than the public index."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", check=False).stdout
    places = re.findall(r"(?:https?|file)://(?:[^@/\s']*@)?([^\s']+)", said)
    return {place.split("/simple")[0] for place in places if "pypi.org" not in place}


def test_no_file_names_this_machine() -> None:
    words = {"index" + "-url": r"index[-_]" + "url", "find" + "-links": "find[-_]" + "links"}
    words |= {place: re.escape(place) for place in index_locations()}
    if len(ROOT.parent.parts) > 2:  # a checkout right under /tmp proves nothing
        words[str(ROOT.parent)] = re.escape(str(ROOT.parent)) + r"(?!\w)"
    found = [
        f"{name}: {word}"
        for name, text in tracked_texts()
        for word, pattern in words.items()
        if re.search(pattern, text, re.IGNORECASE)
    ]
    assert found == []
