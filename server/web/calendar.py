"""The calendar of scheduled quality control: a week of some instruments, a day list on a phone."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson
from server.errors import RefusedError
from server.quality.calendar import calendar_of
from server.web.choice import TheChoice, choice_of
from server.web.render import render

_WEEK = re.compile(r"(20\d\d)-W(\d\d)")

router = APIRouter(include_in_schema=False)


@router.get("/calendar")
def calendar(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    asked: TheChoice,
    week: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Show what is planned, what became of it and what is booked, day by day."""
    now, site = collector.now(), collector.settings.collector.zone
    with collector.store.reading() as reads:
        choice = choice_of(reads, asked)
        monday = _monday(week) if week else _monday_of(now.astimezone(site).date())
        shown = calendar_of(reads, choice.instruments, monday, site, now)
    this_week = _monday_of(now.astimezone(shown.week.zone).date())
    return render(
        request,
        "calendar.html",
        person,
        choice=choice,
        calendar=shown,
        week=_named(monday),
        before=_named(monday - timedelta(days=7)),
        behind=_named(monday + timedelta(days=7)),
        is_this_week=monday == this_week,
        today=now.astimezone(shown.week.zone).date(),
        link=asked.link_on("/calendar", week="" if monday == this_week else _named(monday)),
    )


def _monday(week: str) -> date:
    """Return the first day of a week such as 2026-W19."""
    found = _WEEK.fullmatch(week)
    try:
        if found is None:
            raise ValueError
        return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError as error:
        raise RefusedError(400, "malformed_request", f"{week!r} is no week; such as 2026-W19.") from error


def _monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _named(monday: date) -> str:
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02d}"
