"""What the upper side knows of the collectors below it: who they are, how far each has come, and which agents they brought."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict

from agent.records.wire import CHAIN_START
from server.access.roles import PERMISSIONS, Permission, Role
from server.access.secrets import hash_of_join_code
from server.errors import RefusedError
from server.store.base import Job, Reads, Writes

CODE, COLLECTOR, LOG, AGENT, INSTRUMENT = (
    "downstream_code",
    "downstream",
    "downstream_log",
    "forwarded_agent",
    "forwarded_instrument",
)
_WHO = "forwarding"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class Code(_Kept):
    """A one-time permission for a collector to join."""

    name: str
    made_by: str
    expires_at: AwareDatetime
    used_by: str = ""


class Downstream(_Kept):
    """A collector below this one; its role decides what it may do, as with people."""

    agent_id: str
    collector_id: str
    name: str
    public_key: str
    role: Role = "upstream"
    version: str = ""
    joined_at: AwareDatetime
    revoked_at: AwareDatetime | None = None

    def must_be_allowed(self) -> None:
        """Refuse one that may not send."""
        if self.revoked_at is not None or Permission.FORWARD not in PERMISSIONS[self.role]:
            raise RefusedError(
                403, "agent_revoked", f"{self.name} may not forward here; ask its administrator."
            )


class Log(_Kept):
    """How far the log of a collector below is durable here."""

    log_id: str = ""
    acked: int = 0
    leaf: str = CHAIN_START
    n_not_taken: int = 0
    heard_at: AwareDatetime | None = None


def code_job(code: str, name: str, made_by: str, now: datetime, hours: float) -> Job:
    """Return the job that keeps a new join code for a collector called `name`."""
    kept = Code(name=name, made_by=made_by, expires_at=now + timedelta(hours=hours))
    return lambda writes: writes.put_document(
        CODE, hash_of_join_code(code), kept.model_dump_json(), now, made_by
    )


def join_job(code: str, wanted: Downstream, above: tuple[str, ...], now: datetime) -> Job:
    """Return the job that lets a collector in; the same code with the same key is answered alike."""

    def join(writes: Writes) -> Downstream:
        found = writes.document(CODE, hash_of_join_code(code))
        if found is None:
            raise _bad_code("There is no such join code; check the spelling.")
        kept = Code.model_validate_json(found.body)
        if kept.used_by not in ("", wanted.agent_id):
            raise _bad_code("This join code has been used; ask for a new one.")
        if kept.expires_at <= now:
            raise _bad_code("This join code has expired; ask for a new one.")
        if wanted.collector_id in above:
            raise RefusedError(
                409,
                "loop",
                f"{wanted.name[:64]} is this collector or stands above it: everything would come back. Join another one.",
            )
        known = downstream_of(writes, wanted.agent_id)
        if kept.used_by and known is not None and known.revoked_at is not None:
            raise _bad_code("This join code let in a collector that was revoked since; ask for a new one.")
        named = wanted.model_copy(update={"name": kept.name})
        used = kept.model_copy(update={"used_by": wanted.agent_id})
        writes.put_document(CODE, found.key, used.model_dump_json(), now, _WHO)
        writes.put_document(COLLECTOR, wanted.agent_id, named.model_dump_json(), now, kept.made_by)
        return named

    return join


def downstream_of(reads: Reads, agent_id: str) -> Downstream | None:
    """Return a collector below by the fingerprint of its key."""
    found = reads.document(COLLECTOR, agent_id)
    return Downstream.model_validate_json(found.body) if found else None


def downstreams(reads: Reads) -> list[tuple[Downstream, Log]]:
    """Return all collectors below, each with how far it has come."""
    found = [Downstream.model_validate_json(one.body) for one in reads.documents(COLLECTOR)]
    return [(one, log_of(reads, one.agent_id)) for one in found]


def revoke_job(agent_id: str, now: datetime, who: str) -> Job:
    """Return the job that shuts a collector out; what it sent stays."""

    def revoke(writes: Writes) -> bool:
        known = downstream_of(writes, agent_id)
        if known is None:
            return False
        shut_out = known.model_copy(update={"revoked_at": known.revoked_at or now})
        writes.put_document(COLLECTOR, agent_id, shut_out.model_dump_json(), now, who)
        return True

    return revoke


def log_of(reads: Reads, agent_id: str) -> Log:
    """Return how far a collector below has come."""
    found = reads.document(LOG, agent_id)
    return Log.model_validate_json(found.body) if found else Log()


def keep_log(writes: Writes, agent_id: str, log: Log, now: datetime) -> None:
    """Keep how far a collector below has come."""
    writes.put_document(LOG, agent_id, log.model_dump_json(), now, _WHO)


def maker_of(reads: Reads, agent_id: str) -> str:
    """Return the agent that made the records which this one signs: itself, unless a site signs in its stead."""
    found = reads.document(AGENT, agent_id)
    return str(json.loads(found.body)["stands_for"] or agent_id) if found else agent_id


def agents_brought_by(reads: Reads, by: str) -> dict[str, str]:
    """Return the agents that a collector brought, each with the one that makes the records it signs."""
    brought = ((one.key, json.loads(one.body)) for one in reads.documents(AGENT))
    return {agent_id: str(told["stands_for"] or agent_id) for agent_id, told in brought if told["by"] == by}


def keep_agent(writes: Writes, agent_id: str, by: str, stands_for: str | None, now: datetime) -> None:
    """Note which collector brought an agent, and for whom it stands."""
    writes.put_document(AGENT, agent_id, json.dumps({"by": by, "stands_for": stands_for}), now, _WHO)


def is_only_forwarded(reads: Reads, agent_id: str) -> bool:
    """Return whether an agent is known from a collector below alone: that collector decides about its keys, not this one."""
    return reads.document(AGENT, agent_id) is not None


def only_forwarded(reads: Reads) -> set[str]:
    """Return the ids of all agents of which `is_only_forwarded` is true."""
    return {document.key for document in reads.documents(AGENT)}


def forget_forwarded(writes: Writes, agent_id: str) -> None:
    """Note that an agent has enrolled here itself."""
    writes.remove_document(AGENT, agent_id)


def bringer_of(reads: Reads, instrument_id: str) -> str | None:
    """Return the key of the collector that brought an instrument, None for one that none has."""
    found = reads.document(INSTRUMENT, instrument_id)
    return found.body if found else None


def keep_bringer(writes: Writes, instrument_id: str, by: str, now: datetime) -> None:
    """Note which collector brought an instrument."""
    writes.put_document(INSTRUMENT, instrument_id, by, now, _WHO)


def _bad_code(message: str) -> RefusedError:
    return RefusedError(403, "bad_join_code", message)
