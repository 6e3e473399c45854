"""The README's two commands: one shows the program, one runs the tests. `.ci/run` runs the second as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def sh_commands() -> list[str]:
    """Return the commands in the README's ```sh blocks, continued lines joined."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.parametrize("ending", ["scopestamp demo", "pytest"])
def test_readme_has_one_command_that_installs_and_runs(ending: str) -> None:
    commands = [command for command in sh_commands() if re.search(rf"(^|\s){ending}$", command)]
    assert len(commands) == 1, f"expected one command that ends with {ending!r}; found {commands}"
    assert re.fullmatch(rf"pip install \S.* && {ending}", commands[0])


def test_ci_runs_the_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "README.md" in script
    assert "pip install" not in script, "the command stands in the README alone"


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        assert page.is_file(), f"a link leads to {page.relative_to(ROOT)}, which is not there"
        reached.add(page)
        links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page.read_text("utf-8"))
        todo += [(page.parent / link).resolve() for link in links]
    assert set((ROOT / "docs").glob("*.md")) <= reached
