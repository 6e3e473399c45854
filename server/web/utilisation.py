"""What instruments are used for, and what to name them by in a paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from server.api.reports import TheAsked
from server.dependencies import TheCollector, ThePerson, found
from server.languages import current_language, gettext, language_of, speak
from server.order import by_name
from server.quality.schedules import groups
from server.use.credit import acknowledgement, profile_of
from server.use.periods import Period, usual
from server.use.utilisation import MODES, Hours, utilisation
from server.web.render import render

MOST_ROWS = 200
"""Instruments in the table of a page; the file has all."""
MOST_BARS = 30
FEW = 500
"""So many instruments and fewer are a list to choose from."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """One mode in a bar: where it begins and how wide it is, percent."""

    mode: str
    x: float
    width: float


def busy_s(hours: Hours) -> float:
    """Return the time of which something is known, in seconds: all but the idle."""
    return hours.all_s - hours.idle_s


def bar_of(hours: Hours, longest_s: float) -> list[Piece]:
    """Return the pieces of a bar, which fills its place when `longest_s` of it are not idle.

    Of all the hours of a month instruments stand idle for most: drawn in full, nothing could be told apart.

    >>> [(piece.mode, piece.x, piece.width) for piece in bar_of(Hours(acquiring_s=1, qc_s=1, idle_s=3), 4)]
    [('acquiring', 0.0, 25.0), ('qc', 25.0, 25.0)]
    """
    pieces, at = [], 0.0
    for mode in (mode for mode in MODES if mode != "idle"):
        width = 100 * hours.of(mode) / longest_s if longest_s else 0.0
        if width:
            pieces.append(Piece(mode, at, width))
        at += width
    return pieces


def mode_names() -> dict[str, str]:
    """Return the modes as the viewer reads them."""
    return {
        "acquiring": gettext("acquiring"),
        "manual": gettext("live and manual"),
        "qc": gettext("quality control"),
        "maintenance": gettext("maintenance"),
        "idle": gettext("idle or unknown"),
    }


def period_names() -> dict[str, str]:
    """Return the usual periods as the viewer reads them."""
    return {
        "this month": gettext("this month"),
        "last month": gettext("last month"),
        "this year": gettext("this year"),
        "last year": gettext("last year"),
    }


@router.get("/utilisation")
def page(request: Request, collector: TheCollector, person: ThePerson, asked: TheAsked) -> Response:
    """Show hours by mode, month, instrument, group and, for staff, by person."""
    speak(language_of(request))
    with collector.store.reading() as reads:
        members = groups(reads)
        everything = by_name(reads.instruments())
        period = asked.period(collector)
        use = utilisation(reads, period, asked.among(reads), collector.now())
    zone = collector.settings.collector.zone
    named = period_names()
    return render(
        request,
        "utilisation.html",
        person,
        use=use,
        asked=asked,
        period=period,
        modes=mode_names(),
        bar_of=bar_of,
        busy_s=busy_s,
        periods={named[key]: one for key, one in usual(zone, collector.now()).items()},
        by_instrument=use.by_instrument(),
        by_group=use.by_group(members),
        by_site=use.by_site(),
        by_month=use.by_month(),
        instruments=everything if len(everything) <= FEW else [],
        sites=sorted({one.site for one in everything if one.site}),
        groups=sorted(members),
        link=_link(asked, period),
        most_rows=MOST_ROWS,
        most_bars=MOST_BARS,
    )


def _link(asked: Any, period: Period) -> Any:
    """Return a function that makes an address with what was asked for, and different where said."""
    given: Mapping[str, Any] = {
        "since": period.first, "until": period.last, "site": asked.site, "group": asked.group,
        "instrument": asked.instrument,
    }  # fmt: skip

    def link(path: str, **different: Any) -> str:
        told = {name: value for name, value in {**given, **different}.items() if value}
        return f"{path}?{urlencode(told)}"

    return link


@router.get("/instruments/{instrument_id}/credit")
def credit(request: Request, instrument_id: str, collector: TheCollector, person: ThePerson) -> Response:
    """Show what to name an instrument by, and its reports."""
    language = language_of(request)
    speak(language)
    zone, now = collector.settings.collector.zone, collector.now()
    with collector.store.reading() as reads:
        instrument = found(reads.instrument(instrument_id), "instrument")
        profile = profile_of(reads, instrument)
        text = acknowledgement(reads, instrument, current_language())
    this_year = now.astimezone(zone).year
    return render(
        request,
        "credit.html",
        person,
        instrument=instrument,
        profile=profile,
        text=text,
        people=[one for one in profile.people if one.has_consented],
        years=range(this_year, max(instrument.added_at.year, this_year - 4) - 1, -1),
    )
