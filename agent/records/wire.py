"""The protocol between an agent and a collector.

A *spool* is an append-only log on the agent's disk. It names itself (`spool_id`, random, new for every process
that captures and for every lane), and numbers its records 1, 2, 3 … without gaps. A *batch* is a run of
consecutive records of one spool, sent as one request::

    POST /v1/ingest
    Content-Type: application/x-ndjson
    Content-Encoding: zstd                     (or gzip, or absent)
    Scopestamp-Agent: agt-…                    who signs
    Scopestamp-Spool: …                        whose records
    Scopestamp-First-Seq: 17                   number of the first line
    Scopestamp-Count: 100                      number of lines
    Scopestamp-Prev: <hex>                     chain value before the first line, after `chain_skip` if any
    Scopestamp-Skipped-From: 12                only if 12 … 16 can never be sent
    Scopestamp-Time: 2026-01-01T00:00:00+00:00 the agent's clock; recorded, never judged
    Scopestamp-Signature: <base64>             Ed25519 over `signing_bytes`

Each line of the body is one record, in the bytes in which it was spooled. The collector answers
`IngestReply` only after its commit: every record up to `acked` is durable there. A batch that was seen before
adds nothing. `first_seq` beyond the mark + 1 is answered 409 with `expected`; the agent sends again from there,
or, when those records are gone for good, says so with Scopestamp-Skipped-From.

The *chain* makes tampering and forks visible whatever the batch boundaries: it starts at `CHAIN_START` and
`chain_next` is applied for every record, `chain_skip` for every range that is skipped.

Every other request of an agent is signed in the same way. Replays are harmless by construction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from agent.records._base import Frozen, UtcTime

INGEST_PATH = "/v1/ingest"
CURSOR_PATH = "/v1/cursor"
ENROL_PATH = "/v1/enrol"
ROTATE_PATH = "/v1/rotate-key"

AGENT_HEADER = "Scopestamp-Agent"
SPOOL_HEADER = "Scopestamp-Spool"
FIRST_SEQ_HEADER = "Scopestamp-First-Seq"
COUNT_HEADER = "Scopestamp-Count"
PREV_HEADER = "Scopestamp-Prev"
SKIPPED_FROM_HEADER = "Scopestamp-Skipped-From"
TIME_HEADER = "Scopestamp-Time"
SIGNATURE_HEADER = "Scopestamp-Signature"
_SIGNATURE = SIGNATURE_HEADER.lower()

MAX_BODY_BYTES = 1 << 20
"""Largest body as transmitted; a collector may announce less with 413."""
MAX_EXPANDED_BYTES = 8 << 20
"""Largest body after decompression."""
MAX_RECORD_BYTES = 1 << 20
"""Largest single record; a larger one is set aside at the agent and a gap record says so."""
MAX_BATCH_RECORDS = 500

CHAIN_START = "0" * 64


def chain_next(chain: str, record: bytes) -> str:
    """Return the chain value after `record`, given the value before it (lower-case hexadecimal).

    >>> chain_next(CHAIN_START, b"{}")[:16]
    '961af672d320bfb8'
    """
    return hashlib.sha256(bytes.fromhex(chain) + hashlib.sha256(record).digest()).hexdigest()


def chain_skip(chain: str, first_seq: int, last_seq: int) -> str:
    """Return the chain value after the range `first_seq … last_seq` was given up."""
    return hashlib.sha256(bytes.fromhex(chain) + f"skipped {first_seq} {last_seq}".encode()).hexdigest()


def signing_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return what an agent signs for a request.

    Method, path with query, every ``Scopestamp-*`` header but the signature (lower case, sorted) and the SHA-256 of
    the body as it is transmitted, so that a collector can refuse a stranger before it decompresses anything.
    """
    own = [(name.lower(), value) for name, value in headers.items()]
    signed = [one for one in own if one[0].startswith("scopestamp-") and one[0] != _SIGNATURE]
    lines = ["scopestamp-request-v1", method.upper(), path]
    lines += [f"{name}:{value}" for name, value in sorted(signed)]
    lines.append(hashlib.sha256(body).hexdigest())
    return "\n".join(lines).encode()


