"""One acquisition: what was asked for, what came, what was written, what went wrong."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from agent.exports import Completeness
from agent.records import (
    AcquisitionFinished,
    AcquisitionStarted,
    DatasetStamp,
    Record,
)
from server.dependencies import TheCollector, ThePerson, found
from server.errors import RefusedError
from server.exporting import MAX_FRAMES_IN_SHORT, Offer, notes_on, offers_of, report_on, view_for
from server.ingest.evidence import record_of
from server.quality.runs import runs_on
from server.store.base import Reads
from server.store.rows import AcquisitionRow
from server.web.frames import HEIGHT, PAGE, WIDTH, frames_from, intervals_of
from server.web.render import render

router = APIRouter(include_in_schema=False)


@router.get("/acquisitions/{acquisition_id}")
def acquisition(
    request: Request,
    acquisition_id: str,
    collector: TheCollector,
    person: ThePerson,
    first: Annotated[int, Query(ge=0, le=2**40, alias="from")] = 0,
) -> Response:
    """Show one acquisition and a page of its frames."""
    with collector.store.reading() as reads:
        row = found(reads.acquisition(acquisition_id.lower()), "acquisition")
        started = _record(reads, row.started_record_id)
        finished = _record(reads, row.finished_record_id)
        stamp = _record(reads, row.stamp_record_id)
        ledgers = reads.ledgers(row.acquisition_id)
        frames = frames_from(reads, ledgers, first)
        instrument = reads.instrument(row.instrument_id)
        report, offers, not_judged = _judged(reads, row)
        runs = runs_on(reads, row.instrument_id, row.acquisition_id)
    n_frames = max((ledger.first_frame + ledger.n_frames for ledger in ledgers), default=0)
    return render(
        request,
        "acquisition.html",
        person,
        acquisition=row,
        instrument=instrument,
        started=started if isinstance(started, AcquisitionStarted) else None,
        finished=finished if isinstance(finished, AcquisitionFinished) else None,
        stamp=stamp if isinstance(stamp, DatasetStamp) else None,
        ledgers=ledgers,
        report=report,
        not_judged=not_judged,
        offers=offers,
        export_notes=notes_on(row),
        quality=runs,
        frames=frames,
        intervals=intervals_of(frames),
        plot={"width": WIDTH, "height": HEIGHT},
        first=first,
        previous=max(first - PAGE, 0) if first else None,
        following=first + PAGE if first + PAGE < n_frames else None,
    )


def _record(reads: Reads, record_id: str | None) -> Record | None:
    return record_of(reads, reads.record(record_id)) if record_id else None


def _judged(reads: Reads, row: AcquisitionRow) -> tuple[Completeness | None, list[Offer], str | None]:
    """Return how complete the metadata is and what it can be had in, or the sentence that says why that cannot be told."""
    try:
        view = view_for(reads, row, max_frames=MAX_FRAMES_IN_SHORT)
        return report_on(view), offers_of(view), None
    except RefusedError as refused:
        return None, [], refused.refusal.message
