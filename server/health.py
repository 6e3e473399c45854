"""How an instrument fares, from what it last said and when it was last heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from agent.records import Heartbeat, RecordError, decode_tolerant
from server.languages import gettext
from server.numbers import count
from server.store.base import Reads
from server.store.rows import AcquisitionRow, FleetRow, Instrument, LatestRecord

_MOST_OFFSET_S = 5


class Presence(StrEnum):
    """Whether we hear of it."""

    REPORTING = "reporting"
    SILENT = "silent"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person should know; as text it is a sentence in the language of whoever asks."""

    what: str
    values: dict[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the sentence."""
        told = {name: count(one) if isinstance(one, int) else one for name, one in self.values.items()}
        return gettext(self.what) % told


@dataclass(frozen=True, slots=True)
class Health:
    """One instrument at a glance."""

    instrument: Instrument
    presence: Presence
    heard_at: datetime | None
    heartbeat: Heartbeat | None
    last_acquisition: AcquisitionRow | None
    problems: tuple[Problem, ...]


def health_of(reads: Reads, instrument: Instrument, now: datetime, silent_after: timedelta) -> Health:
    """Return the health of one instrument.

    Presence is judged by the collector's own clock alone: when anything signed by one of its agents last came in.
    """
    agents = reads.agents(instrument.instrument_id)
    heard_at = max((a.heard_at for a in agents if a.heard_at is not None), default=None)
    beat = reads.latest(instrument.instrument_id).get("heartbeat")
    acquisitions = reads.acquisitions(instrument.instrument_id, limit=1)
    row = FleetRow(instrument, heard_at, beat, acquisitions[0] if acquisitions else None)
    return health_in(row, now, silent_after)


def health_in(row: FleetRow, now: datetime, silent_after: timedelta) -> Health:
    """Return the health of an instrument of the fleet."""
    beat = _heartbeat(row.heartbeat)
    presence = presence_of(row.heard_at, now, silent_after)
    problems = tuple(_problems(beat, row.last_acquisition, presence))
    return Health(row.instrument, presence, row.heard_at, beat, row.last_acquisition, problems)


def presence_of(heard_at: datetime | None, now: datetime, silent_after: timedelta) -> Presence:
    """Return whether we hear of an instrument that was last heard then."""
    if heard_at is None:
        return Presence.NEVER
    return Presence.SILENT if now - heard_at > silent_after else Presence.REPORTING


def _heartbeat(latest: LatestRecord | None) -> Heartbeat | None:
    try:
        record = decode_tolerant(latest.raw) if latest else None
    except RecordError:  # filed by an older collector under rules that have changed since
        return None
    return record if isinstance(record, Heartbeat) else None


def _(text: str) -> str:
    """Mark a text for the catalogues; it is translated when it is shown."""
    return text


def _problems(beat: Heartbeat | None, last: AcquisitionRow | None, presence: Presence) -> list[Problem]:
    found = []
    if presence is Presence.SILENT:
        found.append(Problem(_("It has missed its heartbeats.")))
    if beat is not None:
        found += _problems_of_agent(beat)
    if last is not None and last.reason == "errored":
        found.append(Problem(_("The last acquisition was errored.")))
    if last is not None and last.reason == "interrupted":
        found.append(Problem(_("The last acquisition was interrupted.")))
    if last is not None and last.n_dropped:
        found.append(
            Problem(_("The last acquisition is missing %(n)s of its frames."), {"n": last.n_dropped})
        )
    return found


def _problems_of_agent(beat: Heartbeat) -> list[Problem]:
    found = []
    if beat.hardware == "down":
        found.append(Problem(_("The hardware cannot be reached.")))
    for part in beat.parts:
        if part.state != "running":
            found.append(Problem(_("The agent's part %(part)s has stopped."), {"part": part.name}))
    if beat.n_overflow:
        text = _("%(n)s events were lost to a full capture queue.")
        found.append(Problem(text, {"n": beat.n_overflow}))
    if beat.spool.n_poisoned:
        text = _("%(n)s records were set aside because they could not be sent.")
        found.append(Problem(text, {"n": beat.spool.n_poisoned}))
    if beat.spool.n_thinned:
        found.append(
            Problem(_("%(n)s records were given up under disk pressure."), {"n": beat.spool.n_thinned})
        )
    if beat.clock_offset_s is not None and abs(beat.clock_offset_s) > _MOST_OFFSET_S:
        found.append(Problem(_("Its clock is off by %(s)s s."), {"s": f"{beat.clock_offset_s:+.0f}"}))
    return found
