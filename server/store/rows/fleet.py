"""Instruments, the agents that speak for them, and how they stand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from server.store.rows.acquisitions import AcquisitionRow
from server.store.rows.records import LatestRecord


@dataclass(frozen=True, slots=True)
class Instrument:
    """A microscope, as staff named it."""

    instrument_id: str
    name: str
    site: str
    added_at: datetime
    model: str = ""
    """As the newest description of the instrument tells it; nobody else writes it."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An enrolled agent: a public key bound to an instrument."""

    agent_id: str
    public_key: bytes
    instrument_id: str
    hostname: str
    platform: str
    version: str
    enrolled_at: datetime
    heard_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JoinCode:
    """A one-time permission to enrol; the code itself is known only to whoever was shown it."""

    code_sha256: str
    instrument_name: str
    site: str
    instrument_id: str | None
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_by: str | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FleetRow:
    """An instrument at a glance: when it was heard, its last heartbeat, its last acquisition."""

    instrument: Instrument
    heard_at: datetime | None
    heartbeat: LatestRecord | None
    last_acquisition: AcquisitionRow | None


class FleetMark(NamedTuple):
    """An instrument in a few words, to sort, filter and count thousands of them by."""

    # A named tuple: ten thousand are made for one page.
    instrument_id: str
    name: str
    site: str
    model: str
    heard_at: datetime | None
    qc_rank: int
    """The worst verdict of the newest runs of its series, by `QC_RANKS`."""
    qc_at: datetime | None
    running_at: datetime | None
    """When the last of the acquisitions that have not ended began."""


QC_RANKS = ("none", "pass", "unknown", "warn", "fail")
"""How a fleet is ranked: the further back, the sooner somebody should look."""
