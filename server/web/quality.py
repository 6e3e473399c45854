"""Quality control: how an instrument stands, how its figures went, and one run in full."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson, found
from server.logbook import standing_of
from server.quality import find_run, key_of, recent_runs, series_of
from server.web.render import render
from server.web.trends import HEIGHT, MOST_POINTS, WIDTH, trends_of

MOST_SHOWN = 50
N_OPEN = 6
"""Trends shown at once; the others are folded away."""

router = APIRouter(include_in_schema=False)


@router.get("/instruments/{instrument_id}/qc")
def quality(
    request: Request,
    instrument_id: str,
    collector: TheCollector,
    person: ThePerson,
    series: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Show the latest run of every series, the trends of one of them, and the last runs."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        runs = recent_runs(reads, instrument_id)
    everything = series_of(runs)
    chosen = next((one for one in everything if series in (None, one.key)), None)
    if series is not None:
        found(chosen, "series of quality-control runs")
    return render(
        request,
        "quality.html",
        person,
        instrument=row,
        series=everything,
        chosen=chosen,
        trends=trends_of(chosen) if chosen else [],
        runs=runs[:MOST_SHOWN],
        plot={"width": WIDTH, "height": HEIGHT, "n_most": MOST_POINTS, "n_open": N_OPEN},
    )


@router.get("/qc/{run_or_record_id}")
def run(request: Request, run_or_record_id: str, collector: TheCollector, person: ThePerson) -> Response:
    """Show one run: the verdict first, then figures, causes, and everything it rests on."""
    with collector.store.reading() as reads:
        one = found(find_run(reads, run_or_record_id), "quality-control run")
        instrument = reads.instrument(one.row.instrument_id)
        standing = standing_of(reads, str(one.row.record_id))
    return render(
        request,
        "qc_run.html",
        person,
        run=one,
        qc=one.result,
        instrument=instrument,
        standing=standing,
        series_key=key_of(one.result),
    )
