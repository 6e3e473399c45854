"""The protocol between a collector and the one above it.

A collector is to the one above it what an agent is to a collector: it has a key, it enrols with a join code, it sends what is in
its log, in order, and is told how far everything is durable. Its log are its batches, numbered 1, 2, 3 … as they were taken::

    POST /v1/forward
    Content-Encoding: zstd
    Scopestamp-Agent: agt-…        fingerprint of the sending collector's key
    Scopestamp-Log: …              random name of the log; a new one when the store was restored from a backup
    Scopestamp-First-Seq: 17       number of the first parcel's batch
    Scopestamp-Prev: <hex>         `leaf` of the last parcel before it, as the upstream gave it back
    Scopestamp-Time, -Signature    as on any request of `agent.records.wire`

Each line of the body is a `Parcel`: one batch as its agent signed it, or, where the site's policy changed any record in it, one that the
site signed in its stead. The signature is that of ``POST /v1/ingest``, and is checked and kept as there, so `scopestamp-server verify` vouches
for every record at every level. All of a request, and how far it has come, is one transaction: lost replies do no harm.

``GET /v1/forward`` tells where a log stands and which collectors are above, so that a ring is noticed before it is closed; every
parcel carries the collectors it has passed (`via`), and none takes what it has passed already. ``POST /v1/forward/revoked`` tells which
agents are shut out, for people above to know.
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from agent.records.wire import CHAIN_START, MAX_BODY_BYTES
from server.access.rotation import EarlierKey

FORWARD_PATH = "/v1/forward"
JOIN_PATH = "/v1/forward/join"
REVOKED_PATH = "/v1/forward/revoked"
LOG_HEADER = "Scopestamp-Log"

VIA = "forwarded-via"
"""Stored with a batch's headers: the collectors it has passed, the first one first."""
PROXY_SPOOL = "forwarded"
"""Spool of the records that a site signs in an agent's stead."""
MAX_HOPS = 8
MARK = "filtered"
"""Key in a record that a policy changed; holds a list of `Filtered`, the first site first."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)  # unknown fields are ignored: collectors are not upgraded together


class Filtered(_Told):
    """What a site says of a record that it did not pass on as it was."""

    by: str = Field(description="The collector whose policy it was.")
    filters: tuple[str, ...] = Field(description="Names of the filters that changed it.")
    original_sha256: str = Field(
        description="Of the line as it was received there; the site can show the line."
    )


class Introduction(_Told):
    """Whose batch a parcel holds: a key, and the instrument it speaks of."""

    public_key: str = Field(description="Raw Ed25519 key in force, base64.")
    earlier: tuple[EarlierKey, ...] = Field(
        default=(), description="Those before it, the oldest first, each with the request that replaced it."
    )
    instrument_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")
    instrument_name: str = Field(max_length=400)
    site: str = Field(max_length=2000, description="Where it stands, as the sending collector calls it.")
    hostname: str = Field(default="", max_length=400)
    platform: str = Field(default="", max_length=400)
    version: str = Field(default="", max_length=100)
    stands_for: str | None = Field(
        default=None, description="The agent that made the records, when a site has signed in its stead."
    )


class Parcel(_Told):
    """One step of the log: a batch, or nothing of it where the policy withholds it all."""

    number: int = Field(ge=1, description="Number of the batch in the sender's log.")
    leaf: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="SHA-256 of what the sender's tree holds of the batch."
    )
    by: Introduction | None = None
    via: tuple[str, ...] = Field(default=(), max_length=MAX_HOPS)
    headers: dict[str, str] = Field(default_factory=dict, description="As they were signed.")
    path: str = ""
    body: str = Field(default="", description="As it was signed, base64.")
    received_at: AwareDatetime | None = Field(
        default=None, description="When the first collector took it, by that clock."
    )


class Standing(_Told):
    """Where a log stands, and what is above."""

    collector_id: str = Field(description="The upstream collector, as it stands in `via`.")
    name: str
    above: tuple[str, ...] = Field(description="It, and the collectors above it as far as it knows.")
    log_id: str = Field(default="", description="The log it knows of this sender; empty for none.")
    acked: int = Field(default=0, ge=0, description="Everything up to this batch is durable there.")
    leaf: str = Field(default=CHAIN_START, description="`leaf` of that batch.")
    time: AwareDatetime
    max_body_bytes: int = MAX_BODY_BYTES


class NotTaken(_Told):
    """A parcel that was passed over, and why; the others were taken."""

    number: int
    error: str
    message: str


class ForwardReply(Standing):
    """Answer to a request, given only after the commit."""

    n_added: int = Field(default=0, ge=0)
    not_taken: tuple[NotTaken, ...] = ()


class Revoked(_Told):
    """An agent that is shut out at its site or below it."""

    agent_id: str = Field(max_length=100, description="Of the agent that makes the records.")
    at: AwareDatetime = Field(description="Since when, by the clock of the collector that shut it out.")


class RevokedRequest(_Told):
    """Body of ``POST /v1/forward/revoked``, signed as any request; told when it changes and after every start."""

    agents: tuple[Revoked, ...] = Field(max_length=100_000)


class JoinRequest(_Told):
    """Body of ``POST /v1/forward/join``, signed with the key it brings."""

    join_code: str = Field(max_length=100)
    public_key: str = Field(max_length=100)
    collector_id: str = Field(pattern=r"^col-[0-9a-f]{32}$")
    name: str = Field(max_length=400)
    version: str = Field(max_length=100)
