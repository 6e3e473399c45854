"""From settings to a TOML file that explains itself."""

from __future__ import annotations

import textwrap
from typing import Any

import tomlkit
from tomlkit.items import AbstractTable, InlineTable, Table

from agent.settings._models import AgentSettings, Section, StatedFact


def print_settings(settings: AgentSettings) -> str:
    """Return settings as TOML with a comment above every key; reading it gives the same settings."""
    document = tomlkit.document()
    _fill(document, settings)
    return tomlkit.dumps(document).rstrip() + "\n"


def _fill(table: Any, section: Section) -> None:
    """Write one section into a table: its own description, then key by key, sub-sections last."""
    _comment(table, type(section).__doc__ or "")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if not isinstance(value, Section):
            table.add(tomlkit.nl())
            _comment(table, field.description or "")
        if isinstance(value, Section):
            table.add(tomlkit.nl())
            table.add(name, _section(value))
        elif isinstance(value, dict):
            _fill_devices(table, name, value)
        else:
            table.add(name, list(value) if isinstance(value, tuple) else value)


def _section(section: Section) -> Table:
    table = tomlkit.table()
    _fill(table, section)
    return table


def _fill_devices(table: AbstractTable, name: str, devices: dict[str, dict[str, StatedFact]]) -> None:
    if not devices:
        return  # the comment shows how to write one
    facts = tomlkit.table(is_super_table=True)
    for label, stated in devices.items():
        device = tomlkit.table()
        for key, fact in stated.items():
            device.add(key, fact.value if fact.unit is None else _inline(fact))
        facts.add(label, device)
    table.add(name, facts)


def _inline(fact: StatedFact) -> InlineTable:
    inline = tomlkit.inline_table()
    inline.update(fact.model_dump())
    return inline


def _comment(table: Any, text: str) -> None:
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, width=96):
            table.add(tomlkit.comment(line))
