"""From a TOML file to a profile, or to a list of what is wrong with it, each with line and key."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agent.profile.errors import ProfileError, ProfileProblem
from agent.profile.lines import key_lines, line_of, written
from agent.records import Profile

_WORDS = {
    "missing": "this key to be there",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "tuple_type": "a list in [brackets]",
    "date_type": "a date such as 2026-01-31",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
}


def load_profile(path: Path) -> Profile:
    """Return the profile in a TOML file.

    Raises
    ------
    ProfileError
        The file cannot be read, is no TOML, or holds keys or values that are wrong; each is told.
    """
    try:
        text = path.read_text("utf-8-sig")  # Windows editors put a byte order mark in front
    except OSError as error:
        problem = ProfileProblem(
            None, "", f"expected a file, but it cannot be read: {error.strerror or error}"
        )
        raise ProfileError(str(path), [problem]) from error
    except UnicodeDecodeError as error:
        problem = ProfileProblem(
            None, "", f"expected UTF-8 text; byte {error.start} is none. Save it as UTF-8"
        )
        raise ProfileError(str(path), [problem]) from error
    return read_profile(text, str(path))


def read_profile(text: str, where: str = "the text") -> Profile:
    """Return the profile in a TOML text; `where` names it in messages.

    Raises
    ------
    ProfileError
        The text is no TOML, or holds keys or values that are wrong.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(where, [_syntax_problem(text, error)]) from error
    try:
        return Profile.model_validate_json(json.dumps(table, default=_as_json), strict=True)
    except ValidationError as error:
        lines = key_lines(text)
        problems = [_problem(details, lines) for details in _distinct(error)]
        raise ProfileError(where, sorted(problems, key=lambda item: item.line or 0)) from error


def _syntax_problem(text: str, error: tomllib.TOMLDecodeError) -> ProfileProblem:
    found = re.search(r"at line (\d+)", str(error))
    line = int(found[1]) if found else len(text.splitlines())
    words = re.sub(r" \(at .*\)$", "", str(error))
    hint = ". Write Windows paths in 'single quotes'" if "\\" in text else ""
    return ProfileProblem(line, "", f"not valid TOML: {words}{hint}")


def _as_json(value: Any) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise TypeError(f"TOML has no {type(value).__name__}")


def _distinct(error: ValidationError) -> list[Any]:
    """Return one problem per key; a value that fits none of several types is told once."""
    seen: dict[tuple[Any, ...], Any] = {}
    for details in error.errors(include_url=False):
        seen.setdefault(_own_path(details["loc"]), details)
    return list(seen.values())


def _own_path(loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a place without pydantic's names of types."""
    return tuple(part for part in loc if isinstance(part, int) or re.fullmatch(r"[\w µ./-]+", str(part)))


def _problem(details: Any, lines: Any) -> ProfileProblem:
    path = _own_path(details["loc"])
    if details["type"] == "extra_forbidden":
        text = f"no such key{_nearest(path)}"
    else:
        expected = _WORDS.get(details["type"], details["msg"])
        expected = expected.removeprefix("Value error, ").removeprefix("Input should be ")
        value = details["input"]
        came = "" if isinstance(value, BaseModel | dict | list) else f", came {value!r}"
        text = f"expected {expected}{came}"
    return ProfileProblem(line_of(lines, path), written(path), text)


def _nearest(path: tuple[Any, ...]) -> str:
    """Return a hint at the key that was probably meant."""
    model: Any = Profile
    for part in path[:-1]:
        if isinstance(part, str) and isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = _model_in(field.annotation) if field else None
    known = list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
    match = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"; did you mean {match[0]}?" if match else ""


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)
