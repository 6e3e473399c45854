"""Agents that a site has shut out, told to the collectors above: they show it, so that nobody waits for such an agent.

It is for people to know. What an agent sent before its key was revoked may still be on its way up, and is taken.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from server.forwarding.downstream import Downstream, agents_brought_by, maker_of
from server.forwarding.protocol import Revoked
from server.store.base import Job, Reads, Writes
from server.store.rows import AuditEntry

DOCUMENT = "forwarded_revocation"


class RevokedBelow(BaseModel):
    """When an agent was shut out below, and at which collector's word."""

    model_config = ConfigDict(frozen=True)

    instrument_id: str
    at: AwareDatetime
    by: str


def revoked_below(reads: Reads) -> dict[str, RevokedBelow]:
    """Return the agents that collectors below have shut out, by the id they have here."""
    return {one.key: RevokedBelow.model_validate_json(one.body) for one in reads.documents(DOCUMENT)}


def revoked_agents(reads: Reads) -> tuple[Revoked, ...]:
    """Return the agents that are shut out here or below, each by the id of the one that makes the records."""
    here = {one.agent_id: one.revoked_at for one in reads.agents() if one.revoked_at is not None}
    below = {agent_id: one.at for agent_id, one in revoked_below(reads).items()}
    told = {maker_of(reads, agent_id): at for agent_id, at in {**below, **here}.items()}
    return tuple(Revoked(agent_id=agent_id, at=at) for agent_id, at in sorted(told.items()))


def heed_job(sender: Downstream, told: tuple[Revoked, ...], now: datetime, address: str) -> Job:
    """Return the job that notes which of the agents a collector brought it has shut out."""
    at_of = {one.agent_id: one.at for one in told}

    def heed(writes: Writes) -> None:
        known = revoked_below(writes)
        for agent_id, maker in agents_brought_by(writes, sender.agent_id).items():
            agent = writes.agent(agent_id)
            if maker in at_of and agent_id not in known and agent is not None:
                one = RevokedBelow(instrument_id=agent.instrument_id, at=at_of[maker], by=sender.name)
                writes.put_document(DOCUMENT, agent_id, one.model_dump_json(), now, sender.name)
                writes.add_audit(
                    AuditEntry(now, sender.name, "agent revoked below", "done", agent_id, address)
                )

    return heed
