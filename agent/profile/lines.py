"""On which line of a TOML file a key stands; the parsers do not tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_HEADER = re.compile(r"^\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
Path = tuple[str | int, ...]


def key_lines(text: str) -> dict[Path, int]:
    """Return the line of every table and every key that begins a line.

    Keys within an inline table or array have the line of the key they belong to; see `line_of`.

    >>> key_lines('[stand]\\nname = "x"')[("stand", "name")]
    2
    """
    lines: dict[Path, int] = {}
    arrays: Counter[Path] = Counter()
    table: Path = ()
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if fence:
            fence = "" if fence in line else fence
            continue
        if header := _HEADER.match(line):
            table = _table(header, arrays)
            lines.setdefault(table, number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((*table, *_names(assignment[1])), number)
            fence = _left_open(line[assignment.end() :])
    return lines


def _names(dotted: str) -> list[str]:
    return [name.strip("\"'") for name in _PART.findall(dotted)]


def _table(header: re.Match[str], arrays: Counter[Path]) -> Path:
    """Return the path of a table; the last entry of an array is meant where an array is named."""
    path: Path = ()
    names = _names(header[2])
    for i, name in enumerate(names):
        path = (*path, name)
        if header[1] == "[[" and i == len(names) - 1:
            arrays[path] += 1
        if arrays[path]:
            path = (*path, arrays[path] - 1)
    return path


def _left_open(value: str) -> str:
    """Return the quotes of a text of several lines that begins here and does not end here."""
    for quotes in ('"""', "'''"):
        if value.count(quotes) % 2:
            return quotes
    return ""


def line_of(lines: dict[Path, int], path: Sequence[str | int]) -> int | None:
    """Return the line of a key, or of the nearest thing around it that has one."""
    whole = tuple(path)
    for end in range(len(whole), 0, -1):
        if (found := lines.get(whole[:end])) is not None:
            return found
    return None


def written(path: Sequence[str | int]) -> str:
    """Return a path the way a person counts: the first entry of a list is number 1.

    >>> written(("objectives", 0, "na"))
    'objectives[1].na'
    """
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