def agent_id_of(public_key: bytes) -> str:
    """Return the agent id that belongs to a raw Ed25519 public key (32 bytes).

    >>> agent_id_of(bytes(32))
    'agt-66687aadf862bd776c8fc18b8e9f8e20'
    """
    if len(public_key) != 32:
        raise ValueError(f"an Ed25519 public key has 32 bytes; got {len(public_key)}")
    return "agt-" + hashlib.sha256(public_key).hexdigest()[:32]


class Flagged(Frozen):
    """A record the collector kept, acknowledged, and could not index as usual."""

    seq: int = Field(description="Its sequence number.")
    reason: Literal["unknown_kind", "newer_version", "malformed", "foreign_agent"] = Field(description="Why.")
    message: str = Field(description="In words.")


class IngestReply(Frozen):
    """Answer to a batch, given only after commit."""

    acked: int = Field(ge=0, description="Everything up to this sequence number is durable at the collector.")
    n_added: int = Field(ge=0, description="Records this batch added; 0 for a replay.")
    flagged: tuple[Flagged, ...] = Field(default=(), description="Records kept in quarantine.")
    time: UtcTime = Field(description="The collector's clock.")
    max_body_bytes: int = Field(default=MAX_BODY_BYTES, description="Largest body it takes.")


class CursorReply(Frozen):
    """Where a spool stands at the collector: ``GET /v1/cursor?spool=<spool_id>``."""

    acked: int = Field(ge=0, description="0 for a spool never seen.")
    chain: str = Field(description="Chain value at `acked`.")
    time: UtcTime = Field(description="The collector's clock.")


class EnrolRequest(Frozen):
    """Body of ``POST /v1/enrol``, signed with the key it brings (agent header and signature as on any request)."""

    join_code: str = Field(description="One-time code from the collector, such as K7QM-2XRT-9WPA-HC4D-V3JN.")
    public_key: str = Field(description="Raw Ed25519 public key, base64.")
    instrument_id: str = Field(description="The instrument the agent will speak of.")
    instrument_name: str = Field(description="What people call it.")
    hostname: str = Field(description="Computer the agent runs on.")
    platform: str = Field(description="Operating system.")
    version: str = Field(description="Agent's version.")


class EnrolReply(Frozen):
    """Answer to an enrolment; the same code with the same key is answered alike, so a lost reply does no harm."""

    agent_id: str = Field(description="Fingerprint of the key, as `agent_id_of` gives it.")
    instrument_id: str = Field(description="The instrument the agent is bound to.")
    collector: str = Field(description="Name of the collector.")
    time: UtcTime = Field(description="The collector's clock.")


class RotateRequest(Frozen):
    """Body of ``POST /v1/rotate-key``, signed with the key that is to be replaced; the agent's id stays."""

    public_key: str = Field(description="The new raw Ed25519 public key, base64.")
    proof: str = Field(
        description="Signature of `rotation_bytes` with the new key, base64: whoever asks has it."
    )


class RotateReply(Frozen):
    """Answer to a new key; asking again with the same key is answered alike."""

    agent_id: str = Field(description="As before.")
    old_until: UtcTime = Field(description="Until then the old key is accepted beside the new one.")
    time: UtcTime = Field(description="The collector's clock.")


def rotation_bytes(agent_id: str, public_key: str) -> bytes:
    """Return what the new key signs: that it is to be this agent's."""
    return f"scopestamp key of {agent_id}: {public_key}".encode()


class Refusal(Frozen):
    """Body of every answer that is not a success."""

    error: str = Field(
        description="Stable name: unknown_agent, bad_signature, agent_revoked, bad_join_code, instrument_taken, "
        "gap, fork, too_large, malformed_batch, malformed_request, busy, store_unavailable …"
    )
    message: str = Field(description="What was expected, what came, what to do.")
    expected: int | None = Field(
        default=None, description="With error 'gap': the next sequence number wanted."
    )
