"""What rules look at, and what they find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from agent.records import Heartbeat
from server.alerts.away import Away
from server.store.base import Reads
from server.store.rows import FleetRow

Firing = Callable[[str], bool]
"""Whether an alert with that key fires already."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that holds.

    `what` and `advice` are texts with named places for `values`, so that they can be told in any language.
    """

    rule: str
    instrument_id: str
    subject: str
    what: str
    since: datetime
    values: dict[str, str] = field(default_factory=dict)
    advice: str = ""
    href: str = ""

    @property
    def key(self) -> str:
        """The same for the same trouble, however often it is found."""
        return f"{self.rule}|{self.instrument_id}|{self.subject}"


@dataclass(frozen=True, slots=True)
class Scene:
    """One instrument as the rules see it, read only as far as some rule asks."""

    reads: Reads
    row: FleetRow
    beat: Heartbeat | None
    now: datetime
    is_firing: Firing
    away: Away | None

    @property
    def instrument_id(self) -> str:
        """The instrument's id."""
        return self.row.instrument.instrument_id
