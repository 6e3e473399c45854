"""Who may import whom, and that importing does nothing else.

The arrows are import-linter contracts in pyproject.toml. Each of them is seen to break here: a rule that nothing
can violate would hold nothing.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "drivers", "qc_routines", "server")
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
]
RECORDS, LEAVES, AGENT, SERVER = CONTRACTS


def lint_imports(folder: Path) -> tuple[int, str]:
    """Run import-linter on the four rooms in `folder`; return its exit code and what it said."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout + done.stderr


def test_contracts_are_kept() -> None:
    code, said = lint_imports(ROOT)
    assert code == 0, said


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "*.json"))
    return tmp_path


VIOLATIONS = [
    (RECORDS, "agent/records/_base.py", "import drivers.base"),
    (RECORDS, "agent/records/wire.py", "import server"),
    (RECORDS, "agent/records/_codec.py", "import agent.stranger", "agent/stranger.py", "import qc_routines"),
    (RECORDS, "drivers/__init__.py", "import qc_routines"),
    (RECORDS, "qc_routines/images.py", "from drivers import base"),
    (RECORDS, "agent/exports/stranger.py", "import drivers"),
    (LEAVES, "drivers/stranger.py", "import agent.records"),
    (LEAVES, "qc_routines/images.py", "def f():\n    from agent import clock"),
    (AGENT, "agent/clock.py", "import server"),
    (SERVER, "server/stranger.py", "import agent.settings"),
    (SERVER, "server/stranger.py", "from agent import clock"),
]


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda v: f"{v[1]}: {v[2].splitlines()[-1].strip()}")
def test_contract_breaks_when_violated(copy: Path, violation: tuple[str, ...]) -> None:
    contract, *additions = violation
    for file, line in zip(additions[::2], additions[1::2], strict=True):
        add_line(copy / file, line)
    code, said = lint_imports(copy)
    assert code == 1, said
    assert f"{contract} BROKEN" in " ".join(said.split()), said


def add_line(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")


def test_every_contract_has_a_violation() -> None:
    assert {contract for contract, *_ in VIOLATIONS} == set(CONTRACTS)


def test_records_import_the_standard_library_and_pydantic_alone() -> None:
    imported = {
        name
        for path in (ROOT / "agent" / "records").rglob("*.py")
        for name in imported_names(ast.parse(path.read_text("utf-8")))
    }
    ours = {name for name in imported if name.startswith("agent.records")}
    strangers = {name.split(".")[0] for name in imported - ours} - sys.stdlib_module_names
    assert strangers == {"pydantic"}


def imported_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "." * node.level)
    return names


# ---- what an import does


def run(program: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(statement: str, folder: Path) -> set[str]:
    """Return the top-level packages outside the standard library that a statement loads."""
    program = f"import sys; before = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    names = {name.split(".")[0] for name in run(program, folder).split()}
    return {name for name in names if not name.startswith("_sysconfigdata")} - sys.stdlib_module_names


PYDANTIC = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}


def test_importing_records_loads_only_pydantic(tmp_path: Path) -> None:
    assert loaded_by("import agent.records", tmp_path) <= {"agent"} | PYDANTIC


def test_importing_agent_loads_nothing(tmp_path: Path) -> None:
    assert loaded_by("import agent", tmp_path) == {"agent"}


def test_importing_the_collector_does_not_load_micro_manager(tmp_path: Path) -> None:
    assert loaded_by("import server.app", tmp_path).isdisjoint(
        {"pymmcore_plus", "drivers", "qc_routines", "numba"}
    )


IMPORT_EVERYTHING = """
import importlib, logging, pkgutil, threading
root = logging.getLogger()
before = root.level, list(root.handlers), threading.active_count()
room = importlib.import_module({room!r})
for module in pkgutil.walk_packages(room.__path__, {room!r} + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = root.level, list(root.handlers), threading.active_count()
assert after == before, f"root level, root handlers, threads: {{before}} became {{after}}"
"""


@pytest.mark.parametrize("room", ROOMS)
def test_importing_every_module_has_no_effects(room: str, tmp_path: Path) -> None:
    run(IMPORT_EVERYTHING.format(room=room), tmp_path)
    assert list(tmp_path.iterdir()) == []
