"""Answers of the query API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.records import Change, QcMetric, ScheduleRun
from server.alerts.book import Alert
from server.alerts.rules import Severity
from server.forwarding.revoked import RevokedBelow
from server.quality.runs import Run
from server.quality.schedules import PlacedSchedule
from server.store.rows import Agent


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class InstrumentAnswer(_Answer):
    """An instrument and how it fares."""

    instrument_id: str
    name: str
    site: str
    presence: Literal["reporting", "silent", "never"] = Field(
        description="silent: nothing heard for longer than the missed heartbeats allow."
    )
    heard_at: datetime | None = Field(description="When anything last came in; the collector's clock.")
    hardware: str | None = Field(description="State of the driver at the last heartbeat.")
    n_waiting: int | None = Field(description="Records waiting in its spools at the last heartbeat.")
    last_acquisition_id: str | None
    problems: list[str]


class LatestAnswer(_Answer):
    """The newest record of one kind."""

    kind: str
    record_id: str
    captured_at: datetime
    received_at: datetime


class InstrumentDetail(InstrumentAnswer):
    """An instrument with its newest records."""

    agent_ids: list[str]
    latest: list[LatestAnswer]


class ChangeAnswer(_Answer):
    """An entry of the change log."""

    record_id: str
    acquisition_id: str | None
    change: Change


class ChangesAnswer(_Answer):
    """A page of the change log, newest first."""

    changes: list[ChangeAnswer]
    before: str | None = Field(description="Ask with before=… for the next page; absent at the end.")


class AcquisitionAnswer(_Answer):
    """An acquisition, joined from all records that speak of it."""

    acquisition_id: str
    instrument_id: str
    began_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None = Field(description="How it ended; absent while it runs.")
    n_expected: int | None
    n_seen: int | None = Field(description="By the finished record; absent while it runs.")
    n_dropped: int | None
    n_in_ledger: int = Field(description="Frames stamped in the ledgers received so far.")
    n_files: int | None
    n_stamped: int | None
    n_problems: int | None
    started_record_id: str | None
    finished_record_id: str | None
    stamp_record_id: str | None


class AcquisitionsAnswer(_Answer):
    """A page of acquisitions, newest first."""

    acquisitions: list[AcquisitionAnswer]
    before: str | None = Field(description="Ask with before=… for the next page; absent at the end.")


class LedgerAnswer(_Answer):
    """One ledger record of an acquisition."""

    record_id: str
    first_frame: int
    n_frames: int


class AcquisitionDetail(AcquisitionAnswer):
    """An acquisition with the records that hold it."""

    ledgers: list[LedgerAnswer]


class QcRunAnswer(_Answer):
    """One run of a quality-control routine; the record has everything else of it."""

    position: int
    record_id: str
    run_id: str
    routine: str
    routine_version: str
    light_path: dict[str, str] = Field(description="Objective, camera, channel it holds for.")
    status: str = Field(description="The worst of the figures: pass, warn, fail or unknown.")
    captured_at: datetime
    received_at: datetime
    acquisition_id: str | None = Field(description="The acquisition that was measured, if one was.")
    n_used: int
    n_rejected: dict[str, int] = Field(description="Reason to count.")
    figures: list[QcMetric]

    @classmethod
    def of(cls, run: Run) -> QcRunAnswer:
        """Return the answer for a run."""
        row, result = run.row, run.result
        return cls(
            position=row.position,
            record_id=row.record_id,
            run_id=str(result.run_id),
            routine=result.routine,
            routine_version=result.routine_version,
            light_path=result.light_path,
            status=result.status.value,
            captured_at=row.captured_at,
            received_at=row.received_at,
            acquisition_id=row.acquisition_id,
            n_used=result.n_used,
            n_rejected=result.n_rejected,
            figures=list(result.metrics),
        )


class QualityAnswer(_Answer):
    """A page of quality-control runs, last to arrive first."""

    runs: list[QcRunAnswer]
    before: int | None = Field(description="Ask with before=… for the next page; absent at the end.")


class RecordEntry(_Answer):
    """Under what a record is filed, and where it came from."""

    position: int
    record_id: str
    kind: str
    schema_version: str
    instrument_id: str
    acquisition_id: str | None
    captured_at: datetime
    received_at: datetime
    agent_id: str
    spool_id: str
    seq: int
    batch_id: int
    line: int


class RecordsAnswer(_Answer):
    """Records in order of arrival."""

    records: list[RecordEntry]
    after: int = Field(description="Ask with after=… for what comes next, now or later.")


class RecordAnswer(RecordEntry):
    """One record, parsed, with its provenance."""

    is_signature_good: bool = Field(description="The batch's signature, checked again for this answer.")
    record: dict[str, Any]


class SpoolAnswer(_Answer):
    """How far a spool has come."""

    agent_id: str
    spool_id: str
    mark: int = Field(description="Everything up to it is stored.")
    chain: str
    n_skipped: int = Field(description="Sequence numbers the agent has given up.")
    first_received_at: datetime
    last_received_at: datetime


class AgentAnswer(_Answer):
    """An enrolled agent."""

    agent_id: str
    instrument_id: str
    hostname: str
    platform: str
    version: str
    enrolled_at: datetime
    heard_at: datetime | None
    revoked_at: datetime | None
    revoked_below_at: datetime | None = Field(
        default=None, description="When it was shut out at its own site, as the collector there told."
    )

    @classmethod
    def of(cls, row: Agent, below: RevokedBelow | None) -> AgentAnswer:
        """Return the answer for an agent, and for what the collector that brought it said."""
        answer = cls.model_validate(row)
        return answer.model_copy(update={"revoked_below_at": below.at}) if below else answer


class QuarantineEntry(_Answer):
    """A line kept but not filed."""

    position: int
    agent_id: str
    spool_id: str
    seq: int
    reason: str
    message: str
    kind: str | None
    record_id: str | None
    received_at: datetime


class QuarantineAnswer(_Answer):
    """A page of the quarantine, newest first."""

    quarantine: list[QuarantineEntry]
    before: int | None = Field(description="Ask with before=… for the next page; absent at the end.")


class KeptAnswer(PlacedSchedule):
    """A schedule as it is kept."""

    version: int = Field(description="Send it back as `replaces`, so that nobody's change is lost.")


class RunsAnswer(BaseModel):
    """The last word on planned runs, the latest planned first."""

    runs: list[ScheduleRun]


class AlertAnswer(BaseModel):
    """One trouble of one instrument."""

    key: str = Field(description="The same for the same trouble.")
    rule: str = Field(description="Key of the rule that found it.")
    name: str = Field(description="Name of that rule.")
    severity: Severity
    instrument_id: str
    text: str = Field(description="What is the matter.")
    cause: str = Field(description="What is likely behind it, as it was known when it began; often empty.")
    advice: str = Field(description="What to do.")
    href: str = Field(description="Page of this collector to look at.")
    since: datetime = Field(description="When the trouble began, by what was measured.")
    found_at: datetime = Field(description="When the collector first saw it.")
    fired_at: datetime | None = Field(description="When it had held for long enough.")
    over_at: datetime | None = Field(description="When it was over; absent while it fires.")
    acknowledged_by: str | None = Field(description="Who looks after it.")
    acknowledged_at: datetime | None
    comment: str = Field(description="Of whoever looks after it.")
    silence: str | None = Field(description="Key of the silence for which nobody is told of it.")

    @classmethod
    def of(cls, alert: Alert, silence: str | None = None) -> AlertAnswer:
        """Return the answer for an alert."""
        told = alert.model_dump(include=set(cls.model_fields))
        return cls(**told, text=alert.what % alert.values, silence=silence)


class AlertsAnswer(BaseModel):
    """A page of what fires, the last found first."""

    alerts: list[AlertAnswer]
    before: str | None = Field(description="Ask with before=… for the next page; absent at the end.")


class PastAlertsAnswer(BaseModel):
    """A page of what is over, the last to end first."""

    alerts: list[AlertAnswer]
    before: int | None = Field(description="Ask with before=… for the next page; absent at the end.")


class AcknowledgementAnswer(BaseModel):
    """What an instrument is to be named by in a paper."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "instrument_id": "sd-2",
                    "language": "en",
                    "text": "Microscopy was performed at Imaging Core, University of Example (RRID:SCR_000001; "
                    "ROR https://ror.org/05a28rw58) on Spinning disk 2 (https://doi.org/10.5442/NI000001).",
                    "pid": "https://doi.org/10.5442/NI000001",
                    "facility_rrid": "RRID:SCR_000001",
                    "organisation_ror": "https://ror.org/05a28rw58",
                }
            ]
        }
    )

    instrument_id: str
    language: str
    text: str = Field(
        description="What nobody stated stands as [MISSING: …]; people are named with consent only."
    )
    pid: str | None = Field(description="Of the instrument: a DOI or Handle.")
    facility_rrid: str | None
    organisation_ror: str | None
