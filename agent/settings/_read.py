"""From a TOML file to settings, or to an error that tells its reader in plain words what is wrong where."""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from agent.errors import SettingsError
from agent.settings._models import DATA_DIR_VARIABLE, AgentSettings, Section

RENAMED: dict[str, str] = {}
"""Keys of older versions and what they are called now, both as section.key. A settings file is never too old to be read."""

_log = logging.getLogger("scopestamp.settings")


def load_settings(path: Path | None = None) -> AgentSettings:
    """Return the settings in a TOML file, or the defaults without one.

    Parameters
    ----------
    path : Path, optional
        The file. Relative paths in it are seen from its folder.

    Raises
    ------
    SettingsError
        The file is missing, is no TOML, or holds a key or value we do not know; the message names every one.
    """
    table = _renamed(_read_toml(path)) if path else {}
    if folder := os.environ.get(DATA_DIR_VARIABLE):
        table["data_dir"] = str(Path(folder).expanduser().absolute())
    try:
        return AgentSettings.model_validate(table, context={"folder": path.parent if path else Path()})
    except ValidationError as error:
        raise SettingsError(_in_words(error, path)) from error


def _renamed(table: dict[str, Any]) -> dict[str, Any]:
    """Return a settings table of whatever version under the names of today; what was renamed is told."""
    for old, new in RENAMED.items():
        section, key = _section_of(table, old)
        if section is None or key not in section:
            continue
        _log.warning("The settings key %s is called %s now; please rename it.", old, new)
        target, new_key = _section_of(table, new, is_made=True)
        if target is not None:
            target.setdefault(new_key, section.pop(key))  # when both are there, the new one counts
        if not section and (top := old.partition(".")[0]) in table:
            del table[top]  # nothing is left of a section of old
    return table


def _section_of(
    table: dict[str, Any], name: str, *, is_made: bool = False
) -> tuple[dict[str, Any] | None, str]:
    """Return the table that a key stands in, None when it is not there, and the key's last name."""
    *sections, key = name.split(".")
    for section in sections:
        inner = table.setdefault(section, {}) if is_made else table.get(section)
        if not isinstance(inner, dict):
            return None, key
        table = inner
    return table, key


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")  # Windows editors put a byte order mark in front
        return tomllib.loads(text)
    except OSError as error:
        raise SettingsError(
            f"expected a settings file at {path}, but it cannot be read: {error.strerror}. "
            "Check the path; `scopestamp print-config` writes a file with the defaults."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path}: expected UTF-8 text; byte {error.start} is none. Save it as UTF-8."
        ) from error
    except tomllib.TOMLDecodeError as error:
        hint = " Write Windows paths in 'single quotes' or with /." if "\\" in text else ""
        raise SettingsError(f"{path} is not valid TOML: {error}.{hint}") from error


_TOML_WORDS = {
    "model_type": "a table",
    "dict_type": "a table",
    "tuple_type": "a list",
    "missing": "this key to be there",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-' only",
}
"""pydantic speaks Python; the reader wrote TOML."""


def _in_words(error: ValidationError, path: Path | None) -> str:
    lines = [_problem(details) for details in error.errors(include_url=False)]
    return f"{path or 'settings'}: " + "; ".join(lines)


def _problem(details: Any) -> str:
    """Return one problem as a phrase: the key, what was expected, what came."""
    loc = [str(part) for part in details["loc"]]
    if details["type"] == "extra_forbidden":
        return f"unknown key {_place(loc)}{_nearest(loc[-1])}"
    message = _TOML_WORDS.get(details["type"], details["msg"])
    expected = message.removeprefix("Value error, ").removeprefix("Input should be ")
    came = "" if isinstance(details["input"], BaseModel) else f", came {details['input']!r}"
    return f"{_place(loc)}: expected {expected}{came}"


def _place(loc: list[str]) -> str:
    """Return a key the way it is written in the file: `[section] key`."""
    return f"[{'.'.join(loc[:-1])}] {loc[-1]}" if len(loc) > 1 else loc[0]


def _nearest(key: str) -> str:
    known = {name: name for name in AgentSettings.model_fields}
    for section, field in AgentSettings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            known |= {name: f"[{section}] {name}" for name in field.annotation.model_fields}
    match = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {known[match[0]]}?)" if match else ""
