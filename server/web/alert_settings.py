"""What administrators set for alerts: the rules, and who is told."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from server.access.people import Person
from server.access.secrets import new_secret
from server.alerts.book import Alert
from server.alerts.routes import ROUTE, WAITING, Route, routes_of, waiting_on
from server.alerts.rules import DOCUMENT, Rule, Severity, rules_of
from server.alerts.telling import Teller, compose
from server.collector import Collector
from server.dependencies import TheAddress, TheAdmin, TheCollector, found
from server.errors import RefusedError
from server.outgoing import OutgoingError
from server.store.base import Writes
from server.store.rows import AuditEntry
from server.web.render import render

router = APIRouter(include_in_schema=False)

Token = Annotated[str, Form()]
Short = Annotated[str, Form(max_length=400)]


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form whose names depend on what it is about."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


TheForm = Annotated[dict[str, str], Depends(form_of)]


@router.get("/admin/alerts")
def settings(request: Request, collector: TheCollector, person: TheAdmin) -> Response:
    """Show routes and rules."""
    return _page(request, collector, person)


@router.post("/admin/alerts/routes")
def add_route(
    collector: TheCollector,
    person: TheAdmin,
    address: TheAddress,
    name: Short,
    by: Short,
    to: Annotated[str, Form(max_length=2000)],
    form_token: Token = "",
    least: Short = "warning",
    sites: Short = "",
    after_min: Annotated[float, Form(ge=0)] = 0,
) -> Response:
    """Add somebody who is told."""
    person.must_have_sent(form_token)
    channel: dict[str, Any] = {"by": by, "url": to.strip()}
    if by == "email":
        channel = {"by": by, "to": re.split(r"[\s,;]+", to.strip())}
    elif by == "webhook":
        channel["secret"] = new_secret()
    told = {
        "key": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48] + "-" + new_secret()[:4].lower(),
        "name": name.strip(),
        "channel": channel,
        "least": least,
        "sites": [one.strip() for one in sites.split(",") if one.strip()],
        "after_min": after_min,
    }
    told["key"] = re.sub(r"[^a-z0-9_-]", "0", told["key"]).lstrip("-_")
    route = _valid(Route, told)
    _keep(collector, person, address, ROUTE, route.key, route.model_dump_json(), f"{by} {to}")
    return _back()


@router.post("/admin/alerts/routes/{key}/remove")
def remove_route(
    key: str, collector: TheCollector, person: TheAdmin, address: TheAddress, form_token: Token = ""
) -> Response:
    """Tell somebody no more."""
    person.must_have_sent(form_token)
    now = collector.now()

    def job(writes: Writes) -> bool:
        writes.add_audit(AuditEntry(now, person.name, "alert route removed", "done", key, address))
        writes.remove_document(WAITING, key)
        return writes.remove_document(ROUTE, key)

    found(collector.writer.do(job) or None, "alert route")
    return _back()


@router.post("/admin/alerts/routes/{key}/test")
def test_route(
    request: Request,
    key: str,
    collector: TheCollector,
    person: TheAdmin,
    address: TheAddress,
    form_token: Token = "",
) -> Response:
    """Send a message that says it is a test, and say how it went."""
    person.must_have_sent(form_token)
    with collector.store.reading() as reads:
        route = found(next((one for one in routes_of(reads) if one.key == key), None), "alert route")
    now = collector.now()
    trial = Alert(
        key="test",
        rule="test",
        name="Test",
        severity=Severity.INFO,
        instrument_id="test",
        subject="",
        what="This is a test by %(person)s; nothing is wrong",
        values={"person": person.name},
        advice="",
        href="/alerts",
        state="firing",
        since=now,
        found_at=now,
        fired_at=now,
    )
    message = compose([trial], [], {"test": "Scopestamp"}, collector.settings.collector.url, now)
    error = ""
    try:
        Teller(collector.settings.smtp, collector.settings.outgoing).send(route, message)
    except OutgoingError as refused:
        error = str(refused)
    collector.note(person.name, f"alert route {key} tested", error, address=address, refused=bool(error))
    return _page(request, collector, person, tested=route.name, error=error)


@router.post("/admin/alerts/rules/{key}")
def change_rule(
    key: str, collector: TheCollector, person: TheAdmin, address: TheAddress, form: TheForm
) -> Response:
    """Change a rule: its thresholds, how much it matters, whether it is on."""
    person.must_have_sent(form.get("form_token", ""))
    with collector.store.reading() as reads:
        rule = found(next((one for one in rules_of(reads) if one.key == key), None), "alert rule")
    told = rule.model_dump()
    told["is_on"] = form.get("is_on") == "on"
    for name in ("severity", "holds_for_min", "clears_for_min"):
        told[name] = form.get(name, told[name])
    if "grades" in form:
        told["grades"] = _grades(form["grades"])
    told["condition"] = {
        name: (form.get(f"condition.{name}") or None) if f"condition.{name}" in form else value
        for name, value in told["condition"].items()
    }
    told["condition"]["of"] = rule.condition.of
    changed = _valid(Rule, told)
    _keep(collector, person, address, DOCUMENT, key, changed.model_dump_json(), changed.model_dump_json())
    return _back()


def _grades(text: str) -> list[dict[str, str]]:
    """Return the lines ``fwhm_* = critical`` of a field."""
    parts = (one.partition("=") for one in re.split(r"[,;\n]", text) if one.strip())
    return [{"of": name.strip(), "severity": severity.strip()} for name, _, severity in parts]


def _valid(model: type[Any], told: dict[str, Any]) -> Any:
    try:
        return model.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError(400, "malformed_request", f"{where}: {first['msg']}.") from error


def _keep(
    collector: Collector, person: Person, address: str, kind: str, key: str, body: str, detail: str
) -> None:
    now = collector.now()

    def job(writes: Writes) -> None:
        writes.put_document(kind, key, body, now, person.name)
        said = f"{key}: {detail}"[:400]
        writes.add_audit(AuditEntry(now, person.name, kind.replace("_", " "), "done", said, address))

    collector.writer.do(job)


def _page(
    request: Request, collector: Collector, person: Person, tested: str = "", error: str = ""
) -> Response:
    with collector.store.reading() as reads:
        routes = routes_of(reads)
        waiting = waiting_on(reads, routes)
        rules = rules_of(reads)
    return render(
        request,
        "alert_settings.html",
        person,
        routes=[(route, waiting[route.key]) for route in routes],
        rules=[(rule, _numbers(rule)) for rule in rules],
        severities=list(Severity),
        units=_UNITS,
        tested=tested,
        error=error,
    )


_UNITS = {"gb": "GB", "mb": "MB", "h": "h", "s": "s"}
"""Of a heartbeat's figures, by how their names end."""


def _numbers(rule: Rule) -> list[tuple[str, float | str]]:
    """Return what can be set of a rule's condition."""
    told = rule.condition.model_dump()
    return [
        (name, value) for name, value in told.items() if name not in ("of", "figure") and value is not None
    ]


def _back() -> Response:
    return RedirectResponse("/admin/alerts", status_code=303)
