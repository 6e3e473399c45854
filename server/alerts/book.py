"""The book of alerts: from findings, round by round, to what fires, what is over, and what people must be told.

    found ──► waiting ──(held long enough)──► firing ──(away long enough)──► over
                 └──(away)──► forgotten

`turn` is a pure function of the book before, the findings and the time, so every rule of it can be tested without a
collector. A finding that comes and goes within ``clears_for_min`` stays one alert.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from server.alerts.rules import RANK, Rule, Severity
from server.alerts.scene import Finding
from server.store.base import Reads, Writes
from server.store.rows import Entry

DOCUMENT = "alert"
HISTORY = "alert"

State = Literal["waiting", "firing", "over"]


class Alert(BaseModel):
    """One trouble of one instrument, from the first finding to its end."""

    model_config = ConfigDict(frozen=True)

    key: str
    rule: str
    name: str
    severity: Severity
    instrument_id: str
    subject: str
    what: str
    values: dict[str, str]
    advice: str
    href: str
    cause: str = ""
    """What is likely behind it, as it was known when it began."""
    state: State
    since: datetime
    """When the trouble began, by what was measured."""
    found_at: datetime
    """When the collector first saw it."""
    fired_at: datetime | None = None
    """When it had held for long enough, or had become more severe."""
    away_since: datetime | None = None
    """When it was last looked for and not found, while it is not yet over."""
    over_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    comment: str = ""


class Turned(BaseModel):
    """What one round changed: alerts that began to fire, and alerts that are over."""

    model_config = ConfigDict(frozen=True)

    book: dict[str, Alert]
    fired: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()
    gone: tuple[str, ...] = ()
    """Keys that are in the book no more."""


_ALERT: TypeAdapter[Alert] = TypeAdapter(Alert)
_NOBODY = {"acknowledged_by": None, "acknowledged_at": None, "comment": ""}


def turn(
    book: Mapping[str, Alert],
    findings: Iterable[Finding],
    rules: Iterable[Rule],
    now: datetime,
    unready: Container[str] = (),
) -> Turned:
    """Return the book after a round.

    An alert whose rule was removed or switched off is over at once; those of rules that could not be looked at stay as they are.
    """
    rule_of = {rule.key: rule for rule in rules if rule.is_on}
    found = {finding.key: finding for finding in findings if finding.rule in rule_of}
    after: dict[str, Alert] = {}
    for key, finding in found.items():
        after[key] = _seen(book.get(key), finding, rule_of[finding.rule], now)
    ended, gone = [], []
    for key, alert in book.items():
        if key in found:
            continue
        rule = rule_of.get(alert.rule)
        if rule is not None and rule.key in unready:
            after[key] = alert
            continue
        away = alert.model_copy(update={"away_since": alert.away_since or now})
        if alert.state == "firing" and rule is not None and not _is_away_long_enough(away, rule, now):
            after[key] = away
            continue
        gone.append(key)
        if alert.state == "firing":
            ended.append(alert.model_copy(update={"state": "over", "over_at": now}))
    fired = tuple(alert for alert in after.values() if alert.fired_at == now and alert.state == "firing")
    return Turned(book=after, fired=fired, ended=tuple(ended), gone=tuple(gone))


def _seen(before: Alert | None, finding: Finding, rule: Rule, now: datetime) -> Alert:
    found_at, severity = before.found_at if before else now, rule.severity_of(finding.values)
    is_firing = (before is not None and before.state == "firing") or (
        now - found_at >= timedelta(minutes=rule.holds_for_min)
    )
    if before is not None and RANK[severity] > RANK[before.severity]:  # nobody looks after this yet
        before = before.model_copy(update=_NOBODY | {"fired_at": None})
    return Alert(
        key=finding.key,
        rule=rule.key,
        name=rule.name,
        severity=severity,
        instrument_id=finding.instrument_id,
        subject=finding.subject,
        what=finding.what,
        values=finding.values,
        advice=finding.advice,
        href=finding.href,
        cause=finding.cause or (before.cause if before else ""),
        state="firing" if is_firing else "waiting",
        since=before.since if before else finding.since,
        found_at=found_at,
        fired_at=(before.fired_at if before and before.fired_at else now) if is_firing else None,
        acknowledged_by=before.acknowledged_by if before else None,
        acknowledged_at=before.acknowledged_at if before else None,
        comment=before.comment if before else "",
    )


def _is_away_long_enough(alert: Alert, rule: Rule, now: datetime) -> bool:
    assert alert.away_since is not None
    return now - alert.away_since >= timedelta(minutes=rule.clears_for_min)


def book_of(reads: Reads) -> dict[str, Alert]:
    """Return the book as it is stored."""
    alerts = (_ALERT.validate_json(document.body) for document in reads.documents(DOCUMENT))
    return {alert.key: alert for alert in alerts}


def keep(writes: Writes, before: Mapping[str, Alert], turned: Turned, now: datetime) -> None:
    """Store what changed, and what is over in the history, which is never changed."""
    for key, alert in turned.book.items():
        if _differs(before.get(key), alert):
            kept = _with_what_was_said(writes, before.get(key), alert)
            writes.put_document(DOCUMENT, key, kept.model_dump_json(), now, "alerts")
    ended = [_with_what_was_said(writes, before.get(alert.key), alert) for alert in turned.ended]
    for key in turned.gone:
        writes.remove_document(DOCUMENT, key)
    for alert in ended:
        entry_id = f"{alert.key}|{alert.found_at.isoformat()}"
        body = alert.model_dump_json()
        writes.add_entry(Entry(entry_id, HISTORY, now, "alerts", body, alert.instrument_id, alert.rule))


def _with_what_was_said(writes: Writes, before: Alert | None, alert: Alert) -> Alert:
    """Return an alert with the acknowledgement that somebody wrote while the round looked at instruments."""
    stored = writes.document(DOCUMENT, alert.key) if before else None
    if before is None or stored is None:
        return alert
    told = _ALERT.validate_json(stored.body)
    if told.acknowledged_at == before.acknowledged_at:
        return alert
    return alert.model_copy(update={name: getattr(told, name) for name in _NOBODY})


def acknowledge(writes: Writes, key: str, by: str, at: datetime, comment: str = "") -> Alert | None:
    """Say that somebody looks after an alert: it escalates no further. None when there is no such alert."""
    document = writes.document(DOCUMENT, key)
    if document is None:
        return None
    told = _ALERT.validate_json(document.body)
    alert = told.model_copy(update={"acknowledged_by": by, "acknowledged_at": at, "comment": comment})
    writes.put_document(DOCUMENT, key, alert.model_dump_json(), at, by)
    return alert


def past(reads: Reads, instrument_id: str | None = None, limit: int = 100) -> list[Alert]:
    """Return alerts that are over, the last first."""
    return [of_entry(entry) for entry in reads.entries((HISTORY,), instrument_id, limit=limit)]


def of_entry(entry: Entry) -> Alert:
    """Return the alert in an entry of the history."""
    return _ALERT.validate_json(entry.body)


def _differs(before: Alert | None, after: Alert) -> bool:
    """Whether it is worth writing: figures alone (minutes of silence) change with every round and are not."""
    return before is None or before.model_copy(update={"values": after.values}) != after
