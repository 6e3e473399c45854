"""Alerts: what fires now and what fired, who looks after it, who is not to be told for a while, and a feed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated
from xml.etree import ElementTree

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from server.access.people import person_of
from server.access.roles import Permission
from server.alerts import book, desk
from server.alerts.book import Alert
from server.alerts.routes import silences_of
from server.alerts.rules import RANK, rules_of
from server.dependencies import (
    TheAddress,
    TheCollector,
    TheOperator,
    ThePerson,
    TheStaff,
    WholeCollector,
)
from server.errors import RefusedError
from server.languages import gettext
from server.numbers import count, decimal
from server.order import by_name
from server.web.choice import TheChoice, whole_choice
from server.web.render import render
from server.web.vocabulary import HEARTBEAT_FIGURES
from server.web.words import figure_name, words

MOST_PAST = 100
MOST_LOOKED_AT = 1000
"""Of those that are over, so many are looked through for the ones of some instruments."""

router = APIRouter(include_in_schema=False)

Token = Annotated[str, Form()]


@router.get("/alerts")
def alerts(request: Request, collector: TheCollector, person: ThePerson, asked: TheChoice) -> Response:
    """Show what fires, the most urgent first, then what is silenced and what is over."""
    now = collector.now()
    with collector.store.reading() as reads:
        firing = [alert for alert in book.book_of(reads).values() if alert.state == "firing"]
        instruments = {one.instrument_id: one for one in by_name(reads.instruments())}
        silences = [one for one in silences_of(reads) if one.until > now]
        rules = rules_of(reads)
        choice = whole_choice(reads, asked)
        past = book.past(reads, limit=MOST_LOOKED_AT if choice.is_narrowed else MOST_PAST)
    if choice.is_narrowed:
        firing = [alert for alert in firing if alert.instrument_id in choice.ids]
        past = [alert for alert in past if alert.instrument_id in choice.ids][:MOST_PAST]
    sites = {key: one.site for key, one in instruments.items()}
    firing.sort(key=urgency)
    return render(
        request,
        "alerts.html",
        person,
        firing=[(alert, in_words(alert), desk.silence_of(alert, silences, sites, now)) for alert in firing],
        past=[(alert, in_words(alert)) for alert in past],
        choice=choice,
        look_after_at=asked.link_on("/alerts/acknowledge")(),
        silences=silences,
        instruments=instruments,
        sites=sorted({one.site for one in instruments.values()}),
        rules=rules,
    )


@router.post("/alerts/acknowledge")
def acknowledge(
    collector: TheCollector,
    person: TheOperator,
    address: TheAddress,
    asked: TheChoice,
    key: Annotated[str, Form(max_length=400)],
    form_token: Token = "",
    comment: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Look after an alert: it escalates no further."""
    person.must_have_sent(form_token)
    desk.look_after(collector, person, address, key, comment)
    return RedirectResponse(asked.link_on("/alerts")(), status_code=303)


@router.post("/alerts/silences")
def silence(
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    reason: Annotated[str, Form(max_length=400)],
    hours: Annotated[float, Form(gt=0, le=desk.MOST_HOURS)],
    form_token: Token = "",
    rule: Annotated[str, Form(max_length=60)] = "",
    site: Annotated[str, Form(max_length=120)] = "",
    instrument_id: Annotated[str, Form(max_length=120)] = "",
) -> Response:
    """Have nobody told of some alerts for a while; they stay on the page."""
    person.must_have_sent(form_token)
    if not reason.strip():
        raise RefusedError(
            400, "malformed_request", "Say why nobody is to be told: it stands beside the alerts."
        )
    asked = desk.SilenceAsked(
        reason=reason,
        hours=hours,
        rules=(rule,) if rule else (),
        sites=(site,) if site else (),
        instruments=(instrument_id,) if instrument_id else (),
    )
    desk.silence(collector, person, address, asked)
    return _back()


@router.post("/alerts/silences/{key}/end")
def end_silence(
    key: str, collector: TheCollector, person: TheStaff, address: TheAddress, form_token: Token = ""
) -> Response:
    """Tell people again."""
    person.must_have_sent(form_token)
    desk.end_silence(collector, person, address, key)
    return _back()


@router.get("/alerts.rss")
def feed(
    request: Request, collector: WholeCollector, token: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Give what fires as RSS. A feed reader signs in with an API token in the address, good for this feed's role."""
    with collector.store.reading_newest() as reads:
        person = person_of(reads, token, "token", collector.now())
    person.must(Permission.VIEW)
    with collector.seen_in(person.scope).store.reading() as reads:
        firing = [alert for alert in book.book_of(reads).values() if alert.state == "firing"]
        names = {one.instrument_id: one.name for one in reads.instruments()}
    base = (collector.settings.collector.url or str(request.base_url)).rstrip("/")
    rss = ElementTree.Element("rss", version="2.0")
    channel = ElementTree.SubElement(rss, "channel")
    for tag, text in (
        ("title", f"{collector.settings.collector.name}: {gettext('Alerts')}"),
        ("link", f"{base}/alerts"),
        ("description", gettext("What fires now")),
    ):
        ElementTree.SubElement(channel, tag).text = text
    for alert in sorted(firing, key=lambda alert: alert.fired_at or alert.found_at, reverse=True):
        item = ElementTree.SubElement(channel, "item")
        name = names.get(alert.instrument_id, alert.instrument_id)
        for tag, text in (
            ("title", _clean(f"{name}: {in_words(alert)}")),
            ("link", f"{base}{alert.href or '/instruments/' + alert.instrument_id}"),
            ("description", _clean(" ".join(_beside(alert)))),
            ("pubDate", format_datetime(alert.fired_at or alert.found_at)),
        ):
            ElementTree.SubElement(item, tag).text = text
        guid = ElementTree.SubElement(item, "guid", isPermaLink="false")
        guid.text = _clean(f"{alert.key}|{alert.found_at.isoformat()}")
    return Response(
        ElementTree.tostring(rss, encoding="utf-8", xml_declaration=True), media_type="application/rss+xml"
    )


def urgency(alert: Alert) -> tuple[bool, int, datetime]:
    """Return by what alerts are ordered: those that nobody looks after first, the most severe, the oldest."""
    return alert.acknowledged_at is not None, -RANK[alert.severity], alert.since


def in_words(alert: Alert) -> str:
    """Return what an alert says, in the viewer's language."""
    return gettext(alert.what) % {name: _spoken(name, value) for name, value in alert.values.items()}


_COUNTS = ("minutes", "hours", "days", "missing", "value")


def _spoken(name: str, value: str) -> str:
    """Return a value of an alert as people say it: names of ours in words, everything else as it is."""
    if name == "figure":
        return gettext(HEARTBEAT_FIGURES[value]) if value in HEARTBEAT_FIGURES else figure_name(value)
    if name in ("routine", "verdict", "reason", "part"):
        return words(value)
    if name in _COUNTS and value.isdecimal():
        return count(int(value))
    return gettext(value) if name == "pattern" else decimal(value) if name == "value" else value


def _beside(alert: Alert) -> Iterator[str]:
    """Yield what is said of an alert beside what it is."""
    if alert.cause:
        yield f"{gettext('Likely cause: %(cause)s') % {'cause': alert.cause}}."
    if alert.advice:
        yield gettext(alert.advice)


def _clean(text: str) -> str:
    """Return text without the control characters that XML 1.0 has no way to write."""
    return "".join(c for c in text if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff"))


def _back() -> Response:
    return RedirectResponse("/alerts", status_code=303)
