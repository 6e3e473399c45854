"""Commands and options that messages and pages name are there: nobody is told to type what does not exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from agent.cli import app as agent_app
from agent.quality.facts import WORDINGS
from agent.quality.options import known_to
from qc_routines.catalogue import ROUTINES
from server.cli import app as server_app

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "drivers", "qc_routines", "server")
NAMED = re.compile(
    r"(?:'|`|\$ |^)(?P<program>scopestamp(?:-server)?)(?P<rest>(?: [^'`\n|;&]+)*)", re.MULTILINE
)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SHORT = re.compile(r"'(?=(?:qc|schedule|service|profile|operator) [a-z])")
"""A command that is named without the program: 'qc list'."""
NOT_TYPED = "scopestamp key of"
"""What a signature is over; see `agent.records.wire`."""
OF_OTHERS = {
    "--no-legend", "--no-pager", "--property", "--system", "--user-group", "--no-create-home", "--home-dir", "--shell", "--now",
    "--release", "--html", "--cfg",
}  # fmt: skip
"""Options of systemd, javac and the like, which the agent itself calls."""


@cache
def program(name: str) -> Any:
    return typer.main.get_command(server_app if name.endswith("server") else agent_app)


def options_of(command: Any) -> set[str]:
    names = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return {"--help", *names}


def every_command(command: Any) -> Iterator[Any]:
    yield command
    for sub in getattr(command, "commands", {}).values():
        yield from every_command(sub)


def wrong_in(text: str) -> list[str]:
    """Return what a text tells to type that is not there: a command, or an option of it."""
    wrong = []
    for found in NAMED.finditer(SHORT.sub("'scopestamp ", text)):
        if found[0].startswith(NOT_TYPED):
            continue
        command, options = program(found["program"]), options_of(program(found["program"]))
        words = found["rest"].split()
        while words and hasattr(command, "commands") and re.fullmatch(r"[a-z][a-z-]*[a-z]", words[0]):
            if words[0] not in command.commands:
                wrong.append(f"{found[0]!r}: {command.name} has no {words[0]}")
                break
            command = command.commands[words.pop(0)]
            options |= options_of(command)
        named = {word.split("=")[0].rstrip(".,:)") for word in words if OPTION.match(word)}
        wrong += [f"{found[0]!r}: no option {name}" for name in sorted(named - options) if not wrong]
    return wrong


def texts_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(p.value if isinstance(p, ast.Constant) else "X" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_command_that_a_message_names_is_there() -> None:
    assert not {
        f"{path.relative_to(ROOT)}: {wrong}"
        for path in SOURCES
        for text in texts_of(path)
        for wrong in wrong_in(text)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    text = re.sub(r"\\\n\s*", "", page.read_text("utf-8"))
    assert wrong_in(text) == []


@pytest.mark.parametrize("room", ["agent", "qc_routines", "drivers"])
def test_every_option_that_a_message_names_is_one_of_ours(room: str) -> None:
    ours = {name for each in every_command(program("scopestamp")) for name in options_of(each)}
    ours |= {name for each in every_command(program("scopestamp-server")) for name in options_of(each)}
    named = {
        (name, str(path.relative_to(ROOT)))
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == room and not re.search(r"page|report|style", path.name)
        for text in texts_of(path)
        if " " in text
        for name in OPTION.findall(text)
    }
    assert {(name, where) for name, where in named if name not in ours | OF_OTHERS} == set()


SET = re.compile(r"""--set ["']?([a-z][a-z_]*)=""")
OF_ROUTINE = re.compile(r"scopestamp qc (?:run|analyse) ([a-z_]+)([^\n`]*)")


def test_every_fact_that_a_message_names_is_one_that_some_routine_knows() -> None:
    known = set().union(*map(known_to, ROUTINES.values()))
    named = {name for path in SOURCES for text in texts_of(path) for name in SET.findall(text)}
    assert named and named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_routine_and_fact_that_a_page_names_is_there(page: Path) -> None:
    for routine, rest in OF_ROUTINE.findall(page.read_text("utf-8")):
        assert set(SET.findall(rest)) <= known_to(ROUTINES[routine]), f"{routine}{rest}"


@pytest.mark.parametrize("command", ["analyse", "run"])
def test_what_is_missing_can_be_given_with_the_option_that_is_named(command: str) -> None:
    """`qc run` plans the positions itself: it is never short of them."""
    of_command = options_of(program("scopestamp").commands["qc"].commands[command])
    facts = WORDINGS.keys() - ({"stage_yx_um"} if command == "run" else set())
    assert {name for fact in facts for name in OPTION.findall(WORDINGS[fact].option)} <= of_command


@pytest.mark.parametrize(
    "text",
    [
        "type 'scopestamp fly'",
        "$ scopestamp qc run psf --speed 9",
        "`scopestamp qc weigh`",
        "see 'qc lists all'",
    ],
)
def test_what_is_not_there_is_noticed(text: str) -> None:
    assert wrong_in(text)
