"""One figure side by side: objectives and light paths of an instrument, or instruments of the same model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson
from server.fleet import Identity, identities
from server.quality.figures import Figure, Said, figures_of, said_of
from server.store.base import Reads
from server.store.rows import QcSeriesRow
from server.web.render import render
from server.web.search import MOST_CHOICES
from server.web.trends import HEIGHT, WIDTH, Trend, draw, span_of

PAGE = 9
"""Panels on a page."""
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
    first: Annotated[int, Query(ge=0, le=100_000, alias="from")] = 0,
) -> Response:
    """Show one figure of several series, drawn alike and in one table."""
    with collector.store.reading() as reads:
        fleet = identities(reads)
        among = [one for one in fleet if _is_wanted(one, instrument, model, group)][:MOST_INSTRUMENTS]
        names = {one.instrument_id: one.name for one in among}
        series = (
            reads.qc_standing(list(names))
            if instrument or model or group or len(fleet) <= MOST_INSTRUMENTS
            else []
        )
        metrics = _metrics(reads, series)
        wanted = metric if metric in metrics or not metrics else metrics[0]
        taken = [one for one in series if _is_on(one, path)]
        told, following = _told(reads, taken, wanted, first) if wanted else ([], None)
    panels = _panels(told, names)
    given = {"instrument": instrument, "model": model, "group": group, "path": path}

    def link(start: int) -> str:
        asked = {"metric": wanted, **given, "from": str(start or "")}
        return f"/compare?{urlencode({name: value for name, value in asked.items() if value})}"

    return render(
        request,
        "compare.html",
        person,
        panels=panels,
        metric=wanted,
        metrics=metrics,
        given=given,
        instruments={one.instrument_id: one.name for one in fleet} if len(fleet) <= MOST_CHOICES else None,
        models=sorted({one.model for one in fleet if one.model}),
        groups=sorted({name for one in fleet for name in one.groups}),
        plot={"width": WIDTH, "height": HEIGHT, "lanes": 0},
        is_cut=len(among) == MOST_INSTRUMENTS,
        before=link(0) if first else None,
        following=link(following) if following else None,
    )


def _is_wanted(one: Identity, instrument: str, model: str, group: str) -> bool:
    return (
        (not instrument or one.instrument_id == instrument)
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


def _is_on(series: QcSeriesRow, path: str) -> bool:
    return path.casefold() in " ".join(series.light_path.values()).casefold()


def _told(
    reads: Reads, series: list[QcSeriesRow], metric: str, first: int
) -> tuple[list[tuple[QcSeriesRow, Figure]], int | None]:
    """Return a page of series that have a figure, and where the next begins."""
    found: list[tuple[QcSeriesRow, Figure]] = []
    said: dict[str, Said] = {}
    for number, one in enumerate(series[first:], start=first):
        if len(found) >= PAGE:
            return found, number
        if one.instrument_id not in said:
            said[one.instrument_id] = said_of(reads, one.instrument_id)
        found += [(one, figure) for figure in figures_of(reads, one, said[one.instrument_id], metric)]
    return found, None


def _panels(told: list[tuple[QcSeriesRow, Figure]], names: dict[str, str]) -> list[Panel]:
    """Return the panels; all share the time axis, and those in one unit the height."""
    if not told:
        return []
    span = span_of([figure for _, figure in told], ())
    unit = told[0][1].newest.unit
    alike = [(one, figure) for one, figure in told if figure.newest.unit == unit]
    return [Panel(names[one.instrument_id], one, draw(figure, span)) for one, figure in alike]
