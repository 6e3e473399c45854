"""Quality control: how an instrument stands, how its figures went and why, and one run in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from agent.records import QcStatus
from server.alerts.book import book_of
from server.dependencies import TheCollector, ThePerson, found
from server.logbook import standing_of
from server.places import from_cursor, to_cursor
from server.quality.causes import LIKELY, Companion, Event, Suspect
from server.quality.figures import Figure, figures_of, said_of
from server.quality.runs import Series, find_run, key_of, standing_series_and_runs
from server.quality.timeline import Timeline, marks
from server.store.base import Reads
from server.store.rows import Place, QcSeriesRow
from server.web.render import render
from server.web.trends import HEIGHT, N_LANES, WIDTH, Trend, draw, span_of

PAGE = 15
N_OPEN = 4
"""Trends on a page."""
N_TOLD = 25
"""Values in the table of a trend that stands beside others; alone on a page it has them all."""
N_STEPS = 3
"""Of each trend, the last steps whose causes are looked for."""
N_SUSPECTS = 4
N_MARKED = 2
"""Of each step, the likeliest causes that are marked in the charts."""
MOST_MARKS = 40

router = APIRouter(include_in_schema=False)


@router.get("/instruments/{instrument_id}/qc")
def quality(
    request: Request,
    instrument_id: str,
    collector: TheCollector,
    person: ThePerson,
    series: Annotated[str | None, Query(max_length=64)] = None,
    figure: Annotated[str, Query(max_length=200)] = "",
    first: Annotated[int, Query(ge=0, le=100_000, alias="from")] = 0,
    before: Annotated[str | None, Query()] = None,
) -> Response:
    """Show the latest run of every series, some trends of one of them or a single one, and the last runs."""
    with collector.store.reading() as reads:
        row = found(reads.instrument(instrument_id), "instrument")
        everything, runs = standing_series_and_runs(reads, instrument_id, from_cursor(before), PAGE)
        wanted = series or _in_trouble(reads, instrument_id, everything)
        chosen = next((one for one in everything if wanted in (None, one.row.series_key)), None)
        if series is not None:
            found(chosen, "series of quality-control runs")
        said = said_of(reads, instrument_id)
        told = figures_of(reads, chosen.row, said) if chosen else []
        if figure:
            told = found([one for one in told if one.name == figure] or None, "figure of this series")
        shown = told[first : first + N_OPEN]
        trends, events = trends_of(reads, chosen.row, shown) if chosen and shown else ([], [])
    last = runs[-1].row if len(runs) == PAGE else None
    return render(
        request,
        "quality.html",
        person,
        instrument=row,
        series=everything,
        chosen=chosen,
        trends=trends,
        events=events,
        figure=figure,
        n_told=None if figure else N_TOLD,
        first=first,
        following=first + N_OPEN,
        n_more=max(len(told) - first - N_OPEN, 0),
        runs=runs,
        invalid=said.invalid,
        before=to_cursor(Place(last.captured_at, last.position)) if last else None,
        is_first=before is None,
        plot_area={"width": WIDTH, "height": HEIGHT, "lanes": N_LANES},
    )


def _in_trouble(reads: Reads, instrument_id: str, everything: Sequence[Series]) -> str | None:
    """Return the series to look at first: one that fails or warns, else one that an alert speaks of, else none."""
    if not everything or everything[0].newest.result.status is not QcStatus.PASS:
        return None  # those in trouble stand first
    firing = [
        one.href
        for one in book_of(reads).values()
        if one.instrument_id == instrument_id and one.state == "firing"
    ]
    return next(
        (one.row.series_key for one in everything if any(one.row.series_key in to for to in firing)), None
    )


def trends_of(
    reads: Reads, series: QcSeriesRow, figures: Sequence[Figure]
) -> tuple[list[Trend], list[Event]]:
    """Return figures as they are drawn, and the events whose numbers they show."""
    timeline = Timeline(reads, series.instrument_id)
    timeline.look_back(figure.chart for figure in figures if figure.chart)
    suspects = [_suspects(timeline, figure, series) for figure in figures]
    likely = [
        one.event
        for of in suspects
        for told in of.values()
        for one in told[:N_MARKED]
        if one.weight >= LIKELY
    ]
    written = [*timeline.written, *timeline.versions]
    span = span_of(figures, written)
    events = [event for event in marks(written, likely, span.last) if event.at >= span.first][-MOST_MARKS:]
    drawn = [
        draw(figure, span, events, of, _companions(timeline, figure))
        for figure, of in zip(figures, suspects, strict=True)
    ]
    return drawn, events


def _suspects(timeline: Timeline, figure: Figure, series: QcSeriesRow) -> dict[int, list[Suspect]]:
    if (chart := figure.chart) is None:
        return {}
    return {
        step.index: timeline.suspects_of(chart, step.index, series.light_path)[:N_SUSPECTS]
        for step in chart.steps[-N_STEPS:]
    }


def _companions(timeline: Timeline, figure: Figure) -> list[Companion]:
    chart = figure.chart
    return timeline.companions_of(chart)[:N_SUSPECTS] if chart and (chart.steps or chart.drift) else []


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
