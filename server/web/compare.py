"""One figure side by side: objectives and light paths of an instrument, or instruments of the same model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson
from server.figures import Figure, figures_of
from server.fleet import Glance, glances
from server.store.base import Reads
from server.store.rows import QcSeriesRow
from server.web.render import render
from server.web.search import MOST_CHOICES
from server.web.trends import HEIGHT, WIDTH, Trend, draw, span_of

MOST_PANELS = 24
MOST_INSTRUMENTS = 60
"""Instruments whose series are looked through."""

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True, slots=True)
class Panel:
    """One series of one instrument in a comparison."""

    name: str
    series: QcSeriesRow
    trend: Trend


@router.get("/compare")
def compare(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    metric: Short = "",
    instrument: Short = "",
    model: Short = "",
    group: Short = "",
    path: Short = "",
) -> Response:
    """Show one figure of several series, drawn alike and in one table."""
    with collector.store.reading() as reads:
        fleet = glances(reads, collector.now(), collector.silent_after)
        among = [one for one in fleet if _is_wanted(one, instrument, model, group)][:MOST_INSTRUMENTS]
        names = {one.mark.instrument_id: one.mark.name for one in among}
        series = (
            reads.qc_standing(list(names))
            if instrument or model or group or len(fleet) <= MOST_INSTRUMENTS
            else []
        )
        metrics = _metrics(reads, series)
        wanted = metric if metric in metrics or not metrics else metrics[0]
        told = _told(reads, series, wanted, path) if wanted else []
    panels = _panels(told, names)
    return render(
        request,
        "compare.html",
        person,
        panels=panels,
        metric=wanted,
        metrics=metrics,
        given={"instrument": instrument, "model": model, "group": group, "path": path},
        instruments={one.mark.instrument_id: one.mark.name for one in fleet}
        if len(fleet) <= MOST_CHOICES
        else None,
        models=sorted({one.model for one in fleet if one.model}),
        groups=sorted({name for one in fleet for name in one.groups}),
        plot={"width": WIDTH, "height": HEIGHT, "lanes": 0},
        is_cut=len(told) == MOST_PANELS or len(among) == MOST_INSTRUMENTS,
    )


def _is_wanted(one: Glance, instrument: str, model: str, group: str) -> bool:
    return (
        (not instrument or one.mark.instrument_id == instrument)
        and (not model or one.model == model)
        and (not group or group in one.groups)
    )


def _metrics(reads: Reads, series: list[QcSeriesRow]) -> list[str]:
    """Return the figures that the newest run of one series of each routine has."""
    of_routine = {one.routine: one for one in series}
    found: dict[str, None] = {}
    for one in of_routine.values():
        points = reads.qc_points(one.instrument_id, one.series_key, since=one.captured_at)
        found |= dict.fromkeys(point.metric for point in points if point.value is not None)
    return list(found)


def _told(
    reads: Reads, series: list[QcSeriesRow], metric: str, path: str
) -> list[tuple[QcSeriesRow, Figure]]:
    found: list[tuple[QcSeriesRow, Figure]] = []
    for one in series:
        if path and path.casefold() not in " ".join(one.light_path.values()).casefold():
            continue
        found += [(one, figure) for figure in figures_of(reads, one, metric)]
        if len(found) >= MOST_PANELS:
            break
    return found


def _panels(told: list[tuple[QcSeriesRow, Figure]], names: dict[str, str]) -> list[Panel]:
    """Return the panels; all share the time axis, and those in one unit the height."""
    if not told:
        return []
    span = span_of([figure for _, figure in told], ())
    unit = told[0][1].newest.unit
    alike = [(one, figure) for one, figure in told if figure.newest.unit == unit]
    return [Panel(names[one.instrument_id], one, draw(figure, span)) for one, figure in alike]
