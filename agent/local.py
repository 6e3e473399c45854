"""What every process of the agent on one PC opens: identity, a spool of its own, a mint for records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.clock import Clock
from agent.errors import SettingsError
from agent.mint import Mint
from agent.outbox import DiskBudget, Identity, Outbox, Survey
from agent.settings import AgentSettings


@dataclass(frozen=True)
class Local:
    """One process's share of the agent's data folder."""

    data_dir: Path
    clock: Clock
    identity: Identity
    outbox: Outbox
    mint: Mint

    @classmethod
    def open(
        cls,
        settings: AgentSettings,
        data_dir: Path | None = None,
        identify: Callable[[Path, str | None], Identity] = Identity.load_or_create,
    ) -> Local:
        """Open the data folder (default: that of the settings); a process that signs nothing needs `Identity.known`.

        Raises
        ------
        IdentityError, SpoolError
            The folder cannot be used; the message says why.
        """
        folder = data_dir or settings.data_path
        clock = Clock()
        identity = identify(folder, settings.instrument.id or None)
        budget = DiskBudget(
            max_bytes=settings.spool.max_bytes or None,
            min_free_bytes=settings.spool.min_free_bytes,
            floor_bytes=settings.spool.floor_bytes,
        )
        outbox = Outbox.open(folder, budget=budget, clock=clock, identity=identity)
        return cls(folder, clock, identity, outbox, Mint(identity.instrument_id, identity.agent_id, clock))


def look(data_dir: Path) -> dict[str, Any]:
    """Return who the agent of a data folder is and what waits there, without starting anything."""
    if not (data_dir / "identity.json").is_file():
        raise SettingsError(
            f"There is no agent in {data_dir} yet. Start one with 'scopestamp run', or name its folder with --data."
        )
    from agent.outbox import enrolment

    identity = Identity.load_or_create(data_dir)
    place = enrolment(data_dir)
    backlog = Survey(data_dir).take()
    return {
        "agent_id": identity.agent_id,
        "instrument_id": identity.instrument_id,
        "enrolled_at": place.url if place else None,
        "records_waiting": backlog.n_waiting,
        "oldest_waiting": backlog.oldest_waiting_at.isoformat() if backlog.oldest_waiting_at else None,
        "bytes_on_disk": backlog.bytes_on_disk,
        "records_set_aside": backlog.n_poisoned,
        "data_folder": str(data_dir),
    }
