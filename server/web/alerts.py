"""Alerts: what fires now and what fired, who looks after it, who is not to be told for a while, and a feed."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Annotated
from uuid import uuid4
from xml.etree import ElementTree

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from server.alerts import book
from server.alerts.book import Alert
from server.alerts.routes import SILENCE, Silence, silences_of
from server.alerts.rules import RANK, rules_of
from server.collector import Collector
from server.dependencies import (
    TheAddress,
    TheCollector,
    TheOperator,
    ThePerson,
    TheStaff,
    WholeCollector,
    found,
)
from server.errors import RefusedError
from server.people import Person, person_of
from server.roles import Permission
from server.seeing import ReadsInScope, check_whole
from server.store.base import Writes
from server.store.rows import AuditEntry
from server.web.languages import gettext
from server.web.render import render

MOST_PAST = 100

router = APIRouter(include_in_schema=False)

Token = Annotated[str, Form()]


@router.get("/alerts")
def alerts(request: Request, collector: TheCollector, person: ThePerson) -> Response:
    """Show what fires, the most urgent first, then what is silenced and what is over."""
    now = collector.now()
    with collector.store.reading() as reads:
        firing = [alert for alert in book.book_of(reads).values() if alert.state == "firing"]
        instruments = {one.instrument_id: one for one in reads.instruments()}
        silences = [one for one in silences_of(reads) if one.until > now]
        rules = rules_of(reads)
        past = book.past(reads, limit=MOST_PAST)
    sites = {key: one.site for key, one in instruments.items()}
    firing.sort(key=lambda alert: (alert.acknowledged_at is not None, -RANK[alert.severity], alert.since))
    return render(
        request,
        "alerts.html",
        person,
        firing=[(alert, in_words(alert), _silenced(alert, silences, sites, now)) for alert in firing],
        past=[(alert, in_words(alert)) for alert in past],
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
    key: Annotated[str, Form(max_length=400)],
    form_token: Token = "",
    comment: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Look after an alert: it escalates no further."""
    person.must_have_sent(form_token)
    now = collector.now()

    def job(writes: Writes) -> Alert | None:
        check_whole(writes, person.scope, book.DOCUMENT, key)
        writes.add_audit(AuditEntry(now, person.name, "alert acknowledged", "done", key, address))
        return book.acknowledge(writes, key, person.name, now, comment.strip())

    found(collector.writer.do(job), "alert that fires")
    return _back()


@router.post("/alerts/silences")
def silence(
    collector: TheCollector,
    person: TheStaff,
    address: TheAddress,
    reason: Annotated[str, Form(max_length=400)],
    hours: Annotated[float, Form(gt=0, le=24 * 90)],
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
    now = collector.now()
    _check_silence(collector, person, site, instrument_id)
    told = Silence(
        key=uuid4().hex[:12],
        until=now + timedelta(hours=hours),
        by=person.name,
        reason=reason.strip(),
        rules=(rule,) if rule else (),
        sites=(site,) if site else (),
        instruments=(instrument_id,) if instrument_id else (),
    )

    def job(writes: Writes) -> None:
        writes.put_document(SILENCE, told.key, told.model_dump_json(), now, person.name)
        detail = told.model_dump_json(exclude={"key", "by"})
        writes.add_audit(AuditEntry(now, person.name, "alerts silenced", "done", detail, address))

    collector.writer.do(job)
    return _back()


@router.post("/alerts/silences/{key}/end")
def end_silence(
    key: str, collector: TheCollector, person: TheStaff, address: TheAddress, form_token: Token = ""
) -> Response:
    """Tell people again."""
    person.must_have_sent(form_token)
    now = collector.now()

    def job(writes: Writes) -> bool:
        _check_may_end(writes, person, key)
        writes.add_audit(AuditEntry(now, person.name, "silence ended", "done", key, address))
        return writes.remove_document(SILENCE, key)

    found(collector.writer.do(job) or None, "silence")
    return _back()


@router.get("/alerts.rss")
def feed(
    request: Request, collector: WholeCollector, token: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Give what fires as RSS. A feed reader signs in with an API token in the address, good for this feed's role."""
    with collector.store.reading() as reads:
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
            ("description", _clean(gettext(alert.advice) if alert.advice else "")),
            ("pubDate", format_datetime(alert.fired_at or alert.found_at)),
        ):
            ElementTree.SubElement(item, tag).text = text
        guid = ElementTree.SubElement(item, "guid", isPermaLink="false")
        guid.text = _clean(f"{alert.key}|{alert.found_at.isoformat()}")
    return Response(
        ElementTree.tostring(rss, encoding="utf-8", xml_declaration=True), media_type="application/rss+xml"
    )


def in_words(alert: Alert) -> str:
    """Return what an alert says, in the viewer's language."""
    return gettext(alert.what) % alert.values


def _clean(text: str) -> str:
    """Return text without the control characters that XML 1.0 has no way to write."""
    return "".join(c for c in text if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff"))


def _silenced(alert: Alert, silences: list[Silence], sites: dict[str, str], now: datetime) -> Silence | None:
    site = sites.get(alert.instrument_id, "")
    return next((one for one in silences if one.covers(alert, site, now)), None)


def _check_silence(collector: Collector, person: Person, site: str, instrument_id: str) -> None:
    """Refuse a silence over more than the person answers for."""
    if instrument_id:
        with collector.store.reading() as reads:
            found(reads.instrument(instrument_id), "instrument")
    elif not (site and person.scope.has_site(site)):
        person.must_see_everything()


def _check_may_end(writes: Writes, person: Person, key: str) -> None:
    document = found(writes.document(SILENCE, key), "silence")
    told = Silence.model_validate_json(document.body)
    seen = ReadsInScope(writes, person.scope)
    is_theirs = (told.instruments or told.sites) and all(
        [*map(person.scope.has_site, told.sites), *map(seen.instrument, told.instruments)]
    )
    if not is_theirs:
        person.must_see_everything()


def _back() -> Response:
    return RedirectResponse("/alerts", status_code=303)
