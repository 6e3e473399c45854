"""What a check finds, and where it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.settings import AgentSettings


class Level(StrEnum):
    """How a finding is to be taken."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's screen.

    Attributes
    ----------
    topic, name : str
        What was looked at.
    level : Level
        A problem keeps records from being taken or sent; a warning will, one day.
    says : str
        What was found.
    advice : str
        What to do; empty when nothing is to be done.
    facts : dict
        The same for machines: numbers with their units in their names.
    """

    topic: str
    name: str
    level: Level
    says: str
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Place:
    """An agent, as the doctor sees it: its settings and its data folder, both only read."""

    settings: AgentSettings
    data_dir: Path
    config: Path | None = None
    now: Callable[[], datetime] = _now


Check = Callable[[Place], Iterator[Finding]]
"""Looks at one matter; may take long or hang, and then is left to itself."""
