"""Makes an agent known to a collector with a one-time join code, which is never stored or logged."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import datetime
from pathlib import Path

import httpx
from pydantic import Field, ValidationError

from agent.clock import Clock
from agent.errors import CollectorAwayError, CollectorError, IdentityError
from agent.outbox.collector import Collector
from agent.outbox.disk import write_atomically
from agent.outbox.identity import Identity
from agent.records import Frozen, UtcTime
from agent.records.wire import EnrolReply, EnrolRequest

_ENROLMENT_NAME = "enrolment.json"


class Enrolment(Frozen):
    """What is kept of an enrolment."""

    url: str = Field(description="Address of the collector.")
    collector: str = Field(description="Name of the collector.")
    agent_id: str = Field(description="The agent that was enrolled.")
    instrument_id: str = Field(description="The instrument it is bound to.")
    enrolled_at: UtcTime = Field(description="When, by our clock.")


def enrol(
    identity: Identity,
    url: str,
    join_code: str,
    *,
    instrument_name: str,
    clock: Clock | None = None,
    verify: Path | str | bool = True,
    transport: httpx.BaseTransport | None = None,
) -> EnrolReply:
    """Bind the agent's key to its instrument at a collector, and remember where.

    The same code may be used again by the same agent, so after a lost answer simply enrol again.

    Parameters
    ----------
    identity : Identity
        Who is enrolled.
    url : str
        The collector.
    join_code : str
        One-time code from the collector's staff.
    instrument_name : str
        What people call the instrument.
    clock : Clock, optional
        Dates the enrolment.
    verify, transport
        As for `Sender`.

    Raises
    ------
    CollectorAwayError
        The collector cannot be reached; the code is still good.
    CollectorRefusedError
        It said no: the code is used, too old, or meant for another instrument.
    CollectorError
        It answered for another agent or instrument than this one.
    IdentityError
        The result cannot be saved in the data folder.
    """
    clock = clock or Clock()
    request = EnrolRequest(
        join_code=join_code.strip(),
        public_key=identity.public_key,
        instrument_id=identity.instrument_id,
        instrument_name=instrument_name,
        hostname=platform.node() or "unknown",
        platform=platform.platform(),
        version=importlib.metadata.version("scopestamp"),
    )
    collector = Collector(url, identity, clock=clock, verify=verify, transport=transport)
    try:
        reply = collector.enrol(request)
    finally:
        collector.close()
    _check(reply, identity, collector.url)
    _save(identity, collector.url, reply, clock.wall_at())
    return reply


def enrolment(data_dir: Path) -> Enrolment | None:
    """Return where the agent of a data folder is enrolled, or None when nowhere.

    Raises
    ------
    IdentityError
        The file is there but cannot be read.
    """
    path = Path(data_dir) / _ENROLMENT_NAME
    try:
        return Enrolment.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise IdentityError(f"{path} cannot be read ({error}). Delete it and enrol again.") from error


def _check(reply: EnrolReply, identity: Identity, url: str) -> None:
    if reply.agent_id != identity.agent_id:
        raise CollectorAwayError(
            f"{url} answered for agent {reply.agent_id}, but this is {identity.agent_id}. Check the address."
        )
    if reply.instrument_id != identity.instrument_id:
        raise CollectorError(
            f"The join code binds this agent to instrument {reply.instrument_id!r}, but it records for "
            f"{identity.instrument_id!r}. Set the instrument's id in the settings before the first start (with a new data "
            "folder), or ask for a code for this instrument."
        )


def _save(identity: Identity, url: str, reply: EnrolReply, enrolled_at: datetime) -> None:
    kept = Enrolment(
        url=url,
        collector=reply.collector,
        agent_id=reply.agent_id,
        instrument_id=reply.instrument_id,
        enrolled_at=enrolled_at,
    )
    path = identity.data_dir / _ENROLMENT_NAME
    try:
        write_atomically(path, kept.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise IdentityError(
            f"The collector took this agent, but {path} cannot be written ({error}). Make the folder writable and enrol "
            "again with the same code."
        ) from error
