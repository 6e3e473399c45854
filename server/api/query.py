"""What other programs may ask. Every route needs a bearer token or a session."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from agent.exports import FORMATS
from agent.records.wire import Refusal
from server.access.roles import Permission
from server.api import models
from server.dependencies import TheCollector, allowed, found
from server.exporting import file_of, view_for
from server.forwarding.revoked import revoked_below
from server.health import Health, health_of
from server.ingest.evidence import batch_of, is_signature_good, raw_line
from server.places import from_cursor, next_cursor
from server.quality.runs import KIND as QC
from server.quality.runs import runs_in

router = APIRouter(
    prefix="/v1",
    tags=["query"],
    dependencies=[Depends(allowed(Permission.VIEW))],
    responses={status: {"model": Refusal} for status in (401, 403, 404)},
)

Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
InstrumentId = Annotated[str, Path(description="As the agent was enrolled with.")]
RecordId = Annotated[str, Path(description="As minted by the agent.")]
Before = Annotated[str | None, Query(description="The cursor that the page before gave out.")]
Position = Annotated[int, Path(ge=1, le=2**62, description="As listed in the quarantine.")]


@router.get("/instruments")
def instruments(collector: TheCollector) -> list[models.InstrumentAnswer]:
    """All instruments and how they fare."""
    with collector.store.reading() as reads:
        now = collector.now()
        return [
            models.InstrumentAnswer(**_in_short(health_of(reads, instrument, now, collector.silent_after)))
            for instrument in reads.instruments()
        ]


@router.get("/instruments/{instrument_id}")
def instrument(instrument_id: InstrumentId, collector: TheCollector) -> models.InstrumentDetail:
    """One instrument with its newest record of each kind."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        health = health_of(reads, row, collector.now(), collector.silent_after)
        return models.InstrumentDetail(
            **_in_short(health),
            agent_ids=[agent.agent_id for agent in reads.agents() if agent.instrument_id == instrument_id],
            latest=[models.LatestAnswer.model_validate(one) for one in reads.latest(instrument_id).values()],
        )


@router.get("/instruments/{instrument_id}/changes")
def changes(
    instrument_id: InstrumentId,
    collector: TheCollector,
    before: Before = None,
    limit: Limit = 100,
    device: Annotated[str | None, Query(description="Only this device label.")] = None,
) -> models.ChangesAnswer:
    """The change log, newest first."""
    with collector.store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
        rows = reads.changes(instrument_id, from_cursor(before), limit, device)
    answers = [models.ChangeAnswer.model_validate(row) for row in rows]
    return models.ChangesAnswer(changes=answers, before=next_cursor(rows, limit))


@router.get("/instruments/{instrument_id}/acquisitions")
def acquisitions(
    instrument_id: InstrumentId, collector: TheCollector, before: Before = None, limit: Limit = 100
) -> models.AcquisitionsAnswer:
    """Acquisitions, newest first."""
    with collector.store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
        rows = reads.acquisitions(instrument_id, from_cursor(before), limit)
    answers = [models.AcquisitionAnswer.model_validate(row) for row in rows]
    return models.AcquisitionsAnswer(acquisitions=answers, before=next_cursor(rows, limit))


@router.get("/instruments/{instrument_id}/qc")
def quality(
    instrument_id: InstrumentId,
    collector: TheCollector,
    before: Annotated[
        int | None, Query(ge=1, le=2**62, description="The position that the page before gave out.")
    ] = None,
    limit: Limit = 100,
) -> models.QualityAnswer:
    """Runs of quality control with their figures, last to arrive first."""
    with collector.store.reading() as reads:
        found(reads.instrument(instrument_id), "instrument")
        rows = reads.recent(instrument_id, QC, limit, before)
        runs = runs_in(reads, rows)
    return models.QualityAnswer(
        runs=[models.QcRunAnswer.of(run) for run in runs],
        before=rows[-1].position if len(rows) == limit else None,
    )


@router.get("/acquisitions/{acquisition_id}/export/{format_name}", response_class=Response)
def exported(
    acquisition_id: Annotated[str, Path(description="As minted by the agent.")],
    format_name: Annotated[str, Path(description=f"One of {', '.join(FORMATS)}.")],
    collector: TheCollector,
    language: Annotated[
        str, Query(max_length=8, description="Of texts: en, de, fr, es, pt, ja or zh.")
    ] = "en",
    position: Annotated[
        int, Query(ge=0, description="Place on the sample, for a format that holds a single one.")
    ] = 0,
) -> Response:
    """One acquisition in a standard's format, made from the records received."""
    with collector.store.reading() as reads:
        view = view_for(reads, found(reads.acquisition(acquisition_id.lower()), "acquisition"))
    file = file_of(view, format_name, language, position)
    return Response(file.data, media_type=file.media_type, headers={"Content-Disposition": file.disposition})


