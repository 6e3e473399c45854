"""A profile as a TOML file that a person can read and edit."""

from __future__ import annotations

from typing import Any

import tomlkit
from tomlkit import items

from agent.records import Frozen, Profile

HEADER = """\
The instrument profile: what no device can say of itself. See docs/profile.md.
Parts are joined to the hardware by `device` and `state` (labels). Units are in the names of the keys.
A key named in `derived` is a guess: check it, correct it, and take its name out of the list."""


def profile_toml(profile: Profile, header: str = HEADER) -> str:
    """Return a profile as TOML; what it does not state is left out.

    A value that TOML cannot hold (null within what an imported file holds beside its parts) is left out.
    """
    document = tomlkit.document()
    for line in header.splitlines():
        document.add(tomlkit.comment(line))
    for key, value in _stated(profile).items():
        document.add(key, _item(value))
    return tomlkit.dumps(document)


def _stated(model: Frozen) -> dict[str, Any]:
    """Return the fields of a model that differ from its defaults; scalars before tables, as TOML wants it."""
    out: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None or (
            value == field.get_default(call_default_factory=True) and not field.is_required()
        ):
            continue
        out[name] = _plain(value)
    return dict(sorted(out.items(), key=lambda item: isinstance(item[1], dict) or _is_tables(item[1])))


def _plain(value: Any) -> Any:
    if isinstance(value, Frozen):
        return _stated(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if item is not None]
    return value if isinstance(value, bool | int | float | str) or hasattr(value, "isoformat") else str(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _item(value: Any, depth: int = 0) -> items.Item:
    """Return a value as TOML: tables down to parts, within them everything on the line of its key."""
    if isinstance(value, dict) and depth < 1:
        return _table(value)
    if _is_tables(value) and depth < 1:
        array = tomlkit.aot()
        for entry in value:
            array.append(_table(entry))
        return array
    return _inline(value)


def _table(value: dict[str, Any]) -> items.Table:
    table = tomlkit.table()
    for key, entry in value.items():
        table.add(key, _item(entry, depth=1))
    return table


def _inline(value: Any) -> items.Item:
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        for key, entry in value.items():
            table.add(key, _inline(entry))
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        for entry in value:
            array.append(_inline(entry))
        return array
    return tomlkit.item(value)
