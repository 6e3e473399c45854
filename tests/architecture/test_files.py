"""Renames and deletes are patient everywhere: none goes past `agent.files`, which Windows' virus scanners ask for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent",)
METHODS = {
    "unlink",
    "rename",
    "rmtree",
}  # rmdir removes only what is empty; whoever comes next does it otherwise
OF_OS = {"replace", "remove", "removedirs", "renames"}
ALLOWED = {
    "agent/files.py": "the one place",
    "agent/exports/enrich.py": "a file is moved onto itself to find out whether somebody has it open",
}


def _calls(path: Path) -> list[int]:
    """Return the lines that rename or delete."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, owner = node.func.attr, node.func.value
        is_of_os = isinstance(owner, ast.Name) and owner.id in ("os", "shutil") and name in OF_OS | METHODS
        is_path_replace = name == "replace" and len(node.args) == 1 and not node.keywords and not is_of_os
        if is_of_os or name in METHODS or is_path_replace:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_rename_or_delete_goes_past_the_patient_ones(room):
    found = {
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for path in (ROOT / room).rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in ALLOWED
        for line in _calls(path)
    }
    assert found == set()


def test_the_search_finds_what_it_is_for(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "p.unlink()\np.replace(q)\nshutil.rmtree(p)\nos.replace(a, b)\n'a'.replace('a', 'b')\nr.replace(hour=1)\n"
    )
    assert _calls(path) == [1, 2, 3, 4]
