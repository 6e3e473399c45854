"""How an instrument fares, from what it last said and when it was last heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agent.records import Heartbeat, RecordError, decode_tolerant
from server.store.base import Reads
from server.store.rows import AcquisitionRow, Instrument


class Presence(StrEnum):
    """Whether we hear of it."""

    REPORTING = "reporting"
    SILENT = "silent"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Health:
    """One instrument at a glance. `problems` are sentences for a person."""

    instrument: Instrument
    presence: Presence
    heard_at: datetime | None
    heartbeat: Heartbeat | None
    last_acquisition: AcquisitionRow | None
    problems: tuple[str, ...]


def health_of(reads: Reads, instrument: Instrument, now: datetime, silent_after: timedelta) -> Health:
    """Return the health of one instrument.

    Presence is judged by the collector's own clock alone: when anything signed by one of its agents last came in.
    """
    agents = reads.agents(instrument.instrument_id)
    heard_at = max((a.heard_at for a in agents if a.heard_at is not None), default=None)
    beat = _heartbeat(reads, instrument.instrument_id)
    acquisitions = reads.acquisitions(instrument.instrument_id, limit=1)
    presence = _presence(heard_at, now, silent_after)
    return Health(
        instrument=instrument,
        presence=presence,
        heard_at=heard_at,
        heartbeat=beat,
        last_acquisition=acquisitions[0] if acquisitions else None,
        problems=tuple(_problems(beat, acquisitions[0] if acquisitions else None, presence)),
    )


def _presence(heard_at: datetime | None, now: datetime, silent_after: timedelta) -> Presence:
    if heard_at is None:
        return Presence.NEVER
    return Presence.SILENT if now - heard_at > silent_after else Presence.REPORTING


def _heartbeat(reads: Reads, instrument_id: str) -> Heartbeat | None:
    latest = reads.latest(instrument_id).get("heartbeat")
    try:
        record = decode_tolerant(latest.raw) if latest else None
    except RecordError:  # filed by an older collector under rules that have changed since
        return None
    return record if isinstance(record, Heartbeat) else None


def _problems(beat: Heartbeat | None, last: AcquisitionRow | None, presence: Presence) -> list[str]:
    found = []
    if presence is Presence.SILENT:
        found.append("It has missed its heartbeats.")
    if beat is not None:
        found += _problems_of_agent(beat)
    if last is not None and last.reason in ("errored", "interrupted"):
        found.append(f"The last acquisition was {last.reason}.")
    if last is not None and last.n_dropped:
        found.append(f"The last acquisition is missing {last.n_dropped} of its frames.")
    return found


def _problems_of_agent(beat: Heartbeat) -> list[str]:
    found = []
    if beat.hardware == "down":
        found.append("The hardware cannot be reached.")
    if beat.n_overflow:
        found.append(f"{beat.n_overflow} events were lost to a full capture queue.")
    if beat.spool.n_poisoned:
        found.append(f"{beat.spool.n_poisoned} records were set aside because they could not be sent.")
    if beat.spool.n_thinned:
        found.append(f"{beat.spool.n_thinned} records were given up under disk pressure.")
    if beat.clock_offset_s is not None and abs(beat.clock_offset_s) > 5:
        found.append(f"Its clock is off by {beat.clock_offset_s:+.0f} s.")
    return found
