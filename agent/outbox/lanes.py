"""Lanes: what must arrive first, and what may be given up first."""

from __future__ import annotations

from enum import StrEnum

from agent.records import Record


class Lane(StrEnum):
    """Records of one urgency; in the order in which they are sent."""

    CRITICAL = "critical"
    EVENTS = "events"
    SNAPSHOTS = "snapshots"
    HEARTBEATS = "heartbeats"


_LANE_OF_KIND = {
    "acquisition_started": Lane.CRITICAL,
    "acquisition_finished": Lane.CRITICAL,
    "frame_ledger": Lane.CRITICAL,
    "dataset_stamp": Lane.CRITICAL,
    "dataset_found": Lane.CRITICAL,
    "usage_session": Lane.EVENTS,
    "qc_result": Lane.CRITICAL,
    "schedule_run": Lane.CRITICAL,
    "gap": Lane.CRITICAL,
    "instrument": Lane.EVENTS,
    "instrument_profile": Lane.EVENTS,
    "state_change": Lane.EVENTS,
    "agent_event": Lane.EVENTS,
    "schedule_plan": Lane.EVENTS,
    "state_snapshot": Lane.SNAPSHOTS,
    "heartbeat": Lane.HEARTBEATS,
}


def lane_of(record: Record) -> Lane:
    """Return the lane of a record.

    A kind nobody gave a lane yet is critical: better sent too early than given up.
    """
    return _LANE_OF_KIND.get(getattr(record, "kind", ""), Lane.CRITICAL)
