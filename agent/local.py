"""What every process of the agent on one PC opens: identity, a spool of its own, a mint for records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock
from agent.mint import Mint
from agent.outbox import DiskBudget, Identity, Outbox
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
    def open(cls, settings: AgentSettings, data_dir: Path | None = None) -> Local:
        """Open the data folder (default: that of the settings).

        Raises
        ------
        IdentityError, SpoolError
            The folder cannot be used; the message says why.
        """
        folder = data_dir or settings.data_path
        clock = Clock()
        identity = Identity.load_or_create(folder, settings.instrument.id or None)
        budget = DiskBudget(
            max_bytes=settings.spool.max_bytes or None,
            min_free_bytes=settings.spool.min_free_bytes,
            floor_bytes=settings.spool.floor_bytes,
        )
        outbox = Outbox.open(folder, budget=budget, clock=clock)
        return cls(folder, clock, identity, outbox, Mint(identity.instrument_id, identity.agent_id, clock))