@router.get("/acquisitions/{acquisition_id}")
def acquisition(
    acquisition_id: Annotated[str, Path(description="As minted by the agent.")], collector: TheCollector
) -> models.AcquisitionDetail:
    """One acquisition and the records that hold it."""
    with collector.store.reading() as reads:
        row = found(reads.acquisition(acquisition_id.lower()), "acquisition")
        ledgers = [models.LedgerAnswer.model_validate(one) for one in reads.ledgers(row.acquisition_id)]
    short = models.AcquisitionAnswer.model_validate(row)
    return models.AcquisitionDetail(**short.model_dump(), ledgers=ledgers)


@router.get("/records")
def records(
    collector: TheCollector,
    instrument: Annotated[str | None, Query(description="Only this instrument.")] = None,
    kind: Annotated[str | None, Query(description="Only this kind.")] = None,
    after: Annotated[
        int, Query(ge=0, le=2**62, description="The position that the page before gave out.")
    ] = 0,
    limit: Limit = 100,
) -> models.RecordsAnswer:
    """Records in order of arrival; ask again with `after` to follow along without missing one."""
    with collector.store.reading() as reads:
        rows = reads.records(instrument, kind, after, limit)
    entries = [models.RecordEntry.model_validate(row) for row in rows]
    return models.RecordsAnswer(records=entries, after=rows[-1].position if rows else after)


@router.get("/records/{record_id}")
def record(record_id: RecordId, collector: TheCollector) -> models.RecordAnswer:
    """One record, parsed, and where it came from."""
    with collector.store.reading() as reads:
        row = found(reads.record(record_id.lower()), "record")
        return models.RecordAnswer(
            **models.RecordEntry.model_validate(row).model_dump(),
            is_signature_good=is_signature_good(reads, batch_of(reads, row)),
            record=json.loads(raw_line(reads, row)),
        )


@router.get("/records/{record_id}/raw", response_class=Response)
def raw_record(record_id: RecordId, collector: TheCollector) -> Response:
    """The exact bytes in which one record was received."""
    with collector.store.reading() as reads:
        row = found(reads.record(record_id.lower()), "record")
        return _untouched(raw_line(reads, row), "application/json")


@router.get("/spools")
def spools(collector: TheCollector) -> list[models.SpoolAnswer]:
    """How far every spool has come."""
    with collector.store.reading() as reads:
        return [models.SpoolAnswer.model_validate(row) for row in reads.spools()]


@router.get("/agents")
def agents(collector: TheCollector) -> list[models.AgentAnswer]:
    """Enrolled agents, newest first."""
    with collector.store.reading() as reads:
        below = revoked_below(reads)
        return [models.AgentAnswer.of(row, below.get(row.agent_id)) for row in reads.agents()]


@router.get("/quarantine")
def quarantine(
    collector: TheCollector,
    before: Annotated[
        int | None, Query(ge=1, le=2**62, description="The position that the page before gave out.")
    ] = None,
    limit: Limit = 100,
) -> models.QuarantineAnswer:
    """Lines that were kept and acknowledged but not filed, newest first."""
    with collector.store.reading() as reads:
        rows = reads.quarantine(before, limit)
    entries = [models.QuarantineEntry.model_validate(row) for row in rows]
    return models.QuarantineAnswer(
        quarantine=entries, before=rows[-1].position if len(rows) == limit else None
    )


@router.get("/quarantine/{position}/raw", response_class=Response)
def raw_quarantined(position: Position, collector: TheCollector) -> Response:
    """The exact bytes of a line in quarantine."""
    with collector.store.reading() as reads:
        row = found(reads.quarantined(position), "line in quarantine")
        return _untouched(raw_line(reads, row), "application/octet-stream")


def _in_short(health: Health) -> dict[str, Any]:
    beat, last = health.heartbeat, health.last_acquisition
    return {
        "instrument_id": health.instrument.instrument_id,
        "name": health.instrument.name,
        "site": health.instrument.site,
        "presence": health.presence.value,
        "heard_at": health.heard_at,
        "hardware": beat.hardware if beat else None,
        "n_waiting": beat.spool.n_waiting if beat else None,
        "last_acquisition_id": last.acquisition_id if last else None,
        "problems": [str(problem) for problem in health.problems],
    }


def _untouched(raw: bytes, media_type: str) -> Response:
    """Return bytes that strangers wrote; a browser must save them, never show them as a page of ours."""
    return Response(raw, media_type=media_type, headers={"Content-Disposition": "attachment"})
