"""What records tell of the use of an instrument."""

from __future__ import annotations

from datetime import timedelta

from agent.records import Record, ScheduleRun, UsageSession
from server.store.rows import PlannedRunFacts, SessionFacts


def use_of(record: Record) -> SessionFacts | PlannedRunFacts | None:
    """Return the session or planned run in a record, None in any other; OverflowError beyond the calendar."""
    match record:
        case UsageSession():
            return _session(record)
        case ScheduleRun() if record.state.is_end and record.started_at and record.ended_at:
            return PlannedRunFacts(
                run_id=record.run_id,
                began_at=record.started_at,
                ended_at=max(record.ended_at, record.started_at),
                routine=record.routine,
                state=record.state.value,
                qc_run_id=record.qc_run_id,
            )
    return None


def _session(record: UsageSession) -> SessionFacts:
    return SessionFacts(
        session_id=record.session_id,
        began_at=record.began.wall_at,
        ended_at=record.began.wall_at + timedelta(seconds=record.duration_s),
        person=record.user,
        person_how=record.user_name,
        acquiring_s=record.acquiring_s,
        live_s=record.live_s,
        shutter_open_s=record.shutter_open_s,
        n_acquisitions=record.n_acquisitions,
        n_frames=record.n_frames_acquired,
    )
